//! What a deployment says of itself: counts, conditions, and how its rollout goes.

use std::time::Duration;

use gantry_kinds::tree::int_at;
use serde_json::{Map, Value, json};

use super::Rollout;
use super::revision::REVISION;
use super::set::Set;
use crate::{time, write};

/// How long after its deadline a rollout is judged, as times are kept in whole seconds.
const MARGIN: Duration = Duration::from_secs(1);

/// The counts of a status.
#[derive(Clone, Copy)]
struct Counts {
    replicas: i64,
    updated: i64,
    ready: i64,
    available: i64,
}

impl Rollout<'_> {
    fn counts(&self) -> Counts {
        let sum = |count: fn(&Set<'_>) -> i64| self.sets.iter().map(count).sum();
        Counts {
            replicas: sum(|set| set.running),
            updated: self.new_set().map_or(0, |set| set.running),
            ready: sum(|set| set.ready),
            available: sum(|set| set.available),
        }
    }

    /// Whether all pods are of the new template and available, and no other is left.
    pub(super) fn is_complete(&self) -> bool {
        let Counts { replicas, updated, available, .. } = self.counts();
        [replicas, updated, available].iter().all(|count| *count == self.bounds.replicas)
    }

    /// Says that a rollout rests, or goes on.
    pub(super) fn note_pause(&mut self) {
        let reason = self.conditions.reason("Progressing");
        if self.deadline.is_none() || reason == "ProgressDeadlineExceeded" {
            return;
        }
        let was_paused = reason == "DeploymentPaused";
        if self.paused && !was_paused {
            self.conditions.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
        } else if !self.paused && was_paused {
            self.conditions.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
        }
    }

    /// Writes the status where it differs from the one that is there; with `judge`, judges the rollout too.
    pub(super) fn write_status(&mut self, judge: bool) {
        let counts = self.counts();
        self.note_availability(counts);
        if judge {
            self.note_progress(counts);
            self.note_failure();
        }
        let mut change = Map::new();
        if let Some(status) = write::difference(&self.value["status"], &self.status(counts)) {
            change.insert("status".to_owned(), status);
        }
        if let Some(revision) = self.new_revision() {
            change.insert("metadata".to_owned(), json!({"annotations": {REVISION: revision}}));
        }
        if !change.is_empty() {
            self.out.push(write::patch(self.object, "status", Value::Object(change)));
        }
        self.look_again();
    }

    /// The revision to annotate the deployment with, where it says another.
    fn new_revision(&self) -> Option<String> {
        let present = self.value.pointer("/metadata/annotations").and_then(|all| all.get(REVISION));
        self.revision.clone().filter(|wanted| present.and_then(Value::as_str) != Some(wanted))
    }

    fn status(&self, counts: Counts) -> Value {
        let mut status: Map<String, Value> = self.value["status"].as_object().cloned().unwrap_or_default();
        write::count(&mut status, "observedGeneration", self.object.header.generation);
        write::count(&mut status, "replicas", counts.replicas);
        write::count(&mut status, "updatedReplicas", counts.updated);
        write::count(&mut status, "readyReplicas", counts.ready);
        write::count(&mut status, "availableReplicas", counts.available);
        write::count(&mut status, "unavailableReplicas", (counts.replicas - counts.available).max(0));
        if self.collisions > 0 {
            status.insert("collisionCount".to_owned(), Value::from(self.collisions));
        }
        // Known once every set has said so.
        let terminating: Option<Vec<i64>> = self.sets.iter().map(Set::terminating).collect();
        match terminating.filter(|each| !each.is_empty()) {
            Some(each) => status.insert("terminatingReplicas".to_owned(), Value::from(each.iter().sum::<i64>())),
            None => status.remove("terminatingReplicas"),
        };
        status.insert("conditions".to_owned(), Value::from(self.conditions.list()));
        Value::Object(status)
    }

    fn note_availability(&mut self, counts: Counts) {
        let (status, reason, message) = if counts.available >= self.bounds.min_available() {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        };
        self.conditions.set("Available", status, reason, message);
    }

    fn note_progress(&mut self, counts: Counts) {
        if self.deadline.is_none() {
            return self.conditions.remove("Progressing");
        }
        let settled =
            counts.replicas == counts.updated && self.conditions.reason("Progressing") == "NewReplicaSetAvailable";
        if settled {
            return;
        }
        let subject = match self.new_set() {
            Some(set) => format!("ReplicaSet {:?}", set.object.name()),
            None => format!("Deployment {:?}", self.object.name()),
        };
        // What is yet to be made has not progressed, also where nothing is wanted of it.
        if self.is_complete() && self.new_set().is_some() {
            let message = format!("{subject} has successfully progressed.");
            self.conditions.set("Progressing", "True", "NewReplicaSetAvailable", &message);
        } else if self.is_moving(counts) {
            let message = format!("{subject} is progressing.");
            self.conditions.renew("Progressing", "True", "ReplicaSetUpdated", &message);
        } else if self.is_late() {
            let message = format!("{subject} has timed out progressing.");
            self.conditions.set("Progressing", "False", "ProgressDeadlineExceeded", &message);
        }
    }

    /// Whether there is more of the new, or less of the old, than at the last look.
    fn is_moving(&self, counts: Counts) -> bool {
        let last = |field: &str| int_at(&self.value, &format!("/status/{field}")).unwrap_or(0);
        let last_old = last("replicas") - last("updatedReplicas");
        counts.updated > last("updatedReplicas")
            || counts.replicas - counts.updated < last_old
            || counts.ready > last("readyReplicas")
            || counts.available > last("availableReplicas")
    }

    /// When the rollout is out of time, unless it moves or is done.
    fn due(&self) -> Option<jiff::Timestamp> {
        let progressing = self.conditions.get("Progressing")?;
        Some(time::after(time::at(progressing, "/lastUpdateTime")?, self.deadline?))
    }

    fn is_late(&self) -> bool {
        match self.conditions.reason("Progressing") {
            "" | "NewReplicaSetAvailable" => false,
            "ProgressDeadlineExceeded" => true,
            _ => self.due().is_some_and(|due| time::is_over(due, self.turn.now)),
        }
    }

    /// A set that cannot create its pods says so here too; the new set's word comes first.
    fn note_failure(&mut self) {
        let failure = self.new_set().and_then(Set::failure).or_else(|| self.sets.iter().find_map(Set::failure));
        let Some(failure) = failure else { return self.conditions.remove("ReplicaFailure") };
        let mut condition = failure.clone();
        condition["lastUpdateTime"] = failure["lastTransitionTime"].clone();
        let same = |field: &str| self.conditions.get("ReplicaFailure").is_some_and(|c| c[field] == condition[field]);
        if !(same("status") && same("reason")) {
            self.conditions.put(condition);
        }
    }

    /// Nothing may ever change in a rollout that is stuck, so its deadline asks for another look.
    fn look_again(&mut self) {
        let reason = self.conditions.reason("Progressing");
        let settled = matches!(reason, "" | "NewReplicaSetAvailable" | "ProgressDeadlineExceeded" | "DeploymentPaused");
        if let Some(due) = self.due().filter(|_| !settled) {
            let left = time::until(due, self.turn.now).unwrap_or_default();
            self.out.again_in(left + MARGIN);
        }
    }
}
