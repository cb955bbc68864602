//! Reads, straight from the view: one object, lists, and how they are shown.
//!
//! Invariants: the view is never held over an await; a list is written piece by piece from stored bytes. A read
//! without a resourceVersion shows everything that any server acknowledged before; one with a resourceVersion is not
//! older than that; one with 0 may be of any age.

mod binary_list;
mod columns;
mod get;
mod list;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod present;
pub(crate) mod shape;
pub(crate) mod token;

use gantry_cluster::Cluster;
pub(crate) use get::get;
pub(crate) use list::{list, show};

use crate::Refusal;
use crate::limits::FRESHNESS;

/// Waits until the view is as new as a client asked for. `None`: shows everything that was acknowledged before; 503
/// when nobody confirms that. `Some`: has reached that revision, 0 being any; 504 when it is still to come.
pub(crate) async fn reach(cluster: &Cluster, revision: Option<u64>) -> Result<(), Refusal> {
    let Some(revision) = revision else { return cluster.confirmed().await };
    let current = cluster.view().revision();
    if revision <= current {
        return Ok(());
    }
    let wait = async {
        // What was asked for may be a revision at which nothing happened here: the store is asked, not only listened to.
        let _ = cluster.confirmed().await;
        cluster.wait_for(revision).await
    };
    match tokio::time::timeout(FRESHNESS, wait).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(options::too_large(revision, current)),
    }
}
