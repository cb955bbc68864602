//! Reads, straight from the view: one object, lists, and how they are shown.
//!
//! Invariants: the view is never held over an await; a list is written piece by piece from stored bytes.

mod columns;
mod get;
mod list;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod shape;
pub(crate) mod token;

use gantry_cluster::Cluster;
pub(crate) use get::get;
pub(crate) use list::{list, show};

use crate::Refusal;
use crate::limits::FRESHNESS;

/// Waits until the view has reached a revision that a client has seen; 504 when it is still to come.
pub(crate) async fn reach(cluster: &Cluster, revision: u64) -> Result<(), Refusal> {
    let current = cluster.view().revision();
    if revision <= current {
        return Ok(());
    }
    match tokio::time::timeout(FRESHNESS, cluster.wait_for(revision)).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(options::too_large(revision, current)),
    }
}
