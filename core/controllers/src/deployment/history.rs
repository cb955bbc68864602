//! Old sets are kept for going back to them, up to a number.

use gantry_kinds::tree::int_at;

use super::Rollout;
use crate::write;

impl Rollout<'_> {
    /// Deletes the oldest sets beyond `revisionHistoryLimit`; none that still has pods or is yet to be judged.
    pub(super) fn clean_up(&mut self) {
        let limit = int_at(&self.value, "/spec/revisionHistoryLimit").filter(|limit| *limit < i64::from(i32::MAX));
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { return };
        let mut old: Vec<usize> =
            self.old().into_iter().filter(|at| self.sets[*at].object.header.deleted.is_none()).collect();
        let surplus = old.len().saturating_sub(limit);
        old.sort_by_key(|at| self.sets[*at].revision());
        for at in old.into_iter().take(surplus) {
            let set = &self.sets[at];
            if set.running == 0 && set.replicas == 0 && set.is_observed() {
                self.out.push(write::delete(set.object));
            }
        }
    }
}
