//! The change feed: what happened, in revision order, from any revision that is still in memory.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;

use gantry_view::Change;

use crate::limits::HISTORY_CHANGES;
use crate::topics::{Subscription, Topic, Topics};

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
pub struct Feed(Subscription);

impl Feed {
    /// The next change; waits for it. `Err` once changes were missed or the cluster has stopped.
    pub async fn next(&mut self) -> Result<Arc<Change>, Lagged> {
        poll_fn(|context| self.0.poll_next(context)).await
    }

    /// The next change if there is one already.
    pub fn try_next(&mut self) -> Result<Option<Arc<Change>>, Lagged> {
        self.0.try_next()
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

    /// A feed of what is about `topic` after `revision`; `None` when that is too long ago.
    pub(crate) fn feed(&self, revision: u64, topic: Topic, live: &Arc<Topics>) -> Option<Feed> {
        if revision < self.floor {
            return None;
        }
        let from = self.changes.partition_point(|c| c.revision <= revision);
        let backlog = self.changes.range(from..).filter(|change| topic.includes(change)).cloned().collect();
        Some(Feed(live.open(topic, backlog)))
    }
}
