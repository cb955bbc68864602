//! What can go wrong with a backup.

use gantry_store::StoreError;

/// Every refusal and failure of a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("{name} is no gantry backup")]
    NotABackup {
        /// The file or object.
        name: String,
    },
    /// Another version wrote it; nothing was touched.
    #[error(
        "{name} has the format {found:?}, this program reads {expected:?}; restore it with the version that wrote it \
         (gantry {written_by})"
    )]
    Format {
        /// The file or object.
        name: String,
        /// What it says.
        found: String,
        /// What this program reads.
        expected: String,
        /// The version of gantry that wrote it, where it says so.
        written_by: String,
    },
    /// It is not what was written.
    #[error("{name} is damaged: {cause}; nothing was restored from it; see the others with: gantry backup list")]
    Damaged {
        /// The file or object.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// It is encrypted for somebody else.
    #[error("{name} cannot be opened with this key: it is encrypted for {wanted}")]
    WrongKey {
        /// The file or object.
        name: String,
        /// Whom for.
        wanted: String,
    },
    /// A key, recipient or passphrase cannot be used.
    #[error("the key: {0}")]
    Key(String),
    /// The place cannot be used.
    #[error("{0}")]
    Place(String),
    /// The machine failed.
    #[error("{operation}: {source}")]
    Io {
        /// What was being done, with the path.
        operation: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The storage answered no, or not at all.
    #[error("{operation}: {cause}")]
    S3 {
        /// What was being done.
        operation: String,
        /// The storage's words.
        cause: String,
        /// The HTTP status; 0 when none came.
        code: u16,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// Makes an `Io` of what went wrong while doing something.
    pub(crate) fn io(operation: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let operation = operation.into();
        move |source| BackupError::Io { operation, source }
    }

    /// Something of that name is damaged.
    pub(crate) fn damaged(name: &str, cause: impl Into<String>) -> Self {
        BackupError::Damaged { name: name.to_owned(), cause: cause.into() }
    }
}
