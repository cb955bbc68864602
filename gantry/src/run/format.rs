//! Data of another version is refused before anything of it is touched.

use anyhow::{Result, anyhow};
use gantry_store::{StoreError, check_format};

use crate::paths::Paths;

/// Refuses a data directory whose store this program does not read; changes nothing.
pub fn refuse_other_formats(paths: &Paths) -> Result<()> {
    match check_format(&paths.store()) {
        Err(StoreError::Format { path, found, expected }) => Err(anyhow!(
            "the store in {} has the format {found:?}, and gantry {} reads and writes {expected:?}; nothing was touched. \
             Start the version of gantry that wrote it, or restore a backup into a new data directory: \
             gantry backup restore --from PLACE --key FILE --data-dir NEW",
            path.display(),
            env!("CARGO_PKG_VERSION"),
        )),
        // Whatever else is wrong is found, and said, by who opens it.
        _ => Ok(()),
    }
}
