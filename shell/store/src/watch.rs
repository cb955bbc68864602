//! One reader's place in the log of commits.
//!
//! A watch reads the log until it has caught up and then follows what is published; when it falls behind what is
//! kept in memory it reads the log again from where it is, so it misses nothing and sees nothing twice.

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
}

/// A stream of commits in revision order.
pub struct Watch {
    position: u64,
    behind: bool,
    page: VecDeque<Arc<Batch>>,
    live: broadcast::Receiver<Arc<Batch>>,
    log: Box<dyn Log>,
}

impl Watch {
    /// `live` must have been subscribed before anything after `from` could be missed in `log`.
    pub(crate) fn new(from: u64, live: broadcast::Receiver<Arc<Batch>>, log: impl Log + 'static) -> Self {
        Watch { position: from, behind: true, page: VecDeque::new(), live, log: Box::new(log) }
    }

    /// The next commit; waits for it. Nothing is lost when the future is dropped. Errors: `Compacted` when the log
    /// was cut beyond this reader's place, `Closed` when the store has ended.
    pub async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
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
                Err(RecvError::Closed) => return Err(StoreError::Closed),
            }
        }
    }
}
