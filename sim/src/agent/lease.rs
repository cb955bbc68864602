//! The node's lease, renewed again and again, and the node's condition when others have declared it lost.

use std::time::Duration;

use gantry_cluster::Clock;
use gantry_kinds::{LEASE, NODE};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::process::{Context, say_ready};
use crate::clock::measured;

const EVERY: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
const LEASES: &str = "kube-node-lease";

/// Renews the lease of the node with that uid.
pub(super) async fn renew(context: Context, uid: watch::Receiver<String>) {
    loop {
        let asked = Instant::now();
        let node = uid.borrow().clone();
        let wait = match once(&context, &node).await {
            Ok(()) => {
                context.machine.is_confirmed(asked);
                EVERY
            }
            Err(0) => {
                context.turn_away();
                RETRY
            }
            Err(_) => RETRY,
        };
        sleep(measured(wait, 1.0 / context.machine.clock.rate())).await;
    }
}

async fn once(context: &Context, uid: &str) -> Result<(), u16> {
    let (client, name) = (&context.client, &*context.machine.name);
    let now = context.machine.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": now});
    let patch = json!({"spec": spec});
    let answer = match client.patch(context.server(), (&LEASE, LEASES, name, ""), patch).await {
        Err(refusal) if refusal.code() == 404 => {
            let owner = json!({"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid});
            let metadata = json!({"name": name, "namespace": LEASES, "ownerReferences": [owner]});
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec,
            });
            client.create(context.server(), &LEASE, LEASES, lease).await
        }
        answer => answer,
    };
    answer.map_err(|refusal| refusal.code())?;
    let node = client.get(context.server(), &NODE, "", name).await.map_err(|refusal| refusal.code())?;
    match node {
        Some(node) => say_ready(context, &node).await,
        None => Ok(()),
    }
}
