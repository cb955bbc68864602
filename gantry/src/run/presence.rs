//! A server that shares its store says that it is there: a Lease in kube-system, renewed for as long as it serves.
//!
//! The leader publishes the addresses in these Leases as the endpoints of the API. What a server that is gone for long
//! has left behind is removed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::Cluster;
use gantry_kinds::{LEASE, Status, presence};
use gantry_registry::{Body, DeleteOptions, Operation, Options, PatchKind, Request, Target, User};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// How often the Lease is renewed.
const RENEW: Duration = Duration::from_secs(3);
/// How long a Lease may be silent before it is removed.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// What one write may take: the next renewal is due then.
const PATIENCE: Duration = Duration::from_secs(3);

/// The Lease of one server.
pub struct Presence {
    cluster: Arc<Cluster>,
    name: String,
    host: String,
    address: SocketAddr,
    /// Leases of others by name: their revision, and when it was first seen.
    others: BTreeMap<String, (u64, Instant)>,
}

impl Presence {
    /// The Lease of the server on `host` that others reach at `address`.
    pub fn new(cluster: Arc<Cluster>, host: &str, address: SocketAddr) -> Self {
        Presence { cluster, name: name(host, address), host: host.to_owned(), address, others: BTreeMap::new() }
    }

    /// Renews the Lease until `stop` turns true, and takes it away then.
    pub async fn keep(mut self, mut stop: watch::Receiver<bool>) {
        let mut leadership = self.cluster.leadership();
        loop {
            self.renew().await;
            self.remove_left_behind().await;
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = sleep(RENEW) => {}
                // Who leads is part of what the Lease says.
                _ = leadership.wait_for(|now| (now.identity == self.cluster.identity()) != self.says_it_leads()) => {}
            }
        }
        self.write("removing", self.name.clone(), Operation::Delete(DeleteOptions::default())).await;
    }

    fn says_it_leads(&self) -> bool {
        let view = self.cluster.view();
        let lease = view.get(&LEASE, presence::NAMESPACE, &self.name);
        lease.is_some_and(|lease| !lease.value()["metadata"]["annotations"][presence::LEADER_EPOCH].is_null())
    }

    async fn renew(&self) {
        let exists = self.cluster.view().get(&LEASE, presence::NAMESPACE, &self.name).is_some();
        let body = self.body(exists);
        if exists {
            self.write("renewing", self.name.clone(), Operation::Patch(PatchKind::Merge, Body::from(body))).await;
        } else {
            self.write("creating", String::new(), Operation::Create(Body::from(body))).await;
        }
    }

    fn body(&self, exists: bool) -> Value {
        let leadership = self.cluster.leadership().borrow().clone();
        let leads = leadership.identity == self.cluster.identity();
        let mut annotations = json!({presence::ADDRESS: self.address.to_string()});
        if leads || exists {
            let epoch = leads.then(|| leadership.epoch.to_string());
            annotations[presence::LEADER_EPOCH] = Value::from(epoch);
        }
        let now = self.cluster.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {
                "name": self.name, "namespace": presence::NAMESPACE, "annotations": annotations,
                "labels": {presence::LABEL: presence::LABEL_VALUE, "kubernetes.io/hostname": self.host},
            },
            "spec": {
                "holderIdentity": format!("{}_{}", self.name, self.cluster.identity()),
                "leaseDurationSeconds": presence::DURATION_SECONDS, "renewTime": now,
            },
        })
    }

    /// Removes Leases of servers that have been silent for long, as far as this server has seen.
    async fn remove_left_behind(&mut self) {
        let seen: BTreeMap<String, (u64, Option<String>)> = {
            let view = self.cluster.view();
            let leases = view.list(&LEASE, Some(presence::NAMESPACE)).filter(|lease| lease.name() != self.name);
            let servers = leases.filter(|lease| lease.header.labels.contains_key(presence::LABEL));
            servers.map(|l| (l.name().to_owned(), (l.header.revision, Some(l.uid().to_owned())))).collect()
        };
        self.others.retain(|name, (revision, _)| seen.get(name).is_some_and(|(now, _)| now == revision));
        for (name, (revision, uid)) in seen {
            let (_, since) = *self.others.entry(name.clone()).or_insert((revision, Instant::now()));
            if since.elapsed() > LEFT_BEHIND {
                let options = DeleteOptions { uid, revision: Some(revision.to_string()), ..DeleteOptions::default() };
                self.write("removing", name, Operation::Delete(options)).await;
            }
        }
    }

    async fn write(&self, what: &str, name: String, operation: Operation) {
        let target =
            Target { kind: &LEASE, namespace: presence::NAMESPACE.to_owned(), name, subresource: String::new() };
        let groups = ["system:masters", "system:authenticated"].map(str::to_owned).into();
        let user = User { name: "system:apiserver".to_owned(), groups, ..User::default() };
        let options = Options { field_manager: "kube-apiserver".to_owned(), ..Options::default() };
        let outcome = timeout(PATIENCE, self.cluster.execute(Request { user, target, operation, options })).await;
        let late = || Box::new(Status::new(504, "Timeout", "the store did not answer in time"));
        if let Err(status) = outcome.unwrap_or_else(|_| Err(late())) {
            tracing::debug!(%status, "{what} the Lease of a server");
        }
    }
}

/// `apiserver-` and what tells this server from others, the same after every start: FNV-1a over host and address.
fn name(host: &str, address: SocketAddr) -> String {
    let text = format!("{host} {address}");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("apiserver-{hash:016x}")
}
