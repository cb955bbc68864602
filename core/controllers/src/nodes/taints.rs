//! Taints that follow from nodes' conditions: at once those that keep new pods away, slowly those that evict.
//!
//! Invariant: how slowly is counted by uptime. After a time in which all nodes were down, none is emptied for
//! `RECOVERY`, as those that are back need some time to say so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::NODE;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{ACCOUNT, condition_status};
use crate::{Controller, QueueKey, time, write};

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Condition, status and the taint that goes with it.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
];
/// Time between two nodes of a zone that start to be emptied.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same in a large zone of which more than `UNHEALTHY_PERCENT` are not ready; a small one is left alone then.
const DISRUPTED_INTERVAL: Duration = Duration::from_secs(100);
const UNHEALTHY_PERCENT: usize = 55;
const LARGE_ZONE: usize = 50;
/// So many nodes may be down before it counts as a disruption of their zone.
const FEW: usize = 2;

/// Time after a disruption of all zones in which no node starts to be emptied.
const RECOVERY: Duration = Duration::from_secs(40);

/// The controller of taints.
#[derive(Default)]
pub(crate) struct Taints {
    /// When the last node of each zone started to be emptied, by uptime.
    last: BTreeMap<String, Duration>,
    /// Whether all nodes are down together.
    all_down: bool,
    /// Until when none starts to be emptied because all were, by uptime.
    recovered: Duration,
}

impl Controller for Taints {
    fn name(&self) -> &'static str {
        ACCOUNT
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let nodes = view.list(&NODE, None).map(|node| QueueKey::of(node.key()));
        nodes.chain([QueueKey::Sweep]).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind != &NODE {
            return;
        }
        out.push(QueueKey::of(&change.key));
        if change.before.as_deref().map(standing) != change.after.as_deref().map(standing) {
            out.push(QueueKey::Sweep);
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        match key {
            QueueKey::Sweep => self.sweep(turn),
            QueueKey::Object(key) => {
                let mut outcome = Outcome::nothing();
                if let Some(node) = turn.view.at(key) {
                    let value = node.value();
                    write_taints(node, &value, schedule_taints(&value, turn.now), &mut outcome);
                }
                outcome
            }
        }
    }
}

/// What the sweep goes by: readiness, zone and taints of a node.
fn standing(node: &Object) -> (String, String, Vec<Value>) {
    let value = node.value();
    (condition_status(&value, "Ready").to_owned(), zone(node), list_at(&value, "/spec/taints").to_vec())
}

/// The taints of a node with those that keep pods away as its conditions want them. Taints that evict get the time
/// from which tolerations count.
fn schedule_taints(node: &Value, now: Timestamp) -> Vec<Value> {
    let mut wanted: Vec<&str> = Vec::new();
    if node.pointer("/spec/unschedulable") == Some(&Value::Bool(true)) {
        wanted.push(UNSCHEDULABLE);
    }
    let holds = BY_CONDITION.iter().filter(|(kind, status, _)| condition_status(node, kind) == *status);
    wanted.extend(holds.map(|(_, _, taint)| taint));
    let is_ours = |key: &str| key == UNSCHEDULABLE || BY_CONDITION.iter().any(|(_, _, taint)| *taint == key);
    let mut taints = list_at(node, "/spec/taints").to_vec();
    taints.retain(|taint| {
        let key = str_at(taint, "/key");
        str_at(taint, "/effect") != "NoSchedule" || !is_ours(key) || wanted.contains(&key)
    });
    for key in wanted {
        if !taints.iter().any(|taint| taint["key"] == key && taint["effect"] == "NoSchedule") {
            taints.push(json!({"key": key, "effect": "NoSchedule", "timeAdded": time::stamp(now)}));
        }
    }
    for taint in taints.iter_mut().filter(|taint| taint["effect"] == "NoExecute" && taint["timeAdded"].is_null()) {
        taint["timeAdded"] = Value::from(time::stamp(now));
    }
    taints
}

fn write_taints(node: &Object, value: &Value, taints: Vec<Value>, outcome: &mut Outcome) {
    if list_at(value, "/spec/taints") != taints {
        let taints = if taints.is_empty() { Value::Null } else { Value::Array(taints) };
        outcome.push(write::patch(node, "", json!({"spec": {"taints": taints}})));
    }
}

