//! Puts the objects that every cluster has into a new store, and what is missing into an old one.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use futures_util::{StreamExt, stream};
use gantry_cluster::Cluster;
use gantry_registry::{Request, bootstrap};

use crate::failpoints::failpoint;

/// Writes under way at the same time; they share their syncs to disk.
const WRITES_AT_ONCE: usize = 64;

/// Carries out what the registry says is missing: namespaces first, as everything else lives in them.
pub async fn fill(cluster: &Arc<Cluster>) -> Result<()> {
    let requests = bootstrap::requests(&cluster.view(), cluster.settings());
    let (namespaces, others): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|r| *r.target.kind == gantry_kinds::NAMESPACE);
    for wave in [namespaces, others] {
        let results: Vec<Result<()>> =
            stream::iter(wave).map(|request| write(cluster, request)).buffer_unordered(WRITES_AT_ONCE).collect().await;
        results.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

async fn write(cluster: &Cluster, request: Request) -> Result<()> {
    let kind = request.target.kind.plural;
    failpoint!("gantry::before_first_object");
    let written = cluster.execute(request).await.map(drop);
    failpoint!("gantry::after_first_object");
    match written {
        // Another server was faster.
        Err(status) if status.code == 409 => Ok(()),
        written => written.map_err(|status| anyhow!("writing the first {kind}: {status}")),
    }
}
