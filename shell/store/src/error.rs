//! What a store answers when it cannot do what was asked.

use std::path::PathBuf;

/// Every refusal and failure of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The log no longer holds everything after the requested revision.
    #[error("watch from revision {requested}: the log was compacted up to revision {compacted}")]
    Compacted {
        /// Where the watch wanted to start.
        requested: u64,
        /// The oldest revision that it may start from.
        compacted: u64,
    },
    /// The watch wants to start from a revision that does not exist yet.
    #[error("watch from revision {requested}: the newest revision is {newest}")]
    Future {
        /// Where the watch wanted to start.
        requested: u64,
        /// The newest revision.
        newest: u64,
    },
    /// The transaction is larger than the store takes.
    #[error("commit: the transaction has {size} bytes, at most {limit} are accepted")]
    TooLarge {
        /// Bytes of keys and values.
        size: usize,
        /// The bound.
        limit: usize,
    },
    /// The transaction compares, or writes, more keys than the store takes.
    #[error("commit: the transaction has {count} operations, at most {limit} are accepted")]
    TooManyOperations {
        /// Compares or writes, whichever are more.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// The server of the store is of a release that cannot be used.
    #[error("connect to {endpoint}: etcd {found} is too old, {needed} or newer is needed")]
    Outdated {
        /// The server.
        endpoint: String,
        /// Its release.
        found: String,
        /// The oldest release that can be used.
        needed: &'static str,
    },
    /// Something is stored where only an empty store will do; nothing was changed.
    #[error("{operation}: there are keys under {place} already")]
    NotEmpty {
        /// What was being done.
        operation: &'static str,
        /// Where the keys are.
        place: String,
    },
    /// The disk is full; reads go on, and writes do once there is space again.
    #[error("commit: no space is left on the disk of {path}: {available} bytes are free")]
    Full {
        /// The directory of the store.
        path: PathBuf,
        /// What is left.
        available: u64,
    },
    /// An earlier write failed in a way that leaves unknown what is on disk; only a restart helps.
    #[error("commit: writes are stopped since an earlier one failed: {cause}")]
    Poisoned {
        /// The earlier failure.
        cause: String,
    },
    /// The store cannot be reached; nothing was changed.
    #[error("{operation}: the store cannot be reached: {cause}")]
    Unavailable {
        /// What was being done.
        operation: &'static str,
        /// Why it cannot be reached.
        cause: String,
    },
    /// The store was lost while it worked: the change may have happened, or may still happen, or not.
    #[error("{operation}: no answer came from the store, so it is unknown whether it happened: {cause}")]
    Unknown {
        /// What was being done.
        operation: &'static str,
        /// How the answer was lost.
        cause: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// Another process has the directory open.
    #[error("open {path}: another process uses this directory")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was written by another version, or is not a store's directory; nothing in it was touched.
    #[error(
        "open {path}: found {found:?}, this program reads and writes {expected:?}; nothing was touched: use the version \
         that wrote it, or restore a backup into a new directory with `gantry backup restore`"
    )]
    Format {
        /// The directory.
        path: PathBuf,
        /// What its format file says.
        found: String,
        /// What this program can read.
        expected: String,
    },
    /// Something on disk is not what was written there.
    #[error("{operation}: damaged data: {cause}")]
    Damaged {
        /// What was being done.
        operation: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// A value could not be encrypted, or what is stored could not be decrypted; nothing was changed.
    #[error("{cause}")]
    Encryption {
        /// What went wrong, with the key that it is about.
        cause: String,
    },
    /// The disk or the engine failed.
    #[error("{operation}: {cause}")]
    Io {
        /// What was being done.
        operation: &'static str,
        /// What went wrong.
        cause: String,
    },
}
