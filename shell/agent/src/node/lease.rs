//! The node's lease: renewed again and again, it says that the node lives.

use gantry_client::{Client, ClientError, PatchKind};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::limits::{API_RETRY, LEASE_EVERY, LEASE_SECONDS};

const FOLDER: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Renews the lease until `shutdown`; `uid` is that of the node's object.
pub(super) async fn renew(client: Client, node: String, uid: watch::Receiver<String>, shutdown: CancellationToken) {
    loop {
        let owner = uid.borrow().clone();
        let wait = match once(&client, &node, &owner).await {
            Ok(()) => LEASE_EVERY,
            Err(error) => {
                tracing::debug!(%error, "the lease is not renewed");
                API_RETRY.0 * 10
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn once(client: &Client, node: &str, uid: &str) -> Result<(), ClientError> {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let spec = json!({"holderIdentity": node, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now});
    let path = format!("{FOLDER}/{node}");
    match client.patch(&path, PatchKind::Merge, &json!({"spec": spec})).await {
        Err(error) if error.is_not_found() => client.create(FOLDER, &lease(node, uid, spec)).await.map(drop),
        answer => answer.map(drop),
    }
}

fn lease(node: &str, uid: &str, spec: Value) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid});
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": node, "namespace": "kube-node-lease", "ownerReferences": [owner]},
        "spec": spec,
    })
}
