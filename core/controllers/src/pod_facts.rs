//! What controllers want to know of a pod, read once for each of its versions.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gantry_view::Object;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use serde::Deserialize;

use crate::time;

/// Annotation by which a pod says how dear it is when some must go.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// A port that a container names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NamedPort {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) container_port: i64,
    #[serde(default = "tcp")]
    pub(crate) protocol: String,
}

fn tcp() -> String {
    "TCP".to_owned()
}

/// The facts of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PodFacts {
    pub(crate) phase: String,
    pub(crate) node: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) hostname: String,
    pub(crate) subdomain: String,
    pub(crate) ready: bool,
    /// Since when its readiness is what it is.
    pub(crate) ready_since: Option<Timestamp>,
    pub(crate) deletion_cost: i32,
    /// Restarts of ordinary containers, then of sidecars.
    pub(crate) restarts: (i64, i64),
    pub(crate) ports: Vec<NamedPort>,
    pub(crate) tolerations: Vec<Toleration>,
}

#[derive(Deserialize)]
struct Raw {
    metadata: RawMeta,
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Deserialize)]
struct RawMeta {
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawSpec {
    node_name: String,
    hostname: String,
    subdomain: String,
    containers: Vec<RawContainer>,
    init_containers: Vec<RawContainer>,
    tolerations: Vec<Toleration>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainer {
    name: String,
    restart_policy: String,
    ports: Vec<NamedPort>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: String,
    #[serde(rename = "podIPs")]
    pod_ips: Vec<RawAddress>,
    conditions: Vec<RawCondition>,
    container_statuses: Vec<RawContainerStatus>,
    init_container_statuses: Vec<RawContainerStatus>,
}

#[derive(Deserialize)]
struct RawAddress {
    ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RawContainerStatus {
    name: String,
    restart_count: i64,
}

impl PodFacts {
    /// The facts of a pod. One that cannot be read is a pod without any, which no controller counts as running.
    pub(crate) fn of(pod: &Object) -> Cow<'_, PodFacts> {
        pod.derived::<PodFacts>(Self::read).map_or_else(|| Cow::Owned(Self::read(pod)), Cow::Borrowed)
    }

    fn read(pod: &Object) -> PodFacts {
        let Ok(raw) = serde_json::from_slice::<Raw>(pod.json()) else { return PodFacts::default() };
        let RawSpec { containers, init_containers, .. } = &raw.spec;
        let is_sidecar = |name: &str| init_containers.iter().any(|c| c.name == name && c.restart_policy == "Always");
        let sidecars = raw.status.init_container_statuses.iter().filter(|s| is_sidecar(&s.name));
        let restarts = (
            raw.status.container_statuses.iter().map(|s| s.restart_count).sum(),
            sidecars.map(|s| s.restart_count).sum(),
        );
        let running = containers.iter().chain(init_containers.iter().filter(|c| c.restart_policy == "Always"));
        let ports = running.flat_map(|c| c.ports.iter().cloned()).collect();
        let cost = raw.metadata.annotations.as_ref().and_then(|a| a.get(DELETION_COST));
        let ready = raw.status.conditions.iter().find(|c| c.kind == "Ready");
        let mut addresses: Vec<String> = raw.status.pod_ips.into_iter().map(|a| a.ip).collect();
        if addresses.is_empty() && !raw.status.pod_ip.is_empty() {
            addresses.push(raw.status.pod_ip);
        }
        PodFacts {
            ready: ready.is_some_and(|c| c.status == "True"),
            ready_since: ready.and_then(|c| c.last_transition_time),
            deletion_cost: cost.and_then(|text| text.parse().ok()).unwrap_or(0),
            phase: raw.status.phase,
            node: raw.spec.node_name,
            hostname: raw.spec.hostname,
            subdomain: raw.spec.subdomain,
            tolerations: raw.spec.tolerations,
            restarts,
            addresses,
            ports,
        }
    }

    /// Whether it has run to its end, one way or the other.
    pub(crate) fn is_terminal(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// When it counts as available, if it stays ready; `None` while it is not ready.
    pub(crate) fn available_at(&self, min_ready_seconds: i64, now: Timestamp) -> Option<Timestamp> {
        match self.ready_since {
            _ if !self.ready => None,
            _ if min_ready_seconds == 0 => Some(now),
            since => since.map(|since| time::after(since, min_ready_seconds)),
        }
    }
}

/// Whether a pod still counts for who manages it: neither over nor being deleted.
pub(crate) fn is_active(pod: &Object) -> bool {
    pod.header.deleted.is_none() && !PodFacts::of(pod).is_terminal()
}
