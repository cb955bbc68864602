//! The engine without threads: each call does its whole work before it returns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::group::Joined;
use super::log::Log;
use super::shared::Shared;
use super::{Sizes, open};
use crate::disk::Disk;
use crate::watch::Log as WatchLog;
use crate::{Batch, Commit, Range, Stats, StoreError, Txn, Watch};

/// A store in one thread.
pub(crate) struct Threadless {
    shared: Arc<Shared>,
    live: broadcast::WeakSender<Arc<Batch>>,
    /// None once the power is gone.
    log: Mutex<Option<Log>>,
}

/// Reads the log where it is called.
struct Direct(Arc<Shared>);

#[async_trait]
impl WatchLog for Direct {
    async fn after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError> {
        self.0.log_after(revision, limit)
    }

    fn end(&self) -> StoreError {
        self.0.end()
    }
}

impl Threadless {
    pub(crate) fn open(disk: Arc<dyn Disk>, sizes: Sizes) -> Result<Self, StoreError> {
        let mut log = open::open(disk, sizes)?;
        let (shared, live) = (log.shared.clone(), log.live());
        shared.errands.lock().clean = true;
        settle(&shared, &mut log);
        Ok(Threadless { shared, live, log: Mutex::new(Some(log)) })
    }

    /// Ends it without a clean end, as when the power goes.
    pub(crate) fn abandon(&self) {
        self.log.lock().take();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.log.lock().is_some()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Log) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut log = self.log.lock();
        work(log.as_mut().ok_or(StoreError::Closed)?)
    }

    pub(crate) fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        self.with(|log| {
            let mut group = log.group();
            let answer = match log.join(&mut group, txn) {
                Joined::Yes(revision) => log.finish(&group).map(|()| Commit::Done(revision)),
                Joined::Answered(answer) => answer,
                // Only a group that holds something already sends one on.
                Joined::Next(_) => Err(StoreError::Closed),
            };
            log.mark();
            settle(&self.shared, log);
            answer
        })
    }

    pub(crate) fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.with(|log| {
            let answer = log.compact(revision);
            settle(&self.shared, log);
            answer
        })
    }

    /// One step of what the cleaner does; true when there may be more.
    pub(crate) fn clean(&self) -> Result<bool, StoreError> {
        self.with(|log| clean(&self.shared, log))
    }

    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.with(Log::flush)
    }

    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.with(Log::close)?;
        self.abandon();
        Ok(())
    }

    pub(crate) async fn failed(&self) -> StoreError {
        self.shared.failed().await
    }

    pub(crate) fn revision(&self) -> u64 {
        self.shared.revision()
    }

    pub(crate) fn compacted(&self) -> u64 {
        self.shared.compacted()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared.stats()
    }

    pub(crate) fn range(&self, prefix: &[u8]) -> Result<Range, StoreError> {
        if self.is_open() { self.shared.range(prefix) } else { Err(StoreError::Closed) }
    }

    pub(crate) fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        super::watch(&self.shared, self.live.upgrade(), from, Direct(self.shared.clone()))
    }
}

/// What the cleaner would do while nothing else happens: one step, when it was asked to.
fn settle(shared: &Shared, log: &mut Log) {
    let asked = std::mem::take(&mut shared.errands.lock().clean);
    if asked || shared.pool.trouble().is_some() {
        match clean(shared, log) {
            Ok(more) => shared.errands.lock().clean |= more,
            Err(_) => drop(shared.counts.cleaning_failures.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn clean(shared: &Shared, log: &mut Log) -> Result<bool, StoreError> {
    let made = shared.pool.fill(&*shared.disk, &shared.sizes);
    shared.remove_dropped()?;
    let cleaned = shared.clean(log)?;
    made.map_err(crate::io_error("make a segment of the log"))?;
    Ok(cleaned)
}
