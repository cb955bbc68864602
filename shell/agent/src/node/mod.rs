//! The node's own object: registered, kept up to date, followed for the addresses that pods get.
//!
//! Invariants: the node is called ready only when a pod could start now; labels and taints that others have set are
//! left alone.

mod lease;
mod machine;
mod status;

use std::sync::Arc;
use std::time::Instant;

use gantry_client::{Backoff, ClientError, Event, PatchKind};
use gantry_cri::Runtime;
use gantry_node::NodeFacts;
use gantry_node::sources::Resolver;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoint;
use crate::cni;
use crate::config::{Config, Step};
use crate::contact::Contact;
use crate::events::Events;
use crate::limits::{API_RETRY, CONDITIONS_EVERY, CONTAINERD_ASK, STATUS_EVERY};
use crate::paths::Paths;

pub(crate) use machine::Machine;
use status::Found;

/// The file of the node's object as it was last known.
pub(crate) const COLLECTION: &str = "node";

/// The node as pods see it.
pub(crate) fn facts(config: &Config, machine: &Machine, paths: &Paths) -> NodeFacts {
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    NodeFacts {
        name: config.node_name.clone(),
        ips: vec![machine.ip.to_string()],
        allocatable: machine.allocatable(),
        memory: i64::try_from(machine.memory).unwrap_or(i64::MAX),
        cluster_dns: vec![config.cluster_dns.to_string()],
        cluster_domain: config.cluster_domain.clone(),
        resolver: Resolver::parse(&resolver),
        cgroup_root: config.cgroup_root.clone(),
        logs: paths.logs().to_string_lossy().into_owned(),
        seccomp: paths.seccomp().to_string_lossy().into_owned(),
        seccomp_default: config.seccomp_default,
        pod_pid_limit: config.pod_pid_limit,
    }
}

/// Registers the node, however long it takes; the node's object.
pub(crate) async fn register(config: &Config, machine: &Machine) -> Value {
    let mut backoff = Backoff::new(API_RETRY.1);
    let mut said = String::new();
    loop {
        match register_once(config, machine).await {
            Ok(node) => return node,
            Err(error) => {
                let why = error.to_string();
                // Why a node does not join is what its owner must see; once is enough.
                if why != said {
                    tracing::error!(%error, "the node is not registered yet");
                    said = why;
                }
                tokio::time::sleep(backoff.after(&error)).await;
            }
        }
    }
}

/// The node's object: as it is registered now or, where no server answers in time, as it was last known.
pub(crate) async fn begin(config: &Config, machine: &Machine, checkpoint: &Checkpoint) -> Value {
    let registered = register(config, machine);
    tokio::pin!(registered);
    tokio::select! {
        node = &mut registered => return node,
        () = tokio::time::sleep_until(checkpoint.away_at()) => {}
    }
    match checkpoint.collection(COLLECTION).load().and_then(|nodes| nodes.into_iter().next()) {
        Some(node) => node,
        // This node was never part of a cluster.
        None => registered.await,
    }
}

async fn register_once(config: &Config, machine: &Machine) -> Result<Value, ClientError> {
    let path = format!("/api/v1/nodes/{}", config.node_name);
    match config.client.get(&path).await {
        Err(error) if error.is_not_found() => {}
        answer => return answer,
    }
    let unready = Some("container runtime is starting".to_owned());
    let found = Found { unready, ..Found::default() };
    let status = status::status(config, machine, &found, &Value::Null, Timestamp::now());
    match config.client.create("/api/v1/nodes", &status::object(config, status)).await {
        Err(error) if error.is_conflict() => config.client.get(&path).await,
        answer => answer,
    }
}

/// Keeps the node's object up to date.
pub(crate) struct Keeper {
    pub(crate) config: Config,
    pub(crate) machine: Machine,
    pub(crate) runtime: Runtime,
    pub(crate) paths: Paths,
    pub(crate) events: Events,
    pub(crate) network_ready: watch::Sender<bool>,
    /// Something about the node may have changed.
    pub(crate) look: Arc<Notify>,
    /// The node's object as it is told.
    pub(crate) told: mpsc::Receiver<Event>,
    pub(crate) contact: Arc<Contact>,
}

