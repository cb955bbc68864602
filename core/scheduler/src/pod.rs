//! What the scheduler reads from a pod, once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use gantry_view::{Object, ObjectKey};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Affinity, Container, PodAffinityTerm, PodCondition, PodSpec, PreferredSchedulingTerm, Toleration,
    WeightedPodAffinityTerm,
};
use serde::Deserialize;

use crate::node_terms::NodeTerms;
use crate::pod_terms::{SpreadTerm, Term};
use crate::resources::{Resources, is_sidecar, pod_requests, pod_weight};

/// The scheduler that pods ask for when they ask for this one.
pub const SCHEDULER_NAME: &str = "default-scheduler";

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// Port number.
    pub port: i32,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Address; `None` for all.
    pub ip: Option<IpAddr>,
}

impl HostPort {
    /// Whether both cannot be on one node.
    pub fn conflicts(&self, other: &HostPort) -> bool {
        let same_address = self.ip.is_none() || other.ip.is_none() || self.ip == other.ip;
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

/// Wishes and rules about the pods that a pod is placed with.
#[derive(Clone, Debug, Default)]
pub struct Company {
    /// Required affinity.
    pub with: Vec<Term>,
    /// Required anti-affinity.
    pub without: Vec<Term>,
    /// Preferred affinity (positive weight) and anti-affinity (negative).
    pub preferred: Vec<(i64, Term)>,
}

/// The facts of one pod.
#[derive(Clone, Debug)]
pub struct PodFacts {
    /// Which pod.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
    /// `metadata.generation`: counts changes of the spec.
    pub generation: i64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Uid of the owner that manages it; pods of one owner are alike.
    pub owner: Option<String>,
    /// Higher goes first.
    pub priority: i32,
    /// When it was created.
    pub created: Timestamp,
    /// The node that it is bound to.
    pub node: Option<String>,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has ended and holds nothing any more.
    pub ended: bool,
    /// Whether it is for this scheduler to place.
    pub wanted: bool,
    /// Whether placing it may never displace others.
    pub never_preempts: bool,
    /// What it asks for.
    pub requests: Resources,
    /// What it counts for when nodes are scored.
    pub weight: Resources,
    /// Ports of the node that it takes.
    pub ports: Vec<HostPort>,
    /// What it tolerates.
    pub tolerations: Vec<Toleration>,
    /// Which nodes it may be on.
    pub nodes: NodeTerms,
    /// Which nodes it would rather be on.
    pub preferred_nodes: Vec<PreferredSchedulingTerm>,
    /// With which pods.
    pub company: Company,
    /// How its like are spread.
    pub spread: Vec<SpreadTerm>,
    /// Its images.
    pub images: Vec<String>,
    /// What the condition `PodScheduled` says now: reason and message.
    pub condition: Option<(String, String)>,
}

/// What is read of a pod: its metadata is in the header already.
#[derive(Deserialize)]
struct Raw {
    spec: PodSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawStatus {
    phase: Option<String>,
    conditions: Option<Vec<PodCondition>>,
}

impl PodFacts {
    /// Whether the other is the same pod wanting the same.
    pub fn same_wishes(&self, other: &PodFacts) -> bool {
        self.uid == other.uid && self.generation == other.generation && self.labels == other.labels
    }

    /// Reads a pod; `None` when it is none.
    pub fn of(object: &Object) -> Option<Arc<Self>> {
        let Raw { spec, status } = object.typed().ok()?;
        let labels = object.header.labels.clone();
        let affinity = spec.affinity.clone().unwrap_or_default();
        let terminating = object.header.deleted.is_some();
        let node = spec.node_name.clone().filter(|name| !name.is_empty());
        let ours = spec.scheduler_name.as_deref().is_none_or(|name| name == SCHEDULER_NAME);
        let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
        let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let condition = status.conditions.into_iter().flatten().find(|c| c.type_ == "PodScheduled");
        let namespace = object.namespace();
        Some(Arc::new(PodFacts {
            key: object.key().clone(),
            uid: object.uid().to_owned(),
            generation: object.header.generation,
            owner: object.controller().map(|owner| owner.uid.clone()),
            priority: spec.priority.unwrap_or(0),
            created: object.header.created.unwrap_or(Timestamp::UNIX_EPOCH),
            wanted: ours && node.is_none() && !terminating && !gated && !ended,
            terminating,
            ended,
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            requests: pod_requests(&spec),
            weight: pod_weight(&spec),
            ports: host_ports(&spec),
            company: company(&affinity, namespace, &labels),
            spread: spec.topology_spread_constraints.iter().flatten().map(|c| SpreadTerm::of(c, &labels)).collect(),
            preferred_nodes: affinity
                .node_affinity
                .as_ref()
                .and_then(|a| a.preferred_during_scheduling_ignored_during_execution.clone())
                .unwrap_or_default(),
            nodes: NodeTerms::of(spec.node_selector.clone(), affinity.node_affinity),
            images: spec.containers.iter().filter_map(|c| c.image.clone()).collect(),
            tolerations: spec.tolerations.unwrap_or_default(),
            condition: condition.map(|c| (c.reason.unwrap_or_default(), c.message.unwrap_or_default())),
            labels,
            node,
        }))
    }
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|c| is_sidecar(c));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c: &Container| c.ports.iter().flatten());
    let taken = ports.filter_map(|port| {
        let ip = port.host_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()).filter(|ip| !ip.is_unspecified());
        let number = port.host_port.filter(|port| *port > 0)?;
        Some(HostPort { port: number, protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()), ip })
    });
    taken.collect()
}

fn company(affinity: &Affinity, namespace: &str, labels: &BTreeMap<String, String>) -> Company {
    let term = |term: &PodAffinityTerm| Term::of(term, namespace, labels);
    let mut company = Company::default();
    let mut prefer = |sign: i64, terms: &Option<Vec<WeightedPodAffinityTerm>>| {
        let weighted = terms.iter().flatten().map(|t| (sign * i64::from(t.weight), term(&t.pod_affinity_term)));
        company.preferred.extend(weighted);
    };
    if let Some(with) = &affinity.pod_affinity {
        prefer(1, &with.preferred_during_scheduling_ignored_during_execution);
    }
    if let Some(without) = &affinity.pod_anti_affinity {
        prefer(-1, &without.preferred_during_scheduling_ignored_during_execution);
    }
    let required = |terms: Option<&Vec<PodAffinityTerm>>| terms.into_iter().flatten().map(term).collect();
    company.with = required(
        affinity.pod_affinity.as_ref().and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
    );
    company.without = required(
        affinity
            .pod_anti_affinity
            .as_ref()
            .and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref()),
    );
    company
}
