//! The store on the disk of this machine: a log in segments, an index of it in memory, one writer, one cleaner.
//!
//! Invariants: all commits go through the writer in the order of their revisions; as many as are waiting share one
//! write to disk; a commit with `durable` is answered, visible and watched only after the disk has confirmed it;
//! revisions are reserved ahead on disk, so none is given out twice, whatever was lost; after a write or a sync that
//! failed nothing more is written; a directory that is not as it was written is refused and left as it is.

mod clean;
mod format;
mod group;
mod index;
mod log;
mod open;
mod pool;
mod read;
mod record;
mod scan;
mod shared;
mod snapshot;
mod state;
mod writer;

#[cfg(any(test, feature = "faults"))]
pub(crate) mod threadless;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::disk::{Disk, SystemDisk};
use crate::limits::{FREE_BYTES, QUEUE_TXNS, SEGMENT_BYTES, SLACK_BYTES, TXN_BYTES};
use crate::watch::{LocalWatch, Log};
use crate::{Batch, Commit, Range, Scan, Stats, Store, StoreError, Txn, Watch};
use shared::Shared;
use writer::{Command, Remote};

pub use open::{check_format, load, verify};
pub use snapshot::Snapshot;

/// How large the parts of a store are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of one segment of the log.
    pub segment: u32,
    /// Bytes that may be dead before cleaning begins.
    pub slack: u64,
    /// Free bytes on the disk below which values are refused.
    pub free: u64,
}

impl Sizes {
    /// Sizes for tests: a few hundred small commits fill several segments.
    pub const SMALL: Sizes = Sizes { segment: 16 << 10, slack: 16 << 10, free: 0 };
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { segment: SEGMENT_BYTES, slack: SLACK_BYTES, free: FREE_BYTES }
    }
}

/// What a check of a directory found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The revision of the last commit on disk.
    pub revision: u64,
    /// The revision up to which the log was compacted.
    pub compacted: u64,
    /// Keys that are readable.
    pub keys: u64,
    /// Bytes of the keys and values that are readable.
    pub live_bytes: u64,
    /// Bytes of all segments.
    pub size_bytes: u64,
    /// Segments in use.
    pub segments: u64,
    /// Whether the last process closed it; otherwise it still runs, or was killed.
    pub clean: bool,
    /// Bytes of records at the end that are not whole: a crash leaves them, and the next start cuts them.
    pub torn_bytes: u64,
}

/// A handle on the embedded store; the directory is released with the last handle and the last watch.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    live: broadcast::WeakSender<Arc<Batch>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands.lock().take();
        self.shared.ask_cleaner(|errands| errands.end = true);
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl EmbeddedStore {
    /// Opens the directory, creating it if it is not there. Blocks: call it before or outside async code.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Self::open_sized(directory, Sizes::default())
    }

    /// Opens the directory with other sizes than the usual ones, for tests that want much to happen in little data.
    pub fn open_sized(directory: &Path, sizes: Sizes) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(SystemDisk::at(directory)), sizes)
    }

    /// Opens a store on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, sizes: Sizes) -> Result<Self, StoreError> {
        let log = open::open(disk, sizes)?;
        let (shared, live) = (log.shared.clone(), log.live());
        let (commands, queue) = mpsc::channel(QUEUE_TXNS);
        let remote = Remote { commands: commands.downgrade() };
        let writer = spawn("gantry-store", move || writer::write(log, queue))?;
        let cleaned = shared.clone();
        let cleaner = spawn("gantry-clean", move || writer::clean(&cleaned, remote))?;
        shared.ask_cleaner(|errands| errands.clean = true);
        let threads = Mutex::new(vec![cleaner, writer]);
        Ok(EmbeddedStore { inner: Arc::new(Inner { shared, commands: Mutex::new(Some(commands)), live, threads }) })
    }

    /// Stops taking commits, waits for those under way and marks the directory as cleanly closed. Reads go on;
    /// watches end.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(Command::Close).await?
    }

    /// Everything at the newest revision, to be read page by page while commits go on.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.shared.snapshot()
    }

    /// Cleans everything that can be cleaned, now; returns when that is done. Errors: as a commit has them.
    pub async fn defragment(&self) -> Result<(), StoreError> {
        let sender = self.inner.commands.lock().clone().ok_or(StoreError::Closed)?;
        let (shared, mut remote) = (self.inner.shared.clone(), Remote { commands: sender.downgrade() });
        drop(sender);
        crate::blocking(move || shared.clean_all(&mut remote)).await
    }

    /// Waits until writes have stopped for good, and says why: the process should end then.
    pub async fn failed(&self) -> StoreError {
        self.inner.shared.failed().await
    }

    async fn ask<R>(&self, command: impl FnOnce(oneshot::Sender<R>) -> Command) -> Result<R, StoreError> {
        let sender = self.inner.commands.lock().clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| self.inner.shared.end())
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(crate::io_error("start a thread"))
}

/// Every commit after `from`, out of the log and then live.
fn watch(
    shared: &Arc<Shared>,
    live: Option<broadcast::Sender<Arc<Batch>>>,
    from: u64,
    log: impl Log + 'static,
) -> Result<Watch, StoreError> {
    // Subscribed first: what is published from here on is in the channel, what was before is in the log.
    let live = live.ok_or_else(|| shared.end())?.subscribe();
    let (newest, compacted) = (shared.revision(), shared.compacted());
    if from > newest {
        return Err(StoreError::Future { requested: from, newest });
    }
    if from < compacted {
        return Err(StoreError::Compacted { requested: from, compacted });
    }
    Ok(Watch::new(LocalWatch::new(from, live, log)))
}

#[async_trait]
impl Store for EmbeddedStore {
    fn revision(&self) -> u64 {
        self.inner.shared.revision()
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        Ok(self.revision())
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        self.inner.shared.stats()
    }

    fn compacted(&self) -> u64 {
        self.inner.shared.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let shared = self.inner.shared.clone();
        crate::blocking(move || shared.range(&prefix)).await
    }

    async fn scan(&self, prefix: Bytes) -> Result<Scan, StoreError> {
        let shared = self.inner.shared.clone();
        crate::blocking(move || Ok(shared.scan(&prefix))).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        crate::check_size(&txn, TXN_BYTES)?;
        self.ask(|reply| Command::Commit { txn, reply }).await?
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        let shared = &self.inner.shared;
        watch(shared, self.inner.live.upgrade(), from, shared.clone())
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.ask(|reply| Command::Compact { revision, reply }).await?
    }
}
