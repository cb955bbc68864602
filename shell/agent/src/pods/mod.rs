//! The pods of this node: one worker each, fed by the API's watch and by the runtime's events.
//!
//! Invariants: a pod (a uid) has one worker at most; a worker ends only when nothing of its pod is left; what the
//! runtime runs for a pod that the API does not know is taken away.

mod act;
mod certificates;
mod end;
mod fence;
mod launch;
mod messages;
mod report;
mod start;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use gantry_client::{Client, Event};
use gantry_node::{NodeFacts, Observed, pod};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::cgroups::Cgroups;
use crate::contact::Contact;
use crate::events::Events;
use crate::limits::SIGNALS;
use crate::net::Addresses;
use crate::paths::Paths;
use crate::runtime::{Happened, Watched};
use crate::sources::Sources;
use crate::sweep;

pub(crate) use end::remove_all;
use worker::Worker;

/// What all workers share.
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) runtime: Watched,
    pub(crate) paths: Paths,
    pub(crate) cgroups: Cgroups,
    pub(crate) sources: Sources,
    pub(crate) events: Events,
    pub(crate) contact: Arc<Contact>,
    /// The node as pods see it; the first value comes before the first pod.
    pub(crate) node: watch::Receiver<NodeFacts>,
    pub(crate) starts: Semaphore,
    pub(crate) pulls: Semaphore,
    pub(crate) network_ready: watch::Receiver<bool>,
    /// The pods to which services here send new connections.
    pub(crate) served: watch::Receiver<BTreeSet<Ipv4Addr>>,
    /// Is told where pods are.
    pub(crate) addresses: watch::Sender<Addresses>,
}

impl Shared {
    /// A pod is there now, or nowhere.
    fn is_at(&self, uid: &str, address: Option<Ipv4Addr>) {
        self.addresses.send_if_modified(|addresses| {
            let before = match address {
                Some(address) => addresses.insert(uid.to_owned(), address),
                None => addresses.remove(uid),
            };
            before != address
        });
    }
}

/// What a worker is told.
#[derive(Debug)]
enum Signal {
    /// The pod's object has changed.
    Pod(Arc<Pod>),
    /// The pod's object is gone.
    Gone(Arc<Pod>),
    /// A container or sandbox has ended.
    Exited { id: String, code: i32, at: jiff::Timestamp },
    /// Look at everything again.
    Look,
}

/// A pod as its worker sees it, for those who ask about it.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) pod: Arc<Pod>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) status: Arc<PodStatus>,
}

struct Handle {
    signals: mpsc::Sender<Signal>,
    seen: watch::Receiver<Seen>,
    namespace: String,
    name: String,
}

/// The workers.
#[derive(Clone)]
pub(crate) struct Pods {
    shared: Arc<Shared>,
    workers: Arc<Mutex<BTreeMap<String, Handle>>>,
}

impl Pods {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Pods { shared, workers: Arc::default() }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The pod of that name; the youngest where one follows another.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Seen> {
        let workers = self.workers.lock();
        let named = workers.values().filter(|handle| handle.namespace == namespace && handle.name == name);
        let seen = named.map(|handle| handle.seen.borrow().clone());
        seen.max_by_key(|seen| seen.pod.metadata.creation_timestamp.clone())
    }

