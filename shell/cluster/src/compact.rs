//! Keeps the store's log short: what is older than the last interval is forgotten, in small steps, for ever.

use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::Cluster;
use crate::failpoints::failpoint;
use crate::limits::{COMPACT_EVERY, COMPACT_PAUSE};

/// Runs until the store is gone. A step that fails is tried again at the next interval.
pub(crate) async fn keep_compacting(cluster: Weak<Cluster>) {
    let Some(mut horizon) = cluster.upgrade().map(|c| c.store().revision()) else { return };
    loop {
        tokio::time::sleep(interval()).await;
        let Some(store) = cluster.upgrade().map(|cluster| {
            cluster.horizon.store(horizon, Ordering::Relaxed);
            cluster.store().clone()
        }) else {
            return;
        };
        loop {
            failpoint!("cluster::before_compact");
            let compacted = store.compact(horizon).await;
            failpoint!("cluster::after_compact");
            match compacted {
                Ok(true) => tokio::time::sleep(COMPACT_PAUSE).await,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, horizon, "compaction failed; it is tried again");
                    break;
                }
            }
        }
        horizon = store.revision();
    }
}

/// How often; a test that returns milliseconds from this point does not wait as long.
fn interval() -> Duration {
    failpoint!("cluster::compact_every", |given: Option<String>| {
        given.and_then(|given| given.parse().ok()).map_or(COMPACT_EVERY, Duration::from_millis)
    });
    COMPACT_EVERY
}
