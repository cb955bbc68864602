//! The node's lease: renewed again and again, it says that the node lives.

use std::sync::Arc;

use gantry_client::{Backoff, Client, ClientError, PatchKind, part_of};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::contact::{self, Contact};
use crate::limits::{API_RETRY, LEASE_ANSWER, LEASE_EVERY, LEASE_SECONDS};

const FOLDER: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/// Renews the lease until `shutdown`; `uid` is that of the node's object.
pub(super) async fn renew(
    client: Client,
    node: String,
    uid: watch::Receiver<String>,
    contact: Arc<Contact>,
    shutdown: CancellationToken,
) {
    let mut backoff = Backoff::new(API_RETRY.1);
    loop {
        let owner = uid.borrow().clone();
        let begun = contact::uptime();
        // One that is slow is left: another may be faster, and the connection is not to blame.
        let wait = match tokio::time::timeout(LEASE_ANSWER, once(&client, &node, &owner)).await {
            Ok(Ok(())) => {
                contact.renewed(begun);
                backoff.reset();
                LEASE_EVERY - part_of(LEASE_EVERY / 10)
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the lease is not renewed");
                backoff.after(&error)
            }
            Err(_) => backoff.next_pause(),
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