    /// Every pod as it is seen now.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.workers.lock().values().map(|handle| handle.seen.borrow().clone()).collect()
    }

    /// Follows the API, through `told`, and the runtime until `shutdown`.
    pub(crate) async fn run(
        self,
        mut told: mpsc::Receiver<Event>,
        mut happened: mpsc::Receiver<Happened>,
        shutdown: CancellationToken,
    ) {
        let mut running: Option<BTreeSet<String>> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(news) = happened.recv() => self.hear(news).await,
                Some(event) = told.recv() => {
                    if running.is_none() {
                        running = Some(self.running().await);
                    }
                    self.see(event, running.as_mut().unwrap_or(&mut BTreeSet::new())).await;
                }
            }
        }
    }

    /// The uids that the runtime knew when this process began; workers of others need not look.
    async fn running(&self) -> BTreeSet<String> {
        loop {
            match self.shared.runtime.pods().await {
                Ok(pods) => return pods.into_keys().collect(),
                Err(error) => {
                    tracing::warn!(%error, "cannot list what runs");
                    tokio::time::sleep(crate::limits::API_RETRY.0).await;
                }
            }
        }
    }

    async fn hear(&self, news: Happened) {
        match news {
            Happened::Exited { uid, id, code, at } => self.tell(&uid, Signal::Exited { id, code, at }).await,
            Happened::Missed => {
                let uids: Vec<_> = self.workers.lock().keys().cloned().collect();
                for uid in uids {
                    self.tell(&uid, Signal::Look).await;
                }
            }
        }
    }

    async fn see(&self, event: Event, running: &mut BTreeSet<String>) {
        match event {
            Event::Restarted(objects) => {
                let pods: Vec<_> = objects.into_iter().filter_map(parse).collect();
                let known: BTreeSet<_> = pods.iter().map(|pod| pod::uid(pod).to_owned()).collect();
                let workers: Vec<_> =
                    self.workers.lock().iter().map(|(uid, w)| (uid.clone(), w.seen.clone())).collect();
                for (uid, seen) in workers.into_iter().filter(|(uid, _)| !known.contains(uid)) {
                    let last = seen.borrow().pod.clone();
                    self.tell(&uid, Signal::Gone(last)).await;
                }
                let workers: BTreeSet<_> = self.workers.lock().keys().cloned().collect();
                self.shared.sources.forget_others(pods.iter());
                sweep::start(self.shared.clone(), known.union(&workers).cloned().collect());
                for pod in pods {
                    self.give(pod, running).await;
                }
            }
            Event::Applied(object) => {
                if let Some(pod) = parse(object) {
                    self.give(pod, running).await;
                }
            }
            Event::Deleted(object) => {
                if let Some(pod) = parse(object) {
                    let uid = pod::uid(&pod).to_owned();
                    self.tell(&uid, Signal::Gone(Arc::new(pod))).await;
                }
            }
        }
    }

    async fn give(&self, pod: Pod, running: &mut BTreeSet<String>) {
        let uid = pod::uid(&pod).to_owned();
        let pod = Arc::new(pod);
        if self.workers.lock().contains_key(&uid) {
            return self.tell(&uid, Signal::Pod(pod)).await;
        }
        let known = running.remove(&uid);
        self.start(uid, pod, known);
    }

    fn start(&self, uid: String, pod: Arc<Pod>, known: bool) {
        let (signals, inbox) = mpsc::channel(SIGNALS);
        let (seen, viewer) = watch::channel(Seen { pod: pod.clone(), ..Seen::default() });
        let (namespace, name) = (pod::namespace(&pod).to_owned(), pod::name(&pod).to_owned());
        self.workers.lock().insert(uid.clone(), Handle { signals, seen: viewer, namespace, name });
        let (shared, workers) = (self.shared.clone(), self.workers.clone());
        tokio::spawn(async move {
            Worker::new(shared.clone(), pod, inbox, seen).run(known).await;
            shared.runtime.disown(&uid);
            shared.is_at(&uid, None);
            workers.lock().remove(&uid);
        });
    }

    async fn tell(&self, uid: &str, signal: Signal) {
        let signals = self.workers.lock().get(uid).map(|handle| handle.signals.clone());
        if let Some(signals) = signals {
            // A worker that has ended needs to know nothing.
            let _ = signals.send(signal).await;
        }
    }
}

fn parse(object: Value) -> Option<Pod> {
    match serde_json::from_value(object) {
        Ok(pod) => Some(pod),
        Err(error) => {
            tracing::error!(%error, "the API sent a pod that cannot be read");
            None
        }
    }
}
