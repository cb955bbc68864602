//! The change feed: what happened, in revision order, from any revision that is still in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use gantry_view::Change;
use tokio::sync::broadcast;

use crate::limits::HISTORY_CHANGES;

/// Where a feed starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFrom {
    /// With the next change.
    Now,
    /// With the first change after this revision.
    After(u64),
}

/// The reader was slower than the feed can hold; it must read everything anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged;

/// One reader's place in the change feed.
pub struct Feed {
    backlog: VecDeque<Arc<Change>>,
    live: broadcast::Receiver<Arc<Change>>,
    lagged: bool,
}

impl Feed {
    /// The next change; waits for it. `Err` once changes were missed or the cluster has stopped.
    pub async fn next(&mut self) -> Result<Arc<Change>, Lagged> {
        if let Some(change) = self.try_next()? {
            return Ok(change);
        }
        let received = self.live.recv().await;
        received.map_err(|_| self.lag())
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Arc<Change>>, Lagged> {
        if let Some(change) = self.backlog.pop_front() {
            return Ok(Some(change));
        }
        if self.lagged {
            return Err(Lagged);
        }
        match self.live.try_recv() {
            Ok(change) => Ok(Some(change)),
            Err(broadcast::error::TryRecvError::Empty) => Ok(None),
            Err(_) => Err(self.lag()),
        }
    }

    /// Once changes were missed, every later answer says so.
    fn lag(&mut self) -> Lagged {
        self.lagged = true;
        Lagged
    }
}

/// The last changes, for feeds that start in the past.
pub(crate) struct History {
    changes: VecDeque<Arc<Change>>,
    /// Changes up to and including this revision are no longer here.
    floor: u64,
}

impl History {
    pub(crate) fn starting_at(revision: u64) -> Self {
        History { changes: VecDeque::new(), floor: revision }
    }

    pub(crate) fn push(&mut self, change: Arc<Change>) {
        self.changes.push_back(change);
        while self.changes.len() > HISTORY_CHANGES {
            let Some(revision) = self.changes.pop_front().map(|c| c.revision) else { return };
            self.floor = revision;
            // A revision is kept whole or not at all.
            while self.changes.front().is_some_and(|c| c.revision == revision) {
                self.changes.pop_front();
            }
        }
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    /// A feed of everything after `revision`; `None` when that is too long ago.
    pub(crate) fn feed(&self, revision: u64, live: broadcast::Receiver<Arc<Change>>) -> Option<Feed> {
        if revision < self.floor {
            return None;
        }
        let from = self.changes.partition_point(|c| c.revision <= revision);
        Some(Feed { backlog: self.changes.iter().skip(from).cloned().collect(), live, lagged: false })
    }
}
