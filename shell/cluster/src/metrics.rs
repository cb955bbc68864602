//! Counters of the one path.

use std::sync::atomic::{AtomicU64, Ordering};

/// What happened so far; every counter only grows.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Writes that were committed.
    pub commits: AtomicU64,
    /// Commits that the store refused because somebody else was faster.
    pub conflicts: AtomicU64,
    /// Changes that the feed carried.
    pub changes: AtomicU64,
    /// Requests that were refused.
    pub refusals: AtomicU64,
}

impl Metrics {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
    /// The value of a counter.
    pub fn value(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
