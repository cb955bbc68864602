//! The endpoints of `default/kubernetes`: where the API itself answers. Servers that share a store say it in Leases;
//! one that is alone is told where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::time::Duration;

use gantry_kinds::tree::{int_at, list_at};
use gantry_kinds::{ENDPOINT_SLICE, LEASE, presence};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use super::SERVICE_NAME;
use crate::{Controller, QueueKey, Settings, takes_objects, write};

/// What was last heard of a server: the revision of its Lease, and when by this process' own clock. `None`: it was
/// there before this process looked, and may be what a server that is long gone left behind.
#[derive(Clone, Copy)]
struct Heard {
    revision: u64,
    at: Option<Duration>,
}

/// Keeps the slice `default/kubernetes`.
pub(crate) struct ApiEndpoints {
    addresses: Vec<String>,
    port: u16,
    heard: BTreeMap<String, Heard>,
}

impl ApiEndpoints {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut addresses: Vec<String> = settings.api_addresses.iter().map(ToString::to_string).collect();
        addresses.sort();
        ApiEndpoints { addresses, port: settings.api_port, heard: BTreeMap::new() }
    }

    fn key() -> ObjectKey {
        ObjectKey::new(&ENDPOINT_SLICE, "default", "kubernetes")
    }

    /// Addresses of the servers that are alive; those that are given where no server says so itself. Empty when all
    /// that said so are silent: then nothing is known, and what is published stays.
    fn listen(&mut self, published: Option<&[Value]>, turn: Turn<'_>, outcome: &mut Outcome) -> Vec<String> {
        let leases: Vec<_> = turn.view.list(&LEASE, Some(presence::NAMESPACE)).filter(|l| is_server(l)).collect();
        if leases.is_empty() {
            return self.addresses.clone();
        }
        let mut alive = BTreeSet::new();
        let mut heard = BTreeMap::new();
        for lease in leases {
            let value = lease.value();
            let Some(address) = address(&value) else { continue };
            let revision = lease.header.revision;
            let last = match self.heard.get(lease.name()) {
                Some(before) if before.revision == revision => *before,
                Some(_) => Heard { revision, at: Some(turn.uptime) },
                None => {
                    let trusted = published.is_none_or(|endpoints| names(endpoints, address));
                    Heard { revision, at: trusted.then_some(turn.uptime) }
                }
            };
            heard.insert(lease.name().to_owned(), last);
            let duration = int_at(&value, "/spec/leaseDurationSeconds").and_then(|seconds| u64::try_from(seconds).ok());
            let duration = Duration::from_secs(duration.unwrap_or(presence::DURATION_SECONDS.into()));
            let left = last.at.map_or(Duration::ZERO, |at| (at + duration).saturating_sub(turn.uptime));
            if !left.is_zero() && address.port() == self.port {
                outcome.again_in(left);
                alive.insert(address.ip().to_string());
            }
        }
        self.heard = heard;
        alive.into_iter().collect()
    }
}

impl Controller for ApiEndpoints {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Object(Self::key())]
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let namespace_came = change.key.kind == &gantry_kinds::NAMESPACE && &*change.key.name == "default";
        let server = change.key.kind == &LEASE
            && &*change.key.namespace == presence::NAMESPACE
            && [&change.before, &change.after].into_iter().flatten().any(|lease| is_server(lease));
        if change.key == Self::key() || namespace_came || server {
            out.push(QueueKey::Object(Self::key()));
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let value = turn.view.at(&Self::key()).map(|slice| slice.value());
        let addresses = self.listen(value.as_ref().map(|slice| list_at(slice, "/endpoints")), turn, &mut outcome);
        let ready = |address: &String| json!({"addresses": [address], "conditions": {"ready": true}});
        let endpoints: Value = addresses.iter().map(ready).collect();
        let ports = json!([{"name": "https", "port": self.port, "protocol": "TCP"}]);
        let Some(slice) = turn.view.at(&Self::key()) else {
            if takes_objects(turn.view, "default") {
                let body = json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {
                        "name": "kubernetes", "namespace": "default", "labels": {SERVICE_NAME: "kubernetes"},
                    },
                    "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
                });
                outcome.push(Intent::Create { kind: &ENDPOINT_SLICE, namespace: "default".to_owned(), body });
            }
            return outcome;
        };
        if addresses.is_empty() && !self.heard.is_empty() {
            return outcome;
        }
        let value = value.unwrap_or_default();
        let old = json!({"endpoints": list_at(&value, "/endpoints"), "ports": list_at(&value, "/ports")});
        let new = json!({"endpoints": endpoints, "ports": ports});
        outcome.intents.extend(write::difference(&old, &new).map(|change| write::patch(slice, "", change)));
        outcome
    }
}

fn is_server(lease: &Object) -> bool {
    lease.header.labels.get(presence::LABEL).is_some_and(|value| value == presence::LABEL_VALUE)
}

fn names(endpoints: &[Value], address: SocketAddrV4) -> bool {
    let address = address.ip().to_string();
    endpoints.iter().any(|endpoint| list_at(endpoint, "/addresses").iter().any(|a| *a == address))
}

fn address(lease: &Value) -> Option<SocketAddrV4> {
    lease["metadata"]["annotations"][presence::ADDRESS].as_str()?.parse().ok()
}