impl Keeper {
    /// Works until `shutdown`; `node` is the object as it was registered.
    pub(crate) async fn run(mut self, node: Value, shutdown: CancellationToken) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (uid, uids) = watch::channel(text(&node["metadata"]["uid"]));
        let (name, client) = (self.config.node_name.clone(), self.config.client.clone());
        let mut lease = JoinSet::new();
        lease.spawn(lease::renew(client.clone(), name.clone(), uids, self.contact.clone(), shutdown.clone()));
        self.events.node(&name, &name, "Starting", "Starting kubelet.".to_owned());
        let mut known = node;
        let mut told: Option<(Found, Instant)> = None;
        let mut skew = 0;
        loop {
            self.set_up_network(&known).await;
            told = self.tell(&mut known, told).await;
            skew = self.compare_clocks(skew);
            let retry = if told.is_some() { CONDITIONS_EVERY } else { API_RETRY.0 * 10 };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.look.notified() => {}
                () = tokio::time::sleep(retry) => {}
                Some(event) = self.told.recv() => match event {
                    Event::Applied(node) => known = node,
                    Event::Restarted(nodes) if !nodes.is_empty() => known = nodes.into_iter().next().unwrap_or_default(),
                    Event::Restarted(_) | Event::Deleted(_) => {
                        known = register(&self.config, &self.machine).await;
                        told = None;
                    }
                },
            }
            uid.send_if_modified(|present| {
                let new = text(&known["metadata"]["uid"]);
                let differs = *present != new;
                *present = new;
                differs
            });
        }
    }

    /// Says, once for each minute that it is more or less, how far this machine's clock is from the server's.
    fn compare_clocks(&self, said: i64) -> i64 {
        let Some(skew) = self.config.client.clock_skew() else { return said };
        let minutes = if skew.matters() { skew.minutes() } else { 0 };
        if minutes != said && minutes != 0 {
            tracing::error!("{skew}: certificates, tokens and times in statuses may be refused or wrong");
            self.events.node(&self.config.node_name, &self.config.node_name, "ClockSkew", skew.to_string());
        }
        minutes
    }

    /// Gives pods a network once the node has addresses for them.
    async fn set_up_network(&self, node: &Value) {
        if *self.network_ready.borrow() {
            return;
        }
        if self.config.containerd_socket.is_none() {
            let Some(cidr) = node["spec"]["podCIDR"].as_str().filter(|cidr| !cidr.is_empty()) else { return };
            if let Err(error) = cni::write(&self.paths, cidr, cni::mtu()) {
                tracing::error!(%error, "the network of pods cannot be set up");
                return;
            }
        }
        // The runtime notices the new file by itself, within a moment.
        for _ in 0..250 {
            if self.unready().await.is_none() {
                self.network_ready.send_replace(true);
                (self.config.progress)(Step::Network);
                return;
            }
            tokio::time::sleep(CONTAINERD_ASK).await;
        }
    }

    /// Why pods cannot run, if they cannot.
    async fn unready(&self) -> Option<String> {
        let status = match self.runtime.status().await {
            Ok(status) => status,
            Err(error) => return Some(format!("container runtime status check may not have completed yet: {error}")),
        };
        let words = |name: &str, what: &str| {
            let condition = status.conditions.iter().find(|condition| condition.r#type == name)?;
            let (reason, message) = (&condition.reason, &condition.message);
            let said = format!("{what} not ready: {name}=false reason:{reason} message:{message}");
            (!condition.status).then_some(said)
        };
        words("RuntimeReady", "container runtime").or_else(|| words("NetworkReady", "container runtime network"))
    }

    async fn look(&self) -> Found {
        let version = self.runtime.version().await.unwrap_or_default();
        Found {
            pressure: machine::pressure(self.paths.root()),
            unready: self.unready().await,
            images: status::images(self.runtime.images().await.unwrap_or_default()),
            runtime: format!("{}://{}", version.runtime_name, version.runtime_version),
        }
    }

    /// Writes the status if it has changed or is due; what was written and when.
    async fn tell(&self, known: &mut Value, told: Option<(Found, Instant)>) -> Option<(Found, Instant)> {
        let found = self.look().await;
        let fresh = told.as_ref().is_some_and(|(before, at)| *before == found && at.elapsed() < STATUS_EVERY);
        // Whoever held us for lost has written so in our place.
        let fresh = fresh && status::says_the_same(&known["status"], &found);
        if fresh {
            return told;
        }
        let first = told.is_none_or(|(before, _)| before.unready.is_some());
        let status = status::status(&self.config, &self.machine, &found, &known["status"], Timestamp::now());
        let path = format!("/api/v1/nodes/{}/status", self.config.node_name);
        match self.config.client.patch(&path, PatchKind::Strategic, &json!({"status": status})).await {
            Ok(node) => *known = node,
            Err(error) => {
                tracing::debug!(%error, "the node's status is not written");
                return None;
            }
        }
        if first && found.unready.is_none() {
            (self.config.progress)(Step::Ready);
            let message = format!("Node {} status is now: NodeReady", self.config.node_name);
            self.events.node(&self.config.node_name, &self.config.node_name, "NodeReady", message);
        }
        Some((found, Instant::now()))
    }
}
