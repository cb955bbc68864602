//! A store without a disk, for tests and simulations.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::limits::{COMPACT_RECORDS, LIVE_COMMITS, TXN_BYTES};
use crate::watch::{LocalWatch, Log};
use crate::{Batch, Commit, Entry, KeyChange, Range, Stats, Store, StoreError, Txn, Watch};

/// Keys, values and the log in memory; everything is gone with the last handle.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    live: broadcast::Sender<Arc<Batch>>,
}

struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: u64,
    compacted: u64,
    data: BTreeMap<Bytes, (u64, Bytes)>,
    log: VecDeque<Arc<Batch>>,
}

impl MemoryStore {
    /// An empty store at revision 0.
    pub fn new() -> Self {
        MemoryStore { shared: Arc::new(Shared { state: Mutex::default() }), live: broadcast::Sender::new(LIVE_COMMITS) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn conflict(&self, txn: &Txn) -> Option<Commit> {
        txn.compare.iter().find_map(|(key, expected)| {
            let revision = self.data.get(key).map_or(0, |(revision, _)| *revision);
            let conflict = || Commit::Conflict { key: key.clone(), actual: revision, revision: self.revision };
            (revision != *expected).then(conflict)
        })
    }

    fn apply(&mut self, writes: Vec<(Bytes, Option<Bytes>)>) -> Arc<Batch> {
        self.revision += 1;
        for (key, value) in &writes {
            match value {
                Some(value) => self.data.insert(key.clone(), (self.revision, value.clone())),
                None => self.data.remove(key),
            };
        }
        let changes = writes.into_iter().map(|(key, value)| KeyChange { key, value }).collect();
        let commit = Arc::new(Batch { revision: self.revision, changes });
        self.log.push_back(commit.clone());
        commit
    }
}

#[async_trait]
impl Log for Arc<Shared> {
    async fn after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        let state = self.state.lock();
        if revision < state.compacted {
            return Err(StoreError::Compacted { requested: revision, compacted: state.compacted });
        }
        let start = state.log.partition_point(|c| c.revision <= revision);
        Ok(state.log.iter().skip(start).take(limit).cloned().collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn revision(&self) -> u64 {
        self.shared.state.lock().revision
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        Ok(self.revision())
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        let state = self.shared.state.lock();
        let live = state.data.iter().map(|(key, (_, value))| (key.len() + value.len()) as u64);
        Stats { live_bytes: live.sum(), keys: state.data.len() as u64, commits: state.revision, ..Stats::default() }
    }

    fn compacted(&self) -> u64 {
        self.shared.state.lock().compacted
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let state = self.shared.state.lock();
        let entries = state.data.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        let entries = entries.map(|(key, (revision, value))| Entry {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        });
        Ok(Range { revision: state.revision, entries: entries.collect() })
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        crate::check_size(&txn, TXN_BYTES)?;
        let mut state = self.shared.state.lock();
        if let Some(conflict) = state.conflict(&txn) {
            return Ok(conflict);
        }
        let commit = state.apply(txn.writes);
        let revision = commit.revision;
        // Sent under the lock: the order of the channel is the order of revisions. Nobody listening is fine.
        let _ = self.live.send(commit);
        Ok(Commit::Done(revision))
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        let state = self.shared.state.lock();
        if from > state.revision {
            return Err(StoreError::Future { requested: from, newest: state.revision });
        }
        if from < state.compacted {
            return Err(StoreError::Compacted { requested: from, compacted: state.compacted });
        }
        Ok(Watch::new(LocalWatch::new(from, self.live.subscribe(), self.shared.clone())))
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        let mut state = self.shared.state.lock();
        let target = revision.min(state.revision);
        state.compacted = state.compacted.max(target);
        let old = state.log.partition_point(|c| c.revision <= target);
        state.log.drain(..old.min(COMPACT_RECORDS));
        Ok(old > COMPACT_RECORDS)
    }
}
