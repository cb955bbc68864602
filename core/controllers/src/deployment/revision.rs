//! The new set: its name, its revision and its annotations.

use gantry_kinds::{REPLICA_SET, Status, tree};
use gantry_view::Intent;
use serde_json::{Map, Value, json};

use super::bounds::Bounds;
use super::{Rollout, set};
use crate::{owners, suffix};

/// Label by which the pods of one template are told from those of another.
pub(super) const HASH: &str = "pod-template-hash";
/// Which rollout of its deployment a set was.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The rollouts that it was before.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// Longest list of earlier rollouts, in bytes.
const REVISION_HISTORY_MAX: usize = 2000;
/// Wanted replicas of the deployment when the set was scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the surge.
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of a deployment that are not for its sets.
fn is_private(annotation: &str) -> bool {
    matches!(
        annotation,
        "kubectl.kubernetes.io/last-applied-configuration"
            | "deprecated.deployment.rollback.to"
            | REVISION
            | REVISION_HISTORY
            | DESIRED
            | MAX
    )
}

impl Rollout<'_> {
    fn next_revision(&self) -> i64 {
        self.old().into_iter().map(|at| self.sets[at].revision()).max().unwrap_or(0) + 1
    }

    /// Brings the new set's annotations up to date, and the deployment's revision after it. Without a new set there
    /// is nothing to follow.
    pub(super) fn follow_new(&mut self) {
        let Some(at) = self.new else { return };
        let next = self.next_revision();
        let min_ready = tree::int_at(&self.value, "/spec/minReadySeconds").unwrap_or(0);
        let copied = self.copied_annotations();
        let set = &mut self.sets[at];
        for (name, text) in copied {
            set.annotate(&name, text.as_str().unwrap_or_default());
        }
        let before = set.revision();
        if before < next {
            if before > 0 {
                let history = extend(set.annotation(REVISION_HISTORY), before);
                set.annotate(REVISION_HISTORY, &history);
            }
            set.annotate(REVISION, &next.to_string());
        }
        if tree::int_at(&set.value, "/spec/minReadySeconds").unwrap_or(0) != min_ready {
            set.min_ready_seconds = Some(min_ready);
        }
        let name = set.object.name().to_owned();
        self.revision = Some(set.annotation(REVISION).to_owned());
        if self.deadline.is_some() && self.conditions.get("Progressing").is_none() {
            let message = format!("Found new replica set {name:?}");
            self.conditions.set("Progressing", "True", "FoundNewReplicaSet", &message);
        }
    }

    fn copied_annotations(&self) -> Map<String, Value> {
        let all = tree::map_at(&self.value, "/metadata/annotations");
        all.filter(|(name, _)| !is_private(name)).map(|(name, text)| (name.clone(), text.clone())).collect()
    }

    /// Creates the set of the deployment's template. Where its name is taken by another template, the collision is
    /// counted, which gives the next turn another name.
    pub(super) fn create_new(&mut self) {
        let hash = self.hash();
        let name = format!("{}-{hash}", self.object.name());
        let namespace = self.object.namespace();
        if self.turn.view.get(&REPLICA_SET, namespace, &name).is_some() {
            self.collisions += 1;
            return;
        }
        let revision = self.next_revision().to_string();
        let replicas = self.first_size();
        let body = self.new_body(&name, &hash, &revision, replicas);
        self.out.push(Intent::Create { kind: &REPLICA_SET, namespace: namespace.to_owned(), body });
        if replicas > 0 {
            self.out.push(set::scaled(self.object, &name, 0, replicas));
        }
        self.revision = Some(revision);
        if self.deadline.is_some() {
            let message = format!("Created new replica set {name:?}");
            self.conditions.set("Progressing", "True", "NewReplicaSetCreated", &message);
        }
    }

    /// What is said when the new set was refused.
    pub(super) fn creation_failed(&mut self, status: &Status) {
        let name = format!("{}-{}", self.object.name(), self.hash());
        let message = format!("Failed to create new replica set {name:?}: {status}");
        if self.deadline.is_some() {
            self.conditions.set("Progressing", "False", "ReplicaSetCreateError", &message);
        }
        self.write_status(false);
    }

    pub(super) fn hash(&self) -> String {
        let template = serde_json::to_vec(&self.value["spec"]["template"]).unwrap_or_default();
        let collisions = self.collisions.to_le_bytes();
        let salt: &[u8] = if self.collisions == 0 { &[] } else { &collisions };
        suffix::encode(suffix::fnv(&[&template, salt]))
    }

    /// How many replicas a new set starts with.
    fn first_size(&self) -> i64 {
        let Bounds { replicas, rolling, .. } = self.bounds;
        if rolling { self.room().clamp(0, replicas) } else { replicas }
    }

    fn new_body(&self, name: &str, hash: &str, revision: &str, replicas: i64) -> Value {
        let mut template = self.value["spec"]["template"].clone();
        template["metadata"]["labels"][HASH] = Value::from(hash);
        let mut selector = self.value["spec"]["selector"].clone();
        selector["matchLabels"][HASH] = Value::from(hash);
        let mut annotations = self.copied_annotations();
        annotations.insert(REVISION.to_owned(), Value::from(revision));
        annotations.insert(DESIRED.to_owned(), Value::from(self.bounds.replicas.to_string()));
        annotations.insert(MAX.to_owned(), Value::from(self.bounds.max().to_string()));
        let mut spec = json!({"replicas": replicas, "selector": selector, "template": template});
        if let Some(seconds) = tree::int_at(&self.value, "/spec/minReadySeconds") {
            spec["minReadySeconds"] = Value::from(seconds);
        }
        json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": self.object.namespace(), "annotations": annotations,
                "labels": spec["template"]["metadata"]["labels"], "ownerReferences": [owners::reference(self.object)],
            },
            "spec": spec,
        })
    }
}

/// The list of earlier revisions with one more; the oldest go when it grows too long.
fn extend(history: &str, revision: i64) -> String {
    let revision = revision.to_string();
    let mut all: Vec<&str> = history.split(',').filter(|entry| !entry.is_empty()).collect();
    all.push(&revision);
    while all.len() > 1 && all.iter().map(|entry| entry.len() + 1).sum::<usize>() > REVISION_HISTORY_MAX {
        all.remove(0);
    }
    all.join(",")
}
