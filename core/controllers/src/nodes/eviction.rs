//! Pods leave nodes whose taints they do not tolerate, or no longer.

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{NODE, POD};
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

use super::ACCOUNT;
use crate::pod_facts::PodFacts;
use crate::pod_garbage::disrupted;
use crate::{Controller, QueueKey, time, write};

/// The controller of evictions by taint.
pub(crate) struct Eviction;

impl Controller for Eviction {
    fn name(&self) -> &'static str {
        ACCOUNT
    }

    fn component(&self) -> &'static str {
        "taint-eviction-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let tainted = view.list(&NODE, None).filter(|node| !evicting_taints(node).is_empty());
        tainted.flat_map(|node| pods_of(view, node)).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let Some(after) = &change.after else { return };
        if change.key.kind == &NODE {
            let before = change.before.as_ref().map(|before| evicting_taints(before)).unwrap_or_default();
            if before != evicting_taints(after) {
                out.extend(pods_of(view, after));
            }
        } else if change.key.kind == &POD && after.header.deleted.is_none() {
            let bound = |pod: &Object| pod.field("spec.nodeName").unwrap_or_default().to_owned();
            let before = change.before.as_ref();
            let tolerates = |pod: &Object| PodFacts::of(pod).tolerations.clone();
            if before.is_none_or(|b| bound(b) != bound(after) || tolerates(b) != tolerates(after)) {
                out.push(QueueKey::of(&change.key));
            }
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let pod = key.object().and_then(|key| turn.view.at(key)).filter(|pod| pod.header.deleted.is_none());
        let Some(pod) = pod else { return outcome };
        let facts = PodFacts::of(pod);
        let Some(node) = turn.view.get(&NODE, "", &facts.node) else { return outcome };
        let Some(due) = due(pod, &facts, &evicting_taints(node), turn.now) else { return outcome };
        if let Some(left) = time::until(due, turn.now) {
            outcome.again_in(left);
            return outcome;
        }
        let message = format!("Marking for deletion Pod {}/{}", pod.namespace(), pod.name());
        outcome.push(write::normal(pod.key(), "TaintManagerEviction", message));
        let why = "Taint manager: deleting due to NoExecute taint";
        let conditions = disrupted(&pod.value(), "DeletionByTaintManager", why, turn.now);
        outcome.push(write::patch(pod, "status", json!({"status": {"conditions": conditions}})));
        outcome.push(write::delete(pod));
        outcome
    }
}

fn pods_of(view: &View, node: &Object) -> Vec<QueueKey> {
    view.by_field(&POD, "spec.nodeName", node.name()).map(|pod| QueueKey::of(pod.key())).collect()
}

fn evicting_taints(node: &Object) -> Vec<Value> {
    let value = node.value();
    list_at(&value, "/spec/taints").iter().filter(|taint| taint["effect"] == "NoExecute").cloned().collect()
}

/// When a pod has to leave; `None` when it may stay.
fn due(pod: &Object, facts: &PodFacts, taints: &[Value], now: Timestamp) -> Option<Timestamp> {
    let of_taint = |taint: &Value| {
        let tolerating: Vec<&Toleration> = facts.tolerations.iter().filter(|t| tolerates(t, taint)).collect();
        if tolerating.is_empty() {
            return Some(now);
        }
        let seconds = tolerating.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
        // A pod that came later is counted from then.
        let since = time::at(taint, "/timeAdded").unwrap_or(now).max(pod.header.created.unwrap_or(Timestamp::MIN));
        Some(time::after(since, seconds.max(0)))
    };
    taints.iter().filter_map(of_taint).min()
}

fn tolerates(toleration: &Toleration, taint: &Value) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (key, effect) = (text(&toleration.key), text(&toleration.effect));
    let (taint_key, taint_value) = (str_at(taint, "/key"), str_at(taint, "/value"));
    if !effect.is_empty() && effect != str_at(taint, "/effect") || !key.is_empty() && key != taint_key {
        return false;
    }
    let (own, theirs) = (text(&toleration.value).parse::<i64>(), taint_value.parse::<i64>());
    match text(&toleration.operator).as_str() {
        "Exists" => true,
        "" | "Equal" => text(&toleration.value) == taint_value,
        "Lt" => matches!((own, theirs), (Ok(own), Ok(theirs)) if theirs < own),
        "Gt" => matches!((own, theirs), (Ok(own), Ok(theirs)) if theirs > own),
        _ => false,
    }
}
