//! Backups in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Draft, Listed, is_backup_name};
use crate::BackupError;
use crate::seal::BackupFile;

/// How drafts are called; each is locked by its writer.
const DRAFT: (&str, &str) = (".gantry-", ".partial");

/// A folder of this machine.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at this path; made with the first backup.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Folder { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn draft(&self) -> Result<Draft, BackupError> {
        let make = || {
            fs::create_dir_all(&self.path)?;
            self.sweep()?;
            let file = tempfile::Builder::new().prefix(DRAFT.0).suffix(DRAFT.1).tempfile_in(&self.path)?;
            file.as_file().try_lock()?;
            Ok(Draft::Beside(file))
        };
        make().map_err(self.while_("writing a backup to"))
    }

    /// Removes drafts whose writers are gone.
    fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(DRAFT.0) && name.ends_with(DRAFT.1) && File::open(entry.path())?.try_lock().is_ok() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    pub(super) fn keep(&self, draft: NamedTempFile, name: &str) -> Result<(), BackupError> {
        let keep = || {
            draft.as_file().sync_all()?;
            draft.persist_noclobber(self.path.join(name)).map_err(|error| error.error)?;
            File::open(&self.path)?.sync_all()
        };
        keep().map_err(self.while_("keeping a backup in"))
    }

    pub(super) fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let names = || -> io::Result<Vec<(String, u64)>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if let Ok(name) = entry.file_name().into_string()
                    && is_backup_name(&name)
                {
                    names.push((name, entry.metadata()?.len()));
                }
            }
            Ok(names)
        };
        let listed = |(name, size_bytes): (String, u64)| {
            let found = self.fetch(&name).map(|file| file.manifest().clone());
            Listed { name, size_bytes, found }
        };
        Ok(names().map_err(self.while_("reading"))?.into_iter().map(listed).collect())
    }

    pub(super) fn fetch(&self, name: &str) -> Result<BackupFile, BackupError> {
        let path = self.path.join(name);
        let file = File::open(&path).map_err(BackupError::io(format!("opening {}", path.display())))?;
        BackupFile::new(&path.display().to_string(), file)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), BackupError> {
        fs::remove_file(self.path.join(name)).map_err(self.while_("removing a backup from"))
    }

    fn while_(&self, doing: &str) -> impl FnOnce(io::Error) -> BackupError + use<> {
        BackupError::io(format!("{doing} {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests;
