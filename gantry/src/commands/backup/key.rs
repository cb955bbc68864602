//! The key of the backups of this data directory: made with the first backup, and said loudly.

use anyhow::{Result, bail};
use gantry_backup::{Lock, Opener, create_key_file};
use jiff::Timestamp;

use crate::cli::Recipients;
use crate::paths::Paths;

/// Whom to encrypt for: the recipients named, else the key of the data directory, which is made if need be.
pub fn recipients(flags: &Recipients, paths: &Paths) -> Result<Vec<String>> {
    if !flags.recipients.is_empty() {
        Lock::for_recipients(&flags.recipients)?;
        return Ok(flags.recipients.clone());
    }
    let path = paths.backup_key();
    if path.exists() {
        return Ok(Opener::key_file(&path)?.recipients());
    }
    if !paths.pki().exists() {
        bail!(
            "there is no cluster in {}, so there is no key to encrypt for; name one: --recipient age1... (age-keygen \
             makes them) or --passphrase-file FILE",
            paths.root().display()
        );
    }
    let public = create_key_file(&path, Timestamp::now())?;
    eprintln!();
    eprintln!("  !! A key for backups was made: {}", path.display());
    eprintln!(
        "  !! Keep a copy of it somewhere else, now: without it NO BACKUP CAN BE RESTORED, and it is not in them."
    );
    eprintln!("  !! (or use keys of your own: --recipient age1...)");
    eprintln!();
    Ok(vec![public])
}
