//! Scaling in the middle of a rollout: every set gets its share.

use super::Rollout;
use super::set::Set;

impl Rollout<'_> {
    /// Brings the sets to the size that the deployment has now, without a step of the rollout.
    pub(super) fn scale(&mut self) {
        if let Some(only) = self.only_active() {
            return self.scale_set(only, self.bounds.replicas);
        }
        let active: Vec<usize> = (0..self.sets.len()).filter(|at| self.sets[*at].replicas > 0).collect();
        if self.is_saturated() {
            let new = self.new;
            active.into_iter().filter(|at| Some(*at) != new).for_each(|at| self.scale_set(at, 0));
        } else if self.bounds.rolling {
            self.share(active);
        } else {
            // A recreation goes on by itself; the sets only learn of the new size.
            active.into_iter().for_each(|at| self.scale_set(at, self.sets[at].replicas));
        }
    }

    /// The one set that has replicas; where none has, the newest.
    fn only_active(&self) -> Option<usize> {
        let mut active = (0..self.sets.len()).filter(|at| self.sets[*at].replicas > 0);
        match (active.next(), active.next()) {
            (None, _) => self.new.or_else(|| self.sets.len().checked_sub(1)),
            (only, None) => only,
            _ => None,
        }
    }

    fn is_saturated(&self) -> bool {
        let wanted = self.bounds.replicas;
        self.new_set()
            .is_some_and(|set| set.replicas == wanted && set.desired() == Some(wanted) && set.available == wanted)
    }

    /// Shares out what there is to add or to take, in proportion to the sets' sizes; what rounding leaves goes to
    /// the largest.
    fn share(&mut self, mut active: Vec<usize>) {
        let present: i64 = active.iter().map(|at| self.sets[*at].replicas).sum();
        let allowed = if self.bounds.replicas > 0 { self.bounds.max() } else { 0 };
        let to_add = allowed - present;
        // The largest first; of the same size the newer first when growing, the older when shrinking.
        active.sort_by_key(|at| {
            let place = i64::try_from(*at).unwrap_or(i64::MAX);
            (-self.sets[*at].replicas, if to_add > 0 { -place } else { place })
        });
        let mut added = 0;
        let mut sizes: Vec<i64> = Vec::with_capacity(active.len());
        for at in &active {
            let share = self.share_of(&self.sets[*at], to_add, added);
            added += share;
            sizes.push(self.sets[*at].replicas + share);
        }
        if let Some(first) = sizes.first_mut() {
            *first = (*first + to_add - added).max(0);
        }
        for (at, size) in active.into_iter().zip(sizes) {
            self.scale_set(at, size);
        }
    }

    fn share_of(&self, set: &Set<'_>, to_add: i64, added: i64) -> i64 {
        if to_add == 0 || to_add == added {
            return 0;
        }
        let left = to_add - added;
        let fraction = self.fraction(set);
        if to_add > 0 { fraction.min(left) } else { fraction.max(left) }
    }

    /// By how much a set grows when it keeps its part of the whole.
    fn fraction(&self, set: &Set<'_>) -> i64 {
        if self.bounds.replicas == 0 {
            return -set.replicas;
        }
        let running = || self.sets.iter().map(|set| set.running).sum();
        let before = set.max().filter(|max| *max > 0).unwrap_or_else(running);
        if before <= 0 {
            return 0;
        }
        let scaled = set.replicas * self.bounds.max();
        (2 * scaled + before) / (2 * before) - set.replicas
    }
}
