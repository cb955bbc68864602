//! Key files: private, and never half written.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::failpoints::failpoint;

/// Writes `text` to `path` with mode 0600, so that a reader sees the old file or the whole new one.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        // A leftover of a crash may have other permissions.
        let _ = std::fs::remove_file(&beside);
        failpoint!("gantry::before_file");
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        failpoint!("gantry::file_before_sync");
        file.sync_all()?;
        failpoint!("gantry::file_before_rename");
        std::fs::rename(&beside, path)?;
        failpoint!("gantry::after_file");
        Ok(())
    };
    write().with_context(|| format!("writing {}", path.display()))
}

/// The text at `path`; `None` when there is none.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// The text at `path`, made by `create` when there is none yet.
pub fn load_or_create(path: &Path, create: impl FnOnce() -> Result<String>) -> Result<String> {
    if let Some(text) = read_if_there(path)? {
        return Ok(text);
    }
    let text = create()?;
    write_private(path, &text)?;
    Ok(text)
}
