//! The production engine on a faulty disk, in one thread: each call does its work before it returns.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::FaultyDisk;
use crate::embedded::Sizes;
use crate::embedded::threadless::Threadless;
use crate::limits::TXN_BYTES;
use crate::{Commit, Range, Stats, Store, StoreError, Txn, Watch};

/// A handle on the engine without threads. Clones are the same store.
#[derive(Clone)]
pub struct SimulatedStore {
    inner: Arc<Inner>,
}

struct Inner {
    disk: FaultyDisk,
    sizes: Sizes,
    engine: Threadless,
    delay: Mutex<Duration>,
    /// One write to disk at a time.
    turn: tokio::sync::Mutex<()>,
}

impl SimulatedStore {
    /// Opens the engine on the disk with small segments, creating the store if there is none. Errors as
    /// `EmbeddedStore::open` has them.
    pub fn open(disk: FaultyDisk) -> Result<Self, StoreError> {
        Self::open_sized(disk, Sizes::SMALL)
    }

    /// Opens the engine with other sizes.
    pub fn open_sized(disk: FaultyDisk, sizes: Sizes) -> Result<Self, StoreError> {
        let engine = Threadless::open(Arc::new(disk.clone()), sizes)?;
        let (delay, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(SimulatedStore { inner: Arc::new(Inner { disk, sizes, engine, delay, turn }) })
    }

    /// The disk below it.
    pub fn disk(&self) -> &FaultyDisk {
        &self.inner.disk
    }

    /// Every durable commit takes this long from here on, in tokio's time; others wait behind it.
    pub fn set_delay(&self, delay: Duration) {
        *self.inner.delay.lock() = delay;
    }

    /// The power goes and the engine opens anew on what is left, as the seed decides. This handle and all its clones
    /// answer `Closed` from here on, commits under way `Unknown`; the new one goes on.
    pub fn crash_and_recover(&self, seed: u64) -> Result<SimulatedStore, StoreError> {
        self.crash(seed);
        Self::open_sized(self.inner.disk.clone(), self.inner.sizes)
    }

    /// The power goes: what is left is decided by the seed. To be opened again on `disk`.
    pub fn crash(&self, seed: u64) {
        self.inner.engine.abandon();
        self.inner.disk.reseed(seed);
        self.inner.disk.crash();
    }

    /// The process ends without a clean end, and the disk keeps everything that was written: kill -9.
    pub fn kill(&self) {
        self.inner.engine.abandon();
    }

    /// A clean end.
    pub fn close(&self) -> Result<(), StoreError> {
        self.inner.engine.close()
    }

    /// One bounded step of cleaning, as the cleaning thread does it; true when there is more to do. Each commit does
    /// one where there is something to clean, too.
    pub fn clean(&self) -> Result<bool, StoreError> {
        self.inner.engine.clean()
    }

    /// Syncs what is not synced yet, as the cleaning thread does it after some seconds.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.engine.flush()
    }

    /// Waits until writes have stopped for good, and says why.
    pub async fn failed(&self) -> StoreError {
        self.inner.engine.failed().await
    }
}

#[async_trait]
impl Store for SimulatedStore {
    fn revision(&self) -> u64 {
        self.inner.engine.revision()
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        Ok(self.revision())
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        self.inner.engine.stats()
    }

    fn compacted(&self) -> u64 {
        self.inner.engine.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        self.inner.engine.range(&prefix)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        crate::check_size(&txn, TXN_BYTES)?;
        let _turn = self.inner.turn.lock().await;
        if !self.inner.engine.is_open() {
            return Err(StoreError::Closed);
        }
        let delay = *self.inner.delay.lock();
        if txn.durable && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match self.inner.engine.commit(txn) {
            Err(StoreError::Closed) => {
                Err(StoreError::Unknown { operation: "commit", cause: "the power went".to_owned() })
            }
            answer => answer,
        }
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        self.inner.engine.watch(from)
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.inner.engine.compact(revision)
    }
}
