//! What the writer, the cleaner and all readers have in common.
//!
//! The lock on the state is held for moments only, never while the disk works. Who reads values takes the files along:
//! a segment that is dropped meanwhile stays readable for him, and its file is not used again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use super::Sizes;
use super::index::{Index, Slot};
use super::pool::Pool;
use super::read::{self, Values};
use super::snapshot::Snapshot;
use super::state::State;
use crate::disk::Disk;
use crate::limits::RANGE_KEYS;
use crate::watch::Log;
use crate::{Batch, Range, Scan, Stats, StoreError};

pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) sizes: Sizes,
    pub(super) state: RwLock<State>,
    pub(super) pool: Pool,
    pub(super) counts: Counts,
    /// Why nothing is written any more.
    failure: watch::Sender<Option<StoreError>>,
    /// Dropped segments whose files are still to be removed.
    pub(super) leftover: Mutex<Vec<u32>>,
    /// What the cleaner is to do.
    pub(super) errands: Mutex<Errands>,
    pub(super) errand: Condvar,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) sync_nanos: AtomicU64,
    pub(super) cleaning_failures: AtomicU64,
}

/// What the cleaner is to do.
#[derive(Default)]
pub(super) struct Errands {
    /// There may be something to clean or a segment to make.
    pub(super) clean: bool,
    /// Something was written and not synced.
    pub(super) dirty: bool,
    /// The store ends.
    pub(super) end: bool,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, sizes: Sizes, state: State, pool: Pool, leftover: Vec<u32>) -> Self {
        Shared {
            disk,
            sizes,
            state: RwLock::new(state),
            pool,
            counts: Counts::default(),
            failure: watch::Sender::new(None),
            leftover: Mutex::new(leftover),
            errands: Mutex::default(),
            errand: Condvar::new(),
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.state.read().revision
    }

    pub(super) fn compacted(&self) -> u64 {
        self.state.read().compacted
    }

    /// Gives the cleaner something to do.
    pub(super) fn ask_cleaner(&self, errand: impl FnOnce(&mut Errands)) {
        errand(&mut self.errands.lock());
        self.errand.notify_all();
    }

    /// Tells everybody that nothing is written any more.
    pub(super) fn fail(&self, error: StoreError) {
        self.failure.send_replace(Some(error));
    }

    /// Why nothing is written any more: a failure, or the store was closed.
    pub(super) fn end(&self) -> StoreError {
        self.failure.borrow().clone().unwrap_or(StoreError::Closed)
    }

    pub(super) async fn failed(&self) -> StoreError {
        let mut failure = self.failure.subscribe();
        let found = failure.wait_for(Option::is_some).await;
        // The sender lives as long as this does.
        found.ok().and_then(|found| found.clone()).unwrap_or(StoreError::Closed)
    }

    pub(super) fn stats(&self) -> Stats {
        let spare = self.pool.len() as u64 * u64::from(self.sizes.segment);
        let state = self.state.read();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            size_bytes: spare + state.segments.values().map(|info| info.size).sum::<u64>(),
            live_bytes: state.live_bytes,
            keys: state.index.len() as u64,
            commits: count(&self.counts.commits),
            syncs: count(&self.counts.syncs),
            sync_nanos: count(&self.counts.sync_nanos),
            compaction_failures: count(&self.counts.cleaning_failures),
        }
    }

    /// All entries under a prefix, at one revision.
    pub(super) fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        let (revision, index, files) = {
            let state = self.state.read();
            let few = under(&state.index, prefix, RANGE_KEYS + 1);
            if few.len() <= RANGE_KEYS {
                let files = few.iter().filter_map(|(_, slot)| state.segments.get(&slot.segment));
                let files = files.map(|info| (info.segment.id, info.segment.clone())).collect();
                let revision = state.revision;
                drop(state);
                return Ok(Range { revision, entries: Values::new(self.disk.path(), &files).read(few)? });
            }
            // Many are gathered from a copy, so that no commit waits for that.
            (state.revision, state.index.clone(), state.files())
        };
        let wanted = under(&index, prefix, usize::MAX);
        drop(index);
        let entries = Values::new(self.disk.path(), &files).read(wanted)?;
        Ok(Range { revision, entries })
    }

    pub(super) fn scan(&self, prefix: &[u8]) -> Scan {
        let (revision, index, files) = {
            let state = self.state.read();
            (state.revision, state.index.clone(), state.files())
        };
        let wanted = under(&index, prefix, usize::MAX);
        let count = wanted.len();
        Scan { revision, count, parts: read::parts(self.disk.clone(), files, wanted) }
    }

    /// Everything at the newest revision.
    pub(super) fn snapshot(self: &Arc<Self>) -> Snapshot {
        let state = self.state.read();
        Snapshot::new(self.disk.clone(), state.revision, state.index.clone(), state.files())
    }

    /// At most `limit` published commits after `revision`.
    pub(super) fn log_after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        let parts: Vec<_> = {
            let state = self.state.read();
            if revision < state.compacted {
                return Err(StoreError::Compacted { requested: revision, compacted: state.compacted });
            }
            let newer = state.segments.values().filter(|info| info.newest > revision && !info.dropped);
            newer.map(|info| (info.segment.clone(), info.before(revision), info.length)).collect()
        };
        read::commits(self.disk.path(), parts, revision, limit)
    }
}

/// The first keys under a prefix.
fn under(index: &Index, prefix: &[u8], limit: usize) -> Vec<(Bytes, Slot)> {
    let keys = index.from(prefix).take_while(|(key, _)| key.starts_with(prefix));
    keys.take(limit).map(|(key, slot)| (key.clone(), *slot)).collect()
}

#[async_trait]
impl Log for Arc<Shared> {
    async fn after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        let shared = self.clone();
        crate::blocking(move || shared.log_after(revision, limit)).await
    }

    fn end(&self) -> StoreError {
        Shared::end(self)
    }
}
