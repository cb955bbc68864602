//! Where the bytes live: ordered keys with revisions, compare-and-commit, and a log of commits to watch.
//!
//! Invariants: every commit has one revision of its own and revisions only grow, also over crashes; a durable
//! commit is answered, shown by `range` and delivered to watches only after it is on disk; watches see every commit
//! after their start exactly once and in order, or learn that the log no longer reaches back that far.

mod disk;
mod error;
mod failpoints;
#[cfg(any(test, feature = "faults"))]
mod faults;
pub mod limits;
mod watch;

pub mod embedded;
pub mod etcd;
pub mod memory;

#[cfg(test)]
mod conformance;

use async_trait::async_trait;
use bytes::Bytes;

pub use disk::{Disk, DiskFile, SystemDisk};
pub use embedded::{Checked, EmbeddedStore, Sizes, Snapshot, check_format, load, verify};
pub use error::StoreError;
pub use etcd::{EtcdConfig, EtcdStore};
pub use failpoints::FAILPOINTS;
#[cfg(any(test, feature = "faults"))]
pub use faults::{FaultyDisk, SimulatedStore};
pub use memory::MemoryStore;
pub use watch::{Follow, Watch};

/// What a caller wants changed, all or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Txn {
    /// Keys whose revision must be exactly this for the transaction to happen; 0 means that the key is absent.
    pub compare: Vec<(Bytes, u64)>,
    /// New values in order; `None` removes the key.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
    /// Answer only once the change would survive a power loss.
    pub durable: bool,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// It happened, at this revision.
    Done(u64),
    /// It did not happen: this key has this revision (0: absent) instead of the expected one.
    Conflict {
        /// The first key whose revision differs.
        key: Bytes,
        /// Its revision now.
        actual: u64,
        /// The newest commit of the store when it compared; whoever has seen this one knows why it differs.
        revision: u64,
    },
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// The revision of the last commit that wrote it.
    pub revision: u64,
}

/// All entries under a prefix at one revision, still to be read.
pub struct Scan {
    /// The revision.
    pub revision: u64,
    /// How many entries there are.
    pub count: usize,
    /// What reads them, in any order and on any thread; it may block.
    pub parts: Vec<Part>,
}

/// Reads some of the entries; each comes with its place in the order of keys.
pub type Part = Box<dyn FnOnce() -> Result<Vec<(usize, Entry)>, StoreError> + Send>;

/// All entries under a prefix, in key order, as they were at one revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The revision of the reading; a watch from here continues it without a gap.
    pub revision: u64,
    /// The entries.
    pub entries: Vec<Entry>,
}

/// One key as a commit left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key.
    pub key: Bytes,
    /// Its new value; `None` when it was removed.
    pub value: Option<Bytes>,
}

/// One commit as watches see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its revision.
    pub revision: u64,
    /// What it wrote, in the order of the transaction.
    pub changes: Vec<KeyChange>,
}

/// Sizes and counters of a store; what a back end cannot know is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that the store takes on disk.
    pub size_bytes: u64,
    /// Bytes of the keys and values that are readable now.
    pub live_bytes: u64,
    /// Keys that are readable now.
    pub keys: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Waits for the disk since the start.
    pub syncs: u64,
    /// Time spent waiting for the disk since the start, in nanoseconds.
    pub sync_nanos: u64,
    /// Failed attempts to compact since the start.
    pub compaction_failures: u64,
}

/// A store of bytes with revisions.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The revision of the last commit that this handle knows of.
    fn revision(&self) -> u64;
    /// The newest revision, confirmed by whoever decides on commits after this was called: whoever has seen this
    /// revision has seen everything that was acknowledged before the call.
    async fn latest(&self) -> Result<u64, StoreError>;
    /// Whether other processes may commit to the same data.
    fn shared(&self) -> bool;
    /// Sizes and counters.
    fn stats(&self) -> Stats;
    /// The revision up to which the log was compacted.
    fn compacted(&self) -> u64;
    /// All entries whose key starts with the prefix.
    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError>;
    /// The same in parts, for what is too much to be held twice.
    async fn scan(&self, prefix: Bytes) -> Result<Scan, StoreError> {
        let Range { revision, entries } = self.range(prefix).await?;
        let count = entries.len();
        let (mut parts, mut entries) = (Vec::new(), entries.into_iter().enumerate());
        while entries.len() > 0 {
            let part: Vec<_> = entries.by_ref().take(limits::PART_ENTRIES).collect();
            parts.push(Box::new(move || Ok(part)) as Part);
        }
        Ok(Scan { revision, count, parts })
    }
    /// Compares and writes in one step.
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError>;
    /// Every commit after the revision `from`.
    fn watch(&self, from: u64) -> Result<Watch, StoreError>;
    /// Promises nobody the log up to and including `revision` any more; what is removed of it, when, is the store's
    /// matter. True when some is left that only another call removes.
    async fn compact(&self, revision: u64) -> Result<bool, StoreError>;
    /// Why something below a prefix is left out of what is read; `None` where nothing is.
    fn unreadable(&self, _prefix: &[u8]) -> Option<String> {
        None
    }
    /// Whether all plugins that encrypt answer; `None` where there are none.
    async fn plugins_answer(&self) -> Option<bool> {
        None
    }
}

/// Refuses transactions that are larger than any store should swallow at once.
pub(crate) fn check_size(txn: &Txn, limit: usize) -> Result<(), StoreError> {
    let writes = txn.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len));
    let compares = txn.compare.iter().map(|(key, _)| key.len());
    let size = writes.chain(compares).sum();
    if size > limit { Err(StoreError::TooLarge { size, limit }) } else { Ok(()) }
}

/// Reads on a thread that may wait for the disk.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Io { operation: "read", cause: error.to_string() }),
    }
}

/// Names what was being done when the system refused.
pub(crate) fn io_error(operation: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| StoreError::Io { operation, cause: error.to_string() }
}
