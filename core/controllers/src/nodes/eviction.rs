//! Pods leave nodes whose taints they do not tolerate, or no longer.
//!
//! Invariants: what a pod tolerates for a while is counted by uptime from when this process first saw the taint, so
//! no clock that is set evicts anything. Of taints that were there when the process began, the time before counts as
//! well, but then the process looks at them itself for `LOOK` at least: restarts do not keep pods for ever, and a
//! node that is back has the time to say so.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{NODE, POD};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Toleration;
use serde_json::{Value, json};

use super::ACCOUNT;
use crate::pod_facts::PodFacts;
use crate::pod_garbage::disrupted;
use crate::{Controller, QueueKey, time, write};

/// How long a process looks at a taint that was there before it, if a pod tolerates it for that long.
const LOOK: Duration = Duration::from_secs(40);

/// A taint on a node, as it was put there: name of the node and the taint.
type Sight = (String, Value);

/// How this process began.
struct Beginning {
    now: Timestamp,
    uptime: Duration,
    /// What was there already.
    taints: Vec<Sight>,
}

impl Beginning {
    fn of(turn: Turn<'_>) -> Self {
        let nodes = turn.view.list(&NODE, None);
        let taints = nodes.flat_map(|node| evicting_taints(node).into_iter().map(|t| (node.name().to_owned(), t)));
        Beginning { now: turn.now, uptime: turn.uptime, taints: taints.collect() }
    }

    /// For how long a pod had the taint already, by the clock of then; `None` for a taint that came later.
    fn age(&self, pod: &Object, taint: &Sight) -> Option<Duration> {
        self.taints.contains(taint).then(|| {
            let since =
                time::at(&taint.1, "/timeAdded").unwrap_or(self.now).max(pod.header.created.unwrap_or(self.now));
            Duration::try_from(self.now.duration_since(since)).unwrap_or_default()
        })
    }
}

/// A taint that a pod tolerates for a while.
struct Wait {
    taint: Sight,
    /// Since when, by uptime.
    at: Duration,
    /// For how long before that; `None` where this process saw the taint come.
    before: Option<Duration>,
}

impl Wait {
    /// When a toleration of `seconds` ends, by uptime.
    fn end(&self, seconds: Duration) -> Duration {
        self.at + self.before.map_or(seconds, |before| seconds.saturating_sub(before).max(seconds.min(LOOK)))
    }
}

/// The controller of evictions by taint.
#[derive(Default)]
pub(crate) struct Eviction {
    beginning: Option<Beginning>,
    /// What pods wait for, by key and uid.
    waits: BTreeMap<ObjectKey, (String, Vec<Wait>)>,
}

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
        let is_over = change.after.as_ref().is_none_or(|after| after.header.deleted.is_some());
        if is_over && self.waits.contains_key(&change.key) {
            out.push(QueueKey::of(&change.key));
        }
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
        self.beginning.get_or_insert_with(|| Beginning::of(turn));
        let Some(key) = key.object() else { return outcome };
        let pod = turn.view.at(key).filter(|pod| pod.header.deleted.is_none());
        let Some(due) = pod.and_then(|pod| self.due(pod, turn)) else {
            self.waits.remove(key);
            return outcome;
        };
        let Some(pod) = pod.filter(|_| due <= turn.uptime) else {
            outcome.again_in(due.saturating_sub(turn.uptime));
            return outcome;
        };
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

impl Eviction {
    /// When a pod has to leave, by uptime; `None` when it may stay.
    fn due(&mut self, pod: &Object, turn: Turn<'_>) -> Option<Duration> {
        let facts = PodFacts::of(pod);
        let node = turn.view.get(&NODE, "", &facts.node)?;
        let known = self.waits.remove(pod.key()).filter(|(uid, _)| uid == pod.uid());
        let mut known = known.map(|(_, waits)| waits).unwrap_or_default();
        let mut waits = Vec::new();
        let mut due = None::<Duration>;
        for taint in evicting_taints(node) {
            let end = match tolerated_for(&facts, &taint) {
                Tolerated::Always => continue,
                Tolerated::Not => turn.uptime,
                Tolerated::For(seconds) => {
                    let sight = (facts.node.clone(), taint);
                    let at = known.iter().position(|wait| wait.taint == sight);
                    let wait = at.map_or_else(|| self.begin(pod, sight, turn), |at| known.swap_remove(at));
                    let end = wait.end(seconds);
                    waits.push(wait);
                    end
                }
            };
            due = Some(due.map_or(end, |due| due.min(end)));
        }
        if !waits.is_empty() {
            self.waits.insert(pod.key().clone(), (pod.uid().to_owned(), waits));
        }
        due
    }

    fn begin(&self, pod: &Object, taint: Sight, turn: Turn<'_>) -> Wait {
        let beginning = self.beginning.as_ref();
        let before = beginning.and_then(|beginning| beginning.age(pod, &taint));
        let at = beginning.filter(|_| before.is_some()).map_or(turn.uptime, |beginning| beginning.uptime);
        Wait { taint, at, before }
    }
}

/// Whether and for how long a pod tolerates a taint.
enum Tolerated {
    Not,
    For(Duration),
    Always,
}

fn tolerated_for(facts: &PodFacts, taint: &Value) -> Tolerated {
    let tolerating: Vec<&Toleration> = facts.tolerations.iter().filter(|t| tolerates(t, taint)).collect();
    if tolerating.is_empty() {
        return Tolerated::Not;
    }
    let seconds = tolerating.iter().filter_map(|toleration| toleration.toleration_seconds).min();
    seconds.map_or(Tolerated::Always, |seconds| Tolerated::For(Duration::from_secs(seconds.max(0).unsigned_abs())))
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
