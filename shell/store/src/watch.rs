//! One reader's place in the log of commits.
//!
//! How a reader follows is its back end's matter. Where the log is in this process, it reads the log until it has
//! caught up and then follows what is published; when it falls behind what is kept in memory it reads the log again
//! from where it is, so it misses nothing and sees nothing twice.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::limits::PAGE_COMMITS;
use crate::{Batch, StoreError};

/// Where a watch finds commits that are no longer in memory.
#[async_trait]
pub(crate) trait Log: Send + Sync {
    /// At most `limit` commits after `revision`, oldest first, and only published ones.
    async fn after(&self, revision: u64, limit: usize) -> Result<Vec<Arc<Batch>>, StoreError>;
    /// Why no more commits come.
    fn end(&self) -> StoreError {
        StoreError::Closed
    }
}

/// What a back end does to follow its commits.
#[async_trait]
pub trait Follow: Send {
    /// The next commit; waits for it. Must lose nothing when the future is dropped. A batch without changes says
    /// that nothing happened up to its revision. Errors as `Watch::next` has them.
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError>;
}

/// A stream of commits in revision order.
pub struct Watch(Box<dyn Follow>);

impl Watch {
    /// A watch that follows in the way of a back end.
    pub fn new(follow: impl Follow + 'static) -> Self {
        Watch(Box::new(follow))
    }

    /// The next commit; waits for it. A batch without changes says that nothing happened up to its revision.
    /// Nothing is lost when the future is dropped. Errors: `Compacted` when the log was cut beyond this reader's
    /// place, `Closed` when the store has ended, `Poisoned` when its writes have stopped for good.
    pub async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        self.0.next().await
    }
}

/// A place in a log of this process.
pub(crate) struct LocalWatch {
    position: u64,
    behind: bool,
    page: VecDeque<Arc<Batch>>,
    live: broadcast::Receiver<Arc<Batch>>,
    log: Box<dyn Log>,
}

impl LocalWatch {
    /// `live` must have been subscribed before anything after `from` could be missed in `log`.
    pub(crate) fn new(from: u64, live: broadcast::Receiver<Arc<Batch>>, log: impl Log + 'static) -> Self {
        LocalWatch { position: from, behind: true, page: VecDeque::new(), live, log: Box::new(log) }
    }
}

#[async_trait]
impl Follow for LocalWatch {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        loop {
            if let Some(commit) = self.page.pop_front() {
                self.position = commit.revision;
                return Ok(commit);
            }
            if self.behind {
                self.page = self.log.after(self.position, PAGE_COMMITS).await?.into();
                self.behind = !self.page.is_empty();
                continue;
            }
            match self.live.recv().await {
                Ok(commit) if commit.revision > self.position => self.page.push_back(commit),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.behind = true,
                Err(RecvError::Closed) => return Err(self.log.end()),
            }
        }
    }
}
