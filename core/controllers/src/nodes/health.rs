//! Whether nodes are heard of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LEASE, NODE, POD, Status};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::release::{Marks, release};
use super::{ACCOUNT, condition_status};
use crate::pod_facts::PodFacts;
use crate::settings::NODE_GRACE_SECONDS;
use crate::{Controller, QueueKey, conditions, time, write};

/// How often each node is looked at.
const PERIOD: Duration = Duration::from_secs(5);
/// Time between two turns after which this process itself has stood still.
const STALL: Duration = Duration::from_secs(15);
/// Codes with which the store, and not what was asked, refuses a write: it cannot be reached, does not answer, is full.
const STORE_REFUSES: [u16; 3] = [503, 504, 507];
/// Pods that one turn marks at most.
const BURST: usize = 500;
/// Namespace of the nodes' leases.
const LEASES: &str = "kube-node-lease";
/// The conditions that nobody knows any more when a node is silent.
const CONDITIONS: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// What was last heard of a node, and when.
struct Heard {
    uid: String,
    lease: u64,
    heartbeat: String,
    /// By uptime.
    at: Duration,
    /// Its pods that are released because it is silent since then.
    marks: Marks,
}

/// The controller of nodes' health.
pub(crate) struct Health {
    /// Time without a sign of life after which a node counts as unreachable.
    grace: Duration,
    heard: BTreeMap<String, Heard>,
    last_turn: Option<Duration>,
}

impl Controller for Health {
    fn name(&self) -> &'static str {
        ACCOUNT
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&NODE, None).map(|node| QueueKey::of(node.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        let key = &change.key;
        if key.kind == &NODE {
            out.push(QueueKey::of(key));
        } else if key.kind == &LEASE && &*key.namespace == LEASES {
            out.push(QueueKey::Object(ObjectKey::new(&NODE, "", &key.name)));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(key) = key.object() else { return Outcome::nothing() };
        self.forgive_own_stall(turn.uptime);
        let mut outcome = Outcome::nothing();
        let Some(node) = turn.view.at(key) else {
            if self.heard.remove(&*key.name).is_some() {
                let message = format!("Node {0} event: Removing Node {0} from Controller", key.name);
                outcome.push(write::normal(key, "RemovingNode", message));
            }
            return outcome;
        };
        let value = node.value();
        let silent_since = self.listen(node, &value, turn, &mut outcome);
        let left = (silent_since + self.grace).saturating_sub(turn.uptime);
        if left.is_zero() {
            declare_silent(node, &value, turn, &mut outcome);
        }
        if let Some(heard) = self.heard.get_mut(node.name()) {
            release(node, turn.uptime.saturating_sub(silent_since), &mut heard.marks, turn, &mut outcome);
        }
        outcome.again_in(if left.is_zero() { PERIOD } else { left.min(PERIOD) });
        outcome
    }

    fn refused(&mut self, _key: &QueueKey, _intent: &Intent, status: &Status, turn: Turn<'_>) -> Outcome {
        // What this server cannot write, nodes could not either: it was not they who were silent.
        if STORE_REFUSES.contains(&status.code) {
            self.forgive(turn.uptime);
        }
        Outcome::nothing()
    }
}

impl Default for Health {
    fn default() -> Self {
        Health::new(NODE_GRACE_SECONDS)
    }
}

impl Health {
    pub(crate) fn new(grace: i64) -> Self {
        Health { grace: Duration::from_secs(grace.unsigned_abs()), heard: BTreeMap::new(), last_turn: None }
    }

    /// Signs of life that came while this process stood still were not heard.
    fn forgive_own_stall(&mut self, now: Duration) {
        let stalled = self.last_turn.is_some_and(|last| last + STALL <= now);
        if stalled {
            self.forgive(now);
        }
        self.last_turn = Some(now);
    }

    /// Everybody counts as heard of now.
    fn forgive(&mut self, now: Duration) {
        for heard in self.heard.values_mut() {
            heard.at = now;
            heard.marks.clear();
        }
    }

    /// Notes what is new of a node. Returns when it was last heard of, by uptime.
    fn listen(&mut self, node: &Object, value: &Value, turn: Turn<'_>, outcome: &mut Outcome) -> Duration {
        let lease = turn.view.get(&LEASE, LEASES, node.name()).map_or(0, |lease| lease.header.revision);
        let heartbeat = conditions::find(value, "Ready").map(|c| str_at(c, "/lastHeartbeatTime")).unwrap_or_default();
        let known = self.heard.get(node.name()).filter(|heard| heard.uid == node.uid());
        let at = match known {
            Some(heard) if heard.lease == lease && heard.heartbeat == heartbeat => return heard.at,
            Some(_) => turn.uptime,
            None => {
                let message = format!("Node {0} event: Registered Node {0} in Controller", node.name());
                outcome.push(write::normal(node.key(), "RegisteredNode", message));
                turn.uptime
            }
        };
        let heard =
            Heard { uid: node.uid().to_owned(), lease, heartbeat: heartbeat.to_owned(), at, marks: Marks::new() };
        self.heard.insert(node.name().to_owned(), heard);
        at
    }
}

/// Says of a silent node that nothing is known of it, and of its pods that they are not ready.
fn declare_silent(node: &Arc<Object>, value: &Value, turn: Turn<'_>, outcome: &mut Outcome) {
    let conditions = unknown(node, value, turn.now);
    if conditions != list_at(value, "/status/conditions") {
        outcome.push(write::patch(node, "status", json!({"status": {"conditions": conditions}})));
        if condition_status(value, "Ready") == "True" {
            let message = format!("Node {} status is now: NodeNotReady", node.name());
            outcome.push(write::normal(node.key(), "NodeNotReady", message));
        }
    }
    let pods = turn.view.by_field(&POD, "spec.nodeName", node.name()).filter(|pod| PodFacts::of(pod).ready);
    for pod in pods.take(BURST) {
        outcome.push(not_ready(pod, turn.now));
        outcome.push(write::warning(pod.key(), "NodeNotReady", "Node is not ready".to_owned()));
    }
}

fn unknown(node: &Object, value: &Value, now: Timestamp) -> Vec<Value> {
    let mut conditions = list_at(value, "/status/conditions").to_vec();
    for kind in CONDITIONS {
        let found = conditions.iter_mut().find(|condition| condition["type"] == kind);
        match found {
            Some(condition) if condition["status"] == "Unknown" => {}
            Some(condition) => {
                condition["status"] = Value::from("Unknown");
                condition["reason"] = Value::from("NodeStatusUnknown");
                condition["message"] = Value::from("Kubelet stopped posting node status.");
                condition["lastTransitionTime"] = Value::from(time::stamp(now));
            }
            None => conditions.push(json!({
                "type": kind, "status": "Unknown", "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node.header.created.map(time::stamp),
                "lastTransitionTime": time::stamp(now),
            })),
        }
    }
    conditions
}

fn not_ready(pod: &Arc<Object>, now: Timestamp) -> Intent {
    let mut conditions = list_at(&pod.value(), "/status/conditions").to_vec();
    if let Some(ready) = conditions.iter_mut().find(|condition| condition["type"] == "Ready") {
        ready["status"] = Value::from("False");
        ready["lastTransitionTime"] = Value::from(time::stamp(now));
    }
    write::patch(pod, "status", json!({"status": {"conditions": conditions}}))
}
