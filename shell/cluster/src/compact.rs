//! Keeps the store's log short: what is older than the last interval is forgotten, in small steps, for ever.

use std::sync::Weak;

use crate::Cluster;
use crate::limits::{COMPACT_EVERY, COMPACT_PAUSE};

/// Runs until the store is gone. A step that fails is tried again at the next interval.
pub(crate) async fn keep_compacting(cluster: Weak<Cluster>) {
    let Some(mut horizon) = cluster.upgrade().map(|c| c.store().revision()) else { return };
    loop {
        tokio::time::sleep(COMPACT_EVERY).await;
        let Some(store) = cluster.upgrade().map(|c| c.store().clone()) else { return };
        loop {
            match store.compact(horizon).await {
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
