//! ReplicaSets, and ReplicationControllers from before them: as many pods as asked for, of one template.
//!
//! Invariants: pods are created one after another and the first refusal ends the turn, so a template that is refused
//! costs one request a turn; never more than `BURST` pods change in one turn; what matches and is nobody's is adopted
//! before anything is created; pods go in the order in which they are missed least.

mod rank;
mod status;

use std::sync::Arc;

use gantry_kinds::tree::int_at;
use gantry_kinds::{KindRef, POD, REPLICA_SET, REPLICATION_CONTROLLER, Status, names};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::owners::{self, adopters};
use crate::pod_facts::{PodFacts, is_active};
use crate::{Controller, QueueKey, suffix, takes_objects, time, write};

/// Pods that one turn creates or deletes at most.
const BURST: usize = 500;

/// The controller of sets of one kind.
pub(crate) struct ReplicaSets {
    kind: KindRef,
    name: &'static str,
}

impl ReplicaSets {
    /// Of ReplicaSets.
    pub(crate) fn sets() -> Self {
        ReplicaSets { kind: &REPLICA_SET, name: "replicaset-controller" }
    }
    /// Of ReplicationControllers.
    pub(crate) fn controllers() -> Self {
        ReplicaSets { kind: &REPLICATION_CONTROLLER, name: "replication-controller" }
    }
}

/// A ReplicaSet with its pods.
struct Set<'a> {
    object: &'a Arc<Object>,
    value: Value,
    replicas: usize,
    min_ready_seconds: i64,
    /// Pods that count.
    active: Vec<&'a Arc<Object>>,
    /// How many are on their way out.
    terminating: usize,
    /// Adoptions and releases.
    claims: Vec<Intent>,
}

