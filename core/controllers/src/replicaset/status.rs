//! What a ReplicaSet says of its pods.

use gantry_kinds::tree::list_at;
use gantry_kinds::{LabelSelector, REPLICA_SET};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Set;
use crate::pod_facts::PodFacts;
use crate::{time, write};

/// The status of a set, and when the next of its ready pods becomes available. `failure` is why pods could not be
/// created or deleted: reason and message.
pub(super) fn status(set: &Set<'_>, now: Timestamp, failure: Option<(&str, &str)>) -> (Value, Option<Timestamp>) {
    let template = LabelSelector::from_value(&json!({
        "matchLabels": set.value.pointer("/spec/template/metadata/labels").cloned().unwrap_or_else(|| json!({})),
    }))
    .unwrap_or_else(|_| LabelSelector::nothing());
    let (mut labeled, mut ready, mut available) = (0, 0, 0);
    let mut next: Option<Timestamp> = None;
    for pod in &set.active {
        let facts = PodFacts::of(pod);
        labeled += i64::from(template.matches(&pod.header.labels));
        ready += i64::from(facts.ready);
        match facts.available_at(set.min_ready_seconds, now) {
            Some(due) if time::is_over(due, now) => available += 1,
            Some(due) => next = Some(next.map_or(due, |before| before.min(due))),
            None => {}
        }
    }
    let mut status: Map<String, Value> = set.value["status"].as_object().cloned().unwrap_or_default();
    status.insert("replicas".to_owned(), Value::from(set.active.len()));
    if set.object.key().kind == &REPLICA_SET {
        status.insert("terminatingReplicas".to_owned(), Value::from(set.terminating));
    }
    write::count(&mut status, "fullyLabeledReplicas", labeled);
    write::count(&mut status, "readyReplicas", ready);
    write::count(&mut status, "availableReplicas", available);
    write::count(&mut status, "observedGeneration", set.object.header.generation);
    let conditions = conditions(&set.value, now, failure);
    if conditions.is_empty() {
        status.remove("conditions");
    } else {
        status.insert("conditions".to_owned(), Value::Array(conditions));
    }
    (Value::Object(status), next)
}

/// `ReplicaFailure` stays as it was first said until a turn comes through.
fn conditions(set: &Value, now: Timestamp, failure: Option<(&str, &str)>) -> Vec<Value> {
    let is_failure = |condition: &Value| condition["type"] == "ReplicaFailure";
    let mut conditions = list_at(set, "/status/conditions").to_vec();
    match failure {
        None => conditions.retain(|condition| !is_failure(condition)),
        Some((reason, message)) if !conditions.iter().any(is_failure) => conditions.push(json!({
            "type": "ReplicaFailure", "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": time::stamp(now),
        })),
        Some(_) => {}
    }
    conditions
}
