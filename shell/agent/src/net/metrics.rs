//! Counters of the node's network.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the network has done since it started.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Rulesets that were applied, whole or in part.
    pub applied: AtomicU64,
    /// Rulesets that were refused by the kernel or `nft`.
    pub apply_failures: AtomicU64,
    /// Times that the table was gone and had to be put back.
    pub restored: AtomicU64,
    /// How long the last ruleset took, in microseconds.
    pub last_apply_micros: AtomicU64,
    /// Questions for names.
    pub dns_queries: AtomicU64,
    /// Those that were passed on to the machine's own servers.
    pub dns_forwarded: AtomicU64,
    /// Those that nobody answered.
    pub dns_failures: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