impl Controller for ReplicaSets {
    fn name(&self) -> &'static str {
        self.name
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(self.kind, None).map(|set| QueueKey::of(set.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == self.kind {
            out.push(QueueKey::of(&change.key));
        }
        if change.key.kind != &POD {
            return;
        }
        for pod in [&change.before, &change.after].into_iter().flatten() {
            out.extend(owners::manager(view, self.kind, pod).map(|set| QueueKey::of(set.key())));
        }
        if let Some(pod) = change.after.as_ref().filter(|pod| pod.controller().is_none()) {
            out.extend(adopters(view, self.kind, pod).into_iter().map(QueueKey::Object));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(set) = key.object().and_then(|key| Set::read(key, turn.view)) else { return Outcome::nothing() };
        let mut outcome = Outcome { intents: set.claims.clone(), ..Outcome::default() };
        if set.object.header.deleted.is_none() {
            if set.active.len() < set.replicas {
                set.create(turn, &mut outcome);
            } else if set.active.len() > set.replicas {
                set.delete(turn, &mut outcome);
            }
        }
        let (status, next) = set.status(turn.now, None);
        outcome.intents.extend(set.status_intent(&status));
        if let Some(delay) = next.and_then(|due| time::until(due, turn.now)) {
            outcome.again_in(delay);
        }
        outcome
    }

    fn refused(&mut self, key: &QueueKey, intent: &Intent, status: &Status, turn: Turn<'_>) -> Outcome {
        let (reason, verb) = match intent {
            Intent::Create { kind, .. } if *kind == &POD => ("FailedCreate", "creating"),
            Intent::Delete { key, .. } if key.kind == &POD => ("FailedDelete", "deleting"),
            _ => return Outcome::nothing(),
        };
        let moved = status.code == 409 || !takes_objects_of(turn.view, key);
        let Some(set) = key.object().filter(|_| !moved).and_then(|key| Set::read(key, turn.view)) else {
            return Outcome::nothing();
        };
        let mut outcome = Outcome::nothing();
        outcome.push(write::warning(set.object.key(), reason, format!("Error {verb}: {status}")));
        let (counts, _) = set.status(turn.now, Some((reason, &status.message)));
        outcome.intents.extend(set.status_intent(&counts));
        outcome
    }
}

fn takes_objects_of(view: &View, key: &QueueKey) -> bool {
    key.object().is_some_and(|key| takes_objects(view, &key.namespace))
}

impl<'a> Set<'a> {
    fn read(key: &ObjectKey, view: &'a View) -> Option<Self> {
        let object = view.at(key)?;
        let value = object.value();
        let selector = owners::selector(key.kind, &value);
        let ours = |pod: &Object| pod.controller().is_none_or(|controller| controller.uid == object.uid());
        let candidates = view.list(&POD, Some(object.namespace())).filter(|pod| ours(pod) && is_active(pod));
        let claim = owners::claim(object, &selector, candidates);
        let leaving = view.owned_by(object.uid()).filter(|pod| {
            pod.key().kind == &POD
                && pod.header.deleted.is_some()
                && owners::manages(object, pod)
                && !PodFacts::of(pod).is_terminal()
        });
        let terminating = leaving.count();
        let replicas = int_at(&value, "/spec/replicas").unwrap_or(1);
        Some(Set {
            object,
            replicas: usize::try_from(replicas).unwrap_or(0),
            min_ready_seconds: int_at(&value, "/spec/minReadySeconds").unwrap_or(0),
            value,
            active: claim.owned,
            terminating,
            claims: claim.intents,
        })
    }

    fn create(&self, turn: Turn<'_>, outcome: &mut Outcome) {
        if !takes_objects(turn.view, self.object.namespace()) {
            return;
        }
        let missing = (self.replicas - self.active.len()).min(BURST);
        let pod = self.pod();
        let stem = pod["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
        for at in 0..missing {
            let name = suffix::name(&stem, turn.seed, at);
            let mut body = pod.clone();
            body["metadata"]["name"] = Value::from(name.as_str());
            outcome.push(Intent::Create { kind: &POD, namespace: self.object.namespace().to_owned(), body });
            outcome.push(write::normal(self.object.key(), "SuccessfulCreate", format!("Created pod: {name}")));
        }
    }

    /// A pod of the template, without its name.
    fn pod(&self) -> Value {
        let template = self.value.pointer("/spec/template").cloned().unwrap_or_default();
        let dashed = format!("{}-", self.object.name());
        let stem = if names::dns_subdomain(dashed.trim_end_matches('-')).is_empty() {
            dashed
        } else {
            self.object.name().to_owned()
        };
        let mut metadata = json!({
            "namespace": self.object.namespace(), "generateName": stem,
            "ownerReferences": [owners::reference(self.object)],
        });
        for field in ["labels", "annotations", "finalizers"] {
            if let Some(found) = template.pointer(&format!("/metadata/{field}")) {
                metadata[field] = found.clone();
            }
        }
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
    }

    fn delete(&self, turn: Turn<'_>, outcome: &mut Outcome) {
        let surplus = (self.active.len() - self.replicas).min(BURST);
        let chosen = if surplus == self.active.len() {
            self.active.clone()
        } else {
            rank::least_missed(&self.active, &self.relatives(turn.view), turn.now, surplus)
        };
        for pod in chosen {
            outcome.push(write::delete(pod));
            let message = format!("Deleted pod: {}", pod.name());
            outcome.push(write::normal(self.object.key(), "SuccessfulDelete", message));
        }
    }

    /// The pods of this set and of its siblings, by which pods that share a node are told.
    fn relatives(&self, view: &'a View) -> Vec<&'a Arc<Object>> {
        let Some(owner) = self.object.controller() else { return self.active.clone() };
        let siblings = view.owned_by(&owner.uid).filter(|sibling| sibling.key().kind == &REPLICA_SET);
        let pods = siblings.flat_map(|sibling| view.owned_by(sibling.uid()));
        pods.filter(|pod| pod.key().kind == &POD && is_active(pod)).collect()
    }

    fn status(&self, now: Timestamp, failure: Option<(&str, &str)>) -> (Value, Option<Timestamp>) {
        status::status(self, now, failure)
    }

    fn status_intent(&self, status: &Value) -> Option<Intent> {
        write::status(self.object, &self.value["status"], status)
    }
}

#[cfg(test)]
mod tests;
