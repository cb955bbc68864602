//! One ReplicaSet of a deployment, and what a turn makes of it.

use std::sync::Arc;

use gantry_kinds::tree::{self, int_at};
use gantry_kinds::{POD, REPLICA_SET};
use gantry_view::{Intent, Object, Outcome, Turn, View};
use serde_json::{Map, Value, json};

use super::bounds::Bounds;
use super::revision::{DESIRED, HASH, MAX, REVISION};
use crate::pod_facts::{PodFacts, is_active};
use crate::{time, write};

/// A set, with the changes of this turn.
pub(super) struct Set<'a> {
    pub(super) object: &'a Arc<Object>,
    pub(super) value: Value,
    /// `spec.replicas`, as this turn leaves it.
    pub(super) replicas: i64,
    /// As it was.
    before: i64,
    /// `status.replicas`.
    pub(super) running: i64,
    /// `status.readyReplicas`.
    pub(super) ready: i64,
    /// `status.availableReplicas`.
    pub(super) available: i64,
    /// Annotations to write.
    pub(super) annotations: Map<String, Value>,
    /// `spec.minReadySeconds` to write.
    pub(super) min_ready_seconds: Option<i64>,
}

impl<'a> Set<'a> {
    pub(super) fn read(object: &'a Arc<Object>) -> Self {
        let value = object.value();
        let number = |pointer: &str| int_at(&value, pointer).unwrap_or(0);
        let replicas = int_at(&value, "/spec/replicas").unwrap_or(1);
        Set {
            object,
            replicas,
            before: replicas,
            running: number("/status/replicas"),
            ready: number("/status/readyReplicas"),
            available: number("/status/availableReplicas"),
            annotations: Map::new(),
            min_ready_seconds: None,
            value,
        }
    }

    /// Whether its pods are made of this template; the hash label does not count.
    pub(super) fn has_template(&self, template: &Value) -> bool {
        let mut own = self.value.pointer("/spec/template").cloned().unwrap_or_default();
        let mut wanted = template.clone();
        for template in [&mut own, &mut wanted] {
            let labels = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut);
            labels.map(|labels| labels.remove(HASH));
        }
        own == wanted
    }

    /// An annotation, as this turn leaves it.
    pub(super) fn annotation(&self, name: &str) -> &str {
        let pending = self.annotations.get(name);
        let stored = || self.value.pointer("/metadata/annotations").and_then(|all| all.get(name));
        pending.or_else(stored).and_then(Value::as_str).unwrap_or_default()
    }

    /// Writes an annotation unless it says so already.
    pub(super) fn annotate(&mut self, name: &str, text: &str) {
        if self.annotation(name) != text {
            self.annotations.insert(name.to_owned(), Value::from(text));
        }
    }

    /// The revision that it was last rolled out as.
    pub(super) fn revision(&self) -> i64 {
        self.annotation(REVISION).parse().unwrap_or(0)
    }

    /// How many replicas the deployment wanted when the set was last scaled.
    pub(super) fn desired(&self) -> Option<i64> {
        self.annotation(DESIRED).parse().ok()
    }

    /// How many pods the deployment could have had then.
    pub(super) fn max(&self) -> Option<i64> {
        self.annotation(MAX).parse().ok()
    }

    pub(super) fn terminating(&self) -> Option<i64> {
        int_at(&self.value, "/status/terminatingReplicas")
    }

    /// Whether its own controller has seen its last change.
    pub(super) fn is_observed(&self) -> bool {
        self.object.header.generation <= int_at(&self.value, "/status/observedGeneration").unwrap_or(0)
    }

    pub(super) fn failure(&self) -> Option<&Value> {
        tree::list_at(&self.value, "/status/conditions").iter().find(|c| c["type"] == "ReplicaFailure")
    }

    fn pods(&self, view: &'a View) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        view.owned_by(self.object.uid()).filter(|pod| pod.key().kind == &POD && is_active(pod))
    }

    /// How many pods there are or may be at any moment: a set that was scaled down counts those that are still there.
    pub(super) fn occupied(&self, view: &'a View) -> i64 {
        self.replicas.max(number(self.pods(view).count()))
    }

    /// How many available pods there will be when the set has carried out its last scaling. The pods themselves are
    /// asked, because what the status counts may have turned or gone since.
    pub(super) fn lasting(&self, turn: Turn<'a>) -> i64 {
        let min_ready = int_at(&self.value, "/spec/minReadySeconds").unwrap_or(0);
        let is_available = |pod: &&Arc<Object>| {
            let due = PodFacts::of(pod).available_at(min_ready, turn.now);
            due.is_some_and(|due| time::is_over(due, turn.now))
        };
        self.replicas.min(number(self.pods(turn.view).filter(is_available).count()))
    }

    pub(super) fn scale(&mut self, replicas: i64, bounds: Bounds) {
        self.replicas = replicas;
        self.annotate(DESIRED, &bounds.replicas.to_string());
        self.annotate(MAX, &bounds.max().to_string());
    }

    /// The patch that makes it so, and the event that tells of it.
    pub(super) fn finish(self, deployment: &Object, outcome: &mut Outcome) {
        let mut spec = Map::new();
        if self.replicas != self.before {
            spec.insert("replicas".to_owned(), Value::from(self.replicas));
        }
        if let Some(seconds) = self.min_ready_seconds {
            let value = if seconds == 0 { Value::Null } else { Value::from(seconds) };
            spec.insert("minReadySeconds".to_owned(), value);
        }
        if spec.is_empty() && self.annotations.is_empty() {
            return;
        }
        let mut patch = json!({});
        if !self.annotations.is_empty() {
            patch["metadata"] = json!({"annotations": self.annotations});
        }
        if !spec.is_empty() {
            patch["spec"] = Value::Object(spec);
        }
        outcome.push(write::patch(self.object, "", patch));
        if self.replicas != self.before {
            outcome.push(scaled(deployment, self.object.name(), self.before, self.replicas));
        }
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The event of a scaled set.
pub(super) fn scaled(deployment: &Object, set: &str, from: i64, to: i64) -> Intent {
    let direction = if to > from { "up" } else { "down" };
    let message = format!("Scaled {direction} replica set {set} from {from} to {to}");
    write::normal(deployment.key(), "ScalingReplicaSet", message)
}

/// Whether an intent adopts or releases a set.
pub(super) fn is_claim(intent: &Intent) -> bool {
    match intent {
        Intent::Patch { key, patch, .. } => {
            key.kind == &REPLICA_SET && patch.pointer("/metadata/ownerReferences").is_some()
        }
        _ => false,
    }
}
