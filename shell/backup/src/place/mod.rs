//! Where backups are kept: a folder, or an S3 bucket. A backup is there whole, under its name, or not at all.

mod folder;
mod http;
mod s3;

use std::fs::File;

use tempfile::NamedTempFile;

use crate::BackupError;
use crate::manifest::Manifest;
use crate::seal::BackupFile;

pub use folder::Folder;
pub use s3::{S3, S3Access};

/// Where backups are kept.
pub enum Place {
    /// A folder of this machine.
    Folder(Folder),
    /// A bucket.
    S3(Box<S3>),
}

/// A backup that is being written.
pub enum Draft {
    /// Beside the finished ones, under a name of no backup; gone when dropped.
    Beside(NamedTempFile),
    /// Without a name, on this machine's disk; the system frees it in any case.
    Nameless(File),
}

/// What there is under a name.
pub struct Listed {
    /// The name.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// What it says, or why it cannot be used.
    pub found: Result<Manifest, BackupError>,
}

impl Draft {
    /// The file to write to.
    pub fn file(&self) -> Result<File, BackupError> {
        let file = match self {
            Draft::Beside(file) => file.as_file().try_clone(),
            Draft::Nameless(file) => file.try_clone(),
        };
        file.map_err(BackupError::io("writing the backup"))
    }
}

impl Place {
    /// From `s3://BUCKET/PREFIX`, or the path of a folder. Errors: `Place`.
    pub fn new(place: &str, access: &S3Access) -> Result<Self, BackupError> {
        match place.strip_prefix("s3://") {
            Some(path) => Ok(Place::S3(Box::new(S3::new(path, access)?))),
            None => Ok(Place::Folder(Folder::new(place))),
        }
    }

    /// How it is called.
    pub fn describe(&self) -> String {
        match self {
            Place::Folder(folder) => folder.path().display().to_string(),
            Place::S3(s3) => s3.describe(),
        }
    }

    /// A file for a backup that is not finished.
    pub fn draft(&self) -> Result<Draft, BackupError> {
        match self {
            Place::Folder(folder) => folder.draft(),
            Place::S3(_) => {
                let file = tempfile::tempfile().map_err(BackupError::io("making a temporary file"))?;
                Ok(Draft::Nameless(file))
            }
        }
    }

    /// Keeps a finished backup under its name. Errors: `Io`, `S3`; then there is nothing under it.
    pub async fn keep(&self, draft: Draft, manifest: &Manifest) -> Result<(), BackupError> {
        match (self, draft) {
            (Place::Folder(folder), Draft::Beside(file)) => folder.keep(file, &manifest.file_name()),
            (Place::S3(s3), Draft::Nameless(file)) => s3.keep(file, manifest).await,
            _ => Err(BackupError::Place("the draft belongs to another place".to_owned())),
        }
    }

    /// All backups, the newest first; what cannot be used comes with the reason. Errors: `Io`, `S3`.
    pub async fn list(&self) -> Result<Vec<Listed>, BackupError> {
        let mut all = match self {
            Place::Folder(folder) => folder.list()?,
            Place::S3(s3) => s3.list().await?,
        };
        // What says nothing of itself goes by its name, which begins with the time, too.
        let when = |l: &Listed| l.found.as_ref().ok().map(|m| (m.head.created, m.head.revision));
        all.sort_by(|a, b| (when(b), &b.name).cmp(&(when(a), &a.name)));
        Ok(all)
    }

    /// A backup as a file of this machine. Errors: all of reading.
    pub async fn fetch(&self, name: &str) -> Result<BackupFile, BackupError> {
        match self {
            Place::Folder(folder) => folder.fetch(name),
            Place::S3(s3) => s3.fetch(name).await,
        }
    }

    /// Removes a backup. Errors: `Io`, `S3`.
    pub async fn remove(&self, name: &str) -> Result<(), BackupError> {
        match self {
            Place::Folder(folder) => folder.remove(name),
            Place::S3(s3) => s3.remove(name).await,
        }
    }
}

/// Whether a file or object is called as backups are.
fn is_backup_name(name: &str) -> bool {
    name.starts_with("gantry-") && name.ends_with(".backup") && !name.contains('/')
}
