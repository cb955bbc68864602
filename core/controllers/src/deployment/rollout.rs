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
        let room = self.room().clamp(0, wanted - have);
        if room > 0 {
            self.scale_set(new, have + room);
        }
        room > 0
    }

    /// How many more pods there may be.
    pub(super) fn room(&self) -> i64 {
        let occupied: i64 = self.sets.iter().map(|set| set.occupied(self.turn.view)).sum();
        self.bounds.max() - occupied
    }

    fn shrink_old(&mut self, new: usize) -> bool {
        let old = self.old();
        let present: i64 = self.sets.iter().map(|set| set.replicas).sum();
        if old.iter().all(|at| self.sets[*at].replicas == 0) {
            return false;
        }
        let lasting: Vec<i64> = self.sets.iter().map(|set| set.lasting(self.turn)).collect();
        let coming = self.sets[new].replicas - lasting[new];
        let spare = present - self.bounds.min_available() - coming;
        if spare <= 0 {
            return false;
        }
        let unhealthy = self.drop_unhealthy(&old, &lasting, spare);
        let surplus = lasting.iter().sum::<i64>() - self.bounds.min_available();
        let healthy = self.drop_oldest(&old, surplus.min(spare - unhealthy));
        unhealthy + healthy > 0
    }

    /// Old pods that are not available go first: nobody misses them, and they must not hold up the rollout.
    fn drop_unhealthy(&mut self, old: &[usize], lasting: &[i64], spare: i64) -> i64 {
        let mut dropped = 0;
        for &at in old {
            let replicas = self.sets[at].replicas;
            let count = (replicas - lasting[at]).min(spare - dropped);
            if count > 0 {
                self.scale_set(at, replicas - count);
                dropped += count;
            }
        }
        dropped
    }

    /// So many old pods go, those of the oldest set first.
    fn drop_oldest(&mut self, old: &[usize], count: i64) -> i64 {
        let mut dropped = 0;
        for &at in old {
            let replicas = self.sets[at].replicas;
            let count = replicas.min(count - dropped);
            if count > 0 {
                self.scale_set(at, replicas - count);
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
