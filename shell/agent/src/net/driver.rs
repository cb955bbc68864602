//! The loop: objects in, transactions out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gantry_client::Event;
use gantry_net::dns::Zone;
use gantry_net::{Cidr, Net, Params};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use parking_lot::RwLock;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Serving;
use super::host::{self, Host};
use super::local::{Addresses, Local};
use super::metrics::{Metrics, count};

/// How often it is checked that the table is still there.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// Pause before a ruleset that was refused is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What an item is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Node,
    Services,
    Slices,
    Pods,
}

/// How many sources there are.
const SOURCES: usize = 4;

/// Something that happened in the cluster.
pub(super) struct Item {
    pub source: Source,
    pub event: Event,
}

type Id = (String, String);

pub(super) struct Driver {
    net: Net,
    zone: Arc<RwLock<Zone>>,
    host: Host,
    metrics: Arc<Metrics>,
    /// What each source has told of so far; `None` before its first list.
    known: [Option<BTreeSet<Id>>; SOURCES],
    /// Whether the table in the kernel is ours as far as we know, so that changes can be applied to it.
    in_force: bool,
    /// Tells which pods of this node get new connections, by the table in the kernel.
    serving: Serving,
    local: Local,
}

impl Driver {
    pub fn new(params: Params, zone: Arc<RwLock<Zone>>, host: Host, metrics: Arc<Metrics>, serving: Serving) -> Self {
        let local = Local::new(&params.node_name, watch::channel(Addresses::new()).1);
        let (net, known) = (Net::new(params), Default::default());
        Driver { net, zone, host, metrics, known, in_force: false, serving, local }
    }

    /// Believes these addresses of this node's pods more than slices.
    pub fn with_addresses(mut self, addresses: watch::Receiver<Addresses>) -> Self {
        self.local = Local::new(&self.net.params().node_name, addresses);
        self
    }

    /// Applies what comes in until `shutdown`. Whatever has come in meanwhile goes into the same transaction.
    pub async fn run(mut self, mut items: mpsc::Receiver<Item>, shutdown: CancellationToken) {
        let mut check = tokio::time::interval_at(tokio::time::Instant::now() + CHECK_EVERY, CHECK_EVERY);
        let mut refused = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                item = items.recv() => match item {
                    Some(item) => self.take(item),
                    None => return,
                },
                slices = self.local.changed() => {
                    for ((namespace, name), slice) in slices {
                        self.net.slice(&namespace, &name, Some(&slice));
                    }
                }
                _ = check.tick() => self.verify().await,
                () = tokio::time::sleep(RETRY_AFTER), if refused => {}
            }
            while let Ok(item) = items.try_recv() {
                self.take(item);
            }
            refused = !self.apply().await;
        }
    }

    pub(super) fn take(&mut self, item: Item) {
        let slot = item.source as usize;
        match item.event {
            Event::Restarted(objects) => {
                let listed: BTreeSet<Id> = objects.iter().map(id).collect();
                let before = self.known[slot].replace(listed.clone()).unwrap_or_default();
                for gone in before.difference(&listed) {
                    self.set(item.source, gone, None);
                }
                for object in objects {
                    self.set(item.source, &id(&object), Some(object));
                }
            }
            Event::Applied(object) => {
                let id = id(&object);
                self.known[slot].get_or_insert_default().insert(id.clone());
                self.set(item.source, &id, Some(object));
            }
            Event::Deleted(object) => {
                let id = id(&object);
                self.known[slot].get_or_insert_default().remove(&id);
                self.set(item.source, &id, None);
            }
        }
    }

    fn set(&mut self, source: Source, id: &Id, object: Option<Value>) {
        let (namespace, name) = id;
        match source {
            Source::Services => self.net.service(namespace, name, typed::<Service>(object).as_ref()),
            Source::Slices => {
                let slice = self.local.take(id, typed(object));
                self.net.slice(namespace, name, slice.as_ref());
            }
            Source::Pods => self.net.pod(namespace, name, typed::<Pod>(object).as_ref()),
            Source::Node => {
                let Some(node) = typed::<Node>(object) else { return };
                let pods = node.spec.and_then(|spec| spec.pod_cidr).and_then(|cidr| Cidr::parse(&cidr));
                let zone = node.metadata.labels.unwrap_or_default().remove(ZONE_LABEL).unwrap_or_default();
                let params = Params { zone, node_pod_cidr: pods, ..self.net.params().clone() };
                if params != *self.net.params() {
                    self.net.set_params(params);
                    self.in_force = false;
                }
            }
        }
    }

    /// Brings the kernel to what is known, once everything has been listed. False where that was refused.
    pub(super) async fn apply(&mut self) -> bool {
        if self.known.iter().any(Option::is_none) {
            self.publish_names();
            return true;
        }
        let (text, flows) = if self.in_force {
            let changes = self.net.changes();
            self.set_names(changes.names);
            (changes.nft, changes.flows)
        } else {
            (Some(self.net.full()), Vec::new())
        };
        self.publish_names();
        let Some(text) = text else {
            self.publish_serving();
            return true;
        };
        let began = Instant::now();
        if let Err(error) = host::nft(&text).await {
            tracing::error!(%error, whole = !self.in_force, "the ruleset was refused");
            count(&self.metrics.apply_failures);
            let was_in_force = std::mem::replace(&mut self.in_force, false);
            // What a change could not do the whole can, at once.
            return was_in_force && Box::pin(self.apply()).await;
        }
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.metrics.last_apply_micros.store(micros, Ordering::Relaxed);
        count(&self.metrics.applied);
        self.in_force = true;
        self.publish_serving();
        for flow in &flows {
            host::forget(flow).await;
        }
        true
    }

    fn publish_serving(&self) {
        let now = self.net.ready_here();
        self.serving.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }

    fn publish_names(&mut self) {
        let names = self.net.names();
        self.set_names(names);
    }

    fn set_names(&self, names: Vec<(String, String, Option<gantry_net::dns::Records>)>) {
        if !names.is_empty() {
            let mut zone = self.zone.write();
            for (namespace, name, records) in names {
                zone.set(&namespace, &name, records);
            }
        }
    }

    /// Looks whether somebody has taken the table away.
    pub(super) async fn verify(&mut self) {
        self.host.prepare().await;
        if self.in_force && !host::table_exists().await {
            tracing::warn!("the nftables table is gone; putting it back");
            count(&self.metrics.restored);
            self.in_force = false;
        }
    }
}

fn id(object: &Value) -> Id {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (field("namespace"), field("name"))
}

fn typed<T: DeserializeOwned>(object: Option<Value>) -> Option<T> {
    match serde_json::from_value(object?) {
        Ok(object) => Some(object),
        Err(error) => {
            tracing::error!(%error, "an object cannot be read and counts as gone");
            None
        }
    }
}