/// A node, and which taint would evict its pods.
struct Candidate<'a> {
    node: &'a Arc<Object>,
    value: Value,
    wanted: Option<&'static str>,
}

impl Candidate<'_> {
    /// Whether its pods are being evicted by us.
    fn is_emptied(&self) -> bool {
        list_at(&self.value, "/spec/taints").iter().any(evicts)
    }

    /// Its taints with `wanted` as the only one of ours that evicts.
    fn with(&self, wanted: Option<&str>, now: Timestamp) -> Vec<Value> {
        let mut taints = list_at(&self.value, "/spec/taints").to_vec();
        taints.retain(|taint| !evicts(taint) || wanted.is_some_and(|key| taint["key"] == key));
        if let Some(key) = wanted.filter(|key| !taints.iter().any(|taint| evicts(taint) && taint["key"] == *key)) {
            taints.push(json!({"key": key, "effect": "NoExecute", "timeAdded": time::stamp(now)}));
        }
        taints
    }
}

fn evicts(taint: &Value) -> bool {
    taint["effect"] == "NoExecute" && [NOT_READY, UNREACHABLE].contains(&str_at(taint, "/key"))
}

impl Taints {
    /// Zones are emptied one node at a time. A zone in which no node is ready is emptied as any other, unless all are
    /// like that: then none is, and what was begun is called off.
    fn sweep(&mut self, turn: Turn<'_>) -> Outcome {
        let zones = zones(turn.view);
        self.last.retain(|zone, _| zones.contains_key(zone));
        let mut outcome = Outcome::nothing();
        let all_down = !zones.is_empty() && zones.values().flatten().all(|candidate| candidate.wanted.is_some());
        if self.all_down && !all_down {
            self.recovered = turn.uptime + RECOVERY;
        }
        self.all_down = all_down;
        for (zone, nodes) in &zones {
            for candidate in nodes {
                let keeps = candidate.wanted.filter(|_| candidate.is_emptied() && !all_down);
                write_taints(candidate.node, &candidate.value, candidate.with(keeps, turn.now), &mut outcome);
            }
            if !all_down {
                self.empty_one(zone, nodes, turn, &mut outcome);
            }
        }
        outcome
    }

    /// Starts to empty the next node of a zone, if the last was long enough ago.
    fn empty_one(&mut self, zone: &str, nodes: &[Candidate<'_>], turn: Turn<'_>, outcome: &mut Outcome) {
        let waiting = |c: &&Candidate<'_>| c.wanted.is_some() && !c.is_emptied();
        let (Some(next), Some(interval)) = (nodes.iter().find(waiting), interval(nodes)) else { return };
        let due = self.last.get(zone).map_or(self.recovered, |last| (*last + interval).max(self.recovered));
        if due > turn.uptime {
            return outcome.again_in(due.saturating_sub(turn.uptime));
        }
        self.last.insert(zone.to_owned(), turn.uptime);
        write_taints(next.node, &next.value, next.with(next.wanted, turn.now), outcome);
        outcome.again_in(interval);
    }
}

fn zones(view: &View) -> BTreeMap<String, Vec<Candidate<'_>>> {
    let mut zones: BTreeMap<String, Vec<Candidate<'_>>> = BTreeMap::new();
    for node in view.list(&NODE, None) {
        let value = node.value();
        let wanted = match condition_status(&value, "Ready") {
            "False" => Some(NOT_READY),
            "Unknown" => Some(UNREACHABLE),
            _ => None,
        };
        zones.entry(zone(node)).or_default().push(Candidate { node, value, wanted });
    }
    zones
}

fn zone(node: &Object) -> String {
    let label = |key: &str| node.header.labels.get(key).map_or("", String::as_str);
    format!("{}/{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

/// How long to wait between two nodes; `None` for ever.
fn interval(nodes: &[Candidate<'_>]) -> Option<Duration> {
    let down = nodes.iter().filter(|candidate| candidate.wanted.is_some()).count();
    let all_down = down == nodes.len();
    let disrupted = down > FEW && down * 100 >= UNHEALTHY_PERCENT * nodes.len() && !all_down;
    match disrupted {
        false => Some(INTERVAL),
        true if nodes.len() > LARGE_ZONE => Some(DISRUPTED_INTERVAL),
        true => None,
    }
}
