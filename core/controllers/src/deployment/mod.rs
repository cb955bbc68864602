//! Deployments: a ReplicaSet for each template there was, and the way from the old ones to the newest.
//!
//! Invariants: never more pods than `replicas` + maxSurge are asked for; no set is scaled down while that could leave
//! fewer available pods than `replicas` - maxUnavailable; a turn changes each set at most once, guarded by the
//! revision that it was judged by; the status comes last, and carries the revision annotation with it.

mod bounds;
mod conditions;
mod history;
mod proportion;
mod revision;
mod rollout;
mod set;
mod status;

use std::sync::Arc;

use gantry_kinds::{DEPLOYMENT, POD, REPLICA_SET, Status, tree};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use self::bounds::Bounds;
use self::conditions::Conditions;
use self::set::Set;
use crate::owners::{self, adopters};
use crate::pod_facts::PodFacts;
use crate::{Controller, QueueKey, write};

/// The controller of Deployments.
pub(crate) struct Deployments;

impl Controller for Deployments {
    fn name(&self) -> &'static str {
        "deployment-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&DEPLOYMENT, None).map(|deployment| QueueKey::of(deployment.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let kind = change.key.kind;
        if kind == &DEPLOYMENT {
            out.push(QueueKey::of(&change.key));
        } else if kind == &REPLICA_SET {
            for set in [&change.before, &change.after].into_iter().flatten() {
                out.extend(owners::manager(view, &DEPLOYMENT, set).map(|d| QueueKey::of(d.key())));
            }
            if let Some(set) = change.after.as_ref().filter(|set| set.controller().is_none()) {
                out.extend(adopters(view, &DEPLOYMENT, set).into_iter().map(QueueKey::Object));
            }
        } else if kind == &POD {
            out.extend(waiting_for_pod(change, view));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(mut rollout) = key.object().and_then(|key| Rollout::read(key, turn)) else {
            return Outcome::nothing();
        };
        rollout.run();
        rollout.finish()
    }

    fn refused(&mut self, key: &QueueKey, intent: &Intent, status: &Status, turn: Turn<'_>) -> Outcome {
        let creating = matches!(intent, Intent::Create { kind, .. } if *kind == &REPLICA_SET);
        if !creating || status.code == 409 {
            return Outcome::nothing();
        }
        let Some(mut rollout) = key.object().and_then(|key| Rollout::read(key, turn)) else {
            return Outcome::nothing();
        };
        rollout.creation_failed(status);
        rollout.finish()
    }
}

/// A deployment that recreates waits for the end of its last old pod.
fn waiting_for_pod(change: &Change, view: &View) -> Option<QueueKey> {
    let ended = change.after.as_ref().is_none_or(|pod| PodFacts::of(pod).is_terminal());
    let set = owners::manager(view, &REPLICA_SET, change.object()).filter(|_| ended)?;
    let deployment = owners::manager(view, &DEPLOYMENT, set)?;
    let recreates = tree::str_at(&deployment.value(), "/spec/strategy/type") == "Recreate";
    recreates.then(|| QueueKey::of(deployment.key()))
}

/// One turn of one deployment.
struct Rollout<'a> {
    turn: Turn<'a>,
    object: &'a Arc<Object>,
    value: Value,
    bounds: Bounds,
    /// `progressDeadlineSeconds`, unless it is for ever.
    deadline: Option<i64>,
    paused: bool,
    /// Its sets, the oldest first.
    sets: Vec<Set<'a>>,
    /// Which of them has the deployment's template.
    new: Option<usize>,
    conditions: Conditions,
    /// The revision that the deployment is to be annotated with.
    revision: Option<String>,
    collisions: i64,
    out: Outcome,
}

impl<'a> Rollout<'a> {
    fn read(key: &ObjectKey, turn: Turn<'a>) -> Option<Self> {
        let object = turn.view.at(key)?;
        let value = object.value();
        let selector = owners::selector(&DEPLOYMENT, &value);
        let candidates = turn.view.list(&REPLICA_SET, Some(object.namespace()));
        let mut claim = owners::claim(object, &selector, candidates);
        claim.owned.sort_by(|a, b| write::by_age(a, b));
        // A set that is adopted in this turn is changed in the next, when its revision is known.
        let own = claim.owned.into_iter().filter(|set| owners::manages(object, set));
        let sets: Vec<Set<'a>> = own.map(Set::read).collect();
        let template = value.pointer("/spec/template").cloned().unwrap_or_default();
        let new = sets.iter().position(|set| set.has_template(&template));
        let deadline = tree::int_at(&value, "/spec/progressDeadlineSeconds").filter(|s| *s < i64::from(i32::MAX));
        Some(Rollout {
            turn,
            object,
            bounds: Bounds::read(&value),
            deadline,
            paused: value.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or(false),
            sets,
            new,
            conditions: Conditions::read(&value, turn.now),
            revision: None,
            collisions: tree::int_at(&value, "/status/collisionCount").unwrap_or(0),
            out: Outcome { intents: claim.intents, ..Outcome::default() },
            value,
        })
    }

    fn run(&mut self) {
        let adopting = !self.out.intents.is_empty();
        if adopting || self.object.header.deleted.is_some() {
            return self.write_status(false);
        }
        if self.selects_everything() {
            return;
        }
        self.note_pause();
        if self.paused || self.is_scaling() {
            self.follow_new();
            self.scale();
            if self.paused {
                self.clean_up();
            }
            return self.write_status(false);
        }
        if tree::str_at(&self.value, "/spec/strategy/type") == "Recreate" {
            self.recreate()
        } else {
            self.roll()
        }
        self.write_status(true);
    }

    /// A selector that takes every pod is refused by saying so.
    fn selects_everything(&mut self) -> bool {
        if !owners::selector(&DEPLOYMENT, &self.value).is_everything() {
            return false;
        }
        let message = "This deployment is selecting all pods. A non-empty selector is required.".to_owned();
        self.out.push(write::warning(self.object.key(), "SelectingAll", message));
        let generation = self.object.header.generation;
        if tree::int_at(&self.value, "/status/observedGeneration").unwrap_or(0) < generation {
            let status = json!({"status": {"observedGeneration": generation}});
            self.out.push(write::patch(self.object, "status", status));
        }
        true
    }

    /// Whether `replicas` was changed since the sets were last scaled.
    fn is_scaling(&self) -> bool {
        let active = self.sets.iter().filter(|set| set.replicas > 0);
        active.filter_map(Set::desired).any(|desired| desired != self.bounds.replicas)
    }

    fn new_set(&self) -> Option<&Set<'a>> {
        self.new.and_then(|at| self.sets.get(at))
    }

    /// The places of all sets but the new one, the oldest first.
    fn old(&self) -> Vec<usize> {
        (0..self.sets.len()).filter(|at| Some(*at) != self.new).collect()
    }

    /// Scales a set, and stamps it with the size that the deployment is meant to have.
    fn scale_set(&mut self, at: usize, replicas: i64) {
        let bounds = self.bounds;
        if let Some(set) = self.sets.get_mut(at) {
            set.scale(replicas, bounds);
        }
    }

    /// All that was decided, in order: claims, scaled sets, the rest.
    fn finish(self) -> Outcome {
        let mut outcome = Outcome { again_in: self.out.again_in, why: self.out.why, intents: Vec::new() };
        let (claims, later): (Vec<_>, Vec<_>) = self.out.intents.into_iter().partition(set::is_claim);
        outcome.intents.extend(claims);
        for set in self.sets {
            set.finish(self.object, &mut outcome);
        }
        outcome.intents.extend(later);
        outcome
    }
}

#[cfg(test)]
mod tests;
