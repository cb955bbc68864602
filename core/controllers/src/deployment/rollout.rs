//! From the old sets to the new one: rolling, or all at once.

use std::sync::Arc;

use gantry_kinds::POD;
use gantry_view::Object;

use super::Rollout;
use crate::pod_facts::PodFacts;

impl Rollout<'_> {
    /// One step of a rolling update: up with the new set as far as the surge allows, else down with the old ones as
    /// far as availability allows.
    pub(super) fn roll(&mut self) {
        let Some(new) = self.new else { return self.create_new() };
        self.follow_new();
        if self.resize_new(new) || self.shrink_old(new) {
            return;
        }
        if self.is_complete() {
            self.clean_up();
        }
    }

    fn resize_new(&mut self, new: usize) -> bool {
        let (wanted, have) = (self.bounds.replicas, self.sets[new].replicas);
        if have == wanted {
            return false;
        }
        if have > wanted {
            self.scale_set(new, wanted);
            return true;
        }
        let present: i64 = self.sets.iter().map(|set| set.replicas).sum();
        let room = (self.bounds.max() - present).clamp(0, wanted - have);
        if room > 0 {
            self.scale_set(new, have + room);
        }
        room > 0
    }

    fn shrink_old(&mut self, new: usize) -> bool {
        let old = self.old();
        let present: i64 = self.sets.iter().map(|set| set.replicas).sum();
        if old.iter().all(|at| self.sets[*at].replicas == 0) {
            return false;
        }
        let coming = self.sets[new].replicas - self.sets[new].available;
        let spare = present - self.bounds.min_available() - coming;
        if spare <= 0 {
            return false;
        }
        let unhealthy = self.drop_unhealthy(&old, spare);
        let surplus = self.drop_surplus(&old, spare - unhealthy);
        unhealthy + surplus > 0
    }

    /// Old pods that are not available go first: nobody misses them, and they must not hold up the rollout.
    fn drop_unhealthy(&mut self, old: &[usize], spare: i64) -> i64 {
        let mut dropped = 0;
        for &at in old {
            let set = &self.sets[at];
            let count = (set.replicas - set.available).clamp(0, spare - dropped);
            if count > 0 {
                self.scale_set(at, set.replicas - count);
                dropped += count;
            }
        }
        dropped
    }

    /// Old pods beyond what must be available go, those of the oldest set first. A set that has not yet carried out
    /// its last scaling still counts pods that are about to go, so no more than `spare` go whatever is counted.
    fn drop_surplus(&mut self, old: &[usize], spare: i64) -> i64 {
        let available: i64 = self.sets.iter().map(|set| set.available).sum();
        let surplus = (available - self.bounds.min_available()).min(spare);
        let mut dropped = 0;
        for &at in old {
            let count = self.sets[at].replicas.min(surplus - dropped);
            if count > 0 {
                self.scale_set(at, self.sets[at].replicas - count);
                dropped += count;
            }
        }
        dropped
    }

    /// One step of a recreation: all old pods go, and only when the last is gone the new ones come.
    pub(super) fn recreate(&mut self) {
        self.follow_new();
        let (old, bounds) = (self.old(), self.bounds);
        if old.iter().any(|at| self.sets[*at].replicas > 0) {
            for at in old {
                let set = &mut self.sets[at];
                if set.replicas > 0 {
                    set.scale(0, bounds);
                }
            }
            return;
        }
        if old.iter().any(|at| self.sets[*at].running > 0 || has_running_pods(self.sets[*at].object, self)) {
            return;
        }
        match self.new {
            None => self.create_new(),
            Some(new) if self.sets[new].replicas != self.bounds.replicas => self.scale_set(new, self.bounds.replicas),
            Some(_) if self.is_complete() => self.clean_up(),
            Some(_) => {}
        }
    }
}

fn has_running_pods(set: &Arc<Object>, rollout: &Rollout<'_>) -> bool {
    let mut pods = rollout.turn.view.owned_by(set.uid()).filter(|pod| pod.key().kind == &POD);
    pods.any(|pod| !PodFacts::of(pod).is_terminal())
}
