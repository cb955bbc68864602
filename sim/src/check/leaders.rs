//! At most one leader writes: once a newer one has taken over, nothing that carries the older's epoch happens.

use gantry_store::Txn;

use crate::store::{EPOCH, Step};

/// Who leads, by what was committed.
#[derive(Default)]
pub(super) struct Leaders {
    /// Revision of the last take-over; `None` before the first of this run.
    epoch: Option<u64>,
}

impl Leaders {
    pub(super) fn step(&mut self, step: &Step, txn: &Txn, found: &mut Vec<String>) {
        let fence = txn.compare.iter().find(|(key, _)| key == EPOCH).map(|(_, epoch)| *epoch);
        if step.batch.changes.iter().any(|change| change.key == EPOCH) {
            self.epoch = Some(step.batch.revision);
        } else if let (Some(fence), Some(epoch)) = (fence, self.epoch)
            && fence != epoch
        {
            let revision = step.batch.revision;
            found.push(format!("at {revision}, the leader of epoch {fence} writes, and {epoch} is the epoch"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use gantry_store::{Batch, KeyChange};
    use tokio::time::Instant;

    use super::*;

    fn commit(leaders: &mut Leaders, revision: u64, writes: &'static [u8], epoch: u64) -> usize {
        let key = Bytes::from_static(writes);
        let changes = vec![KeyChange { key, value: Some(Bytes::new()) }];
        let step = Step { batch: Arc::new(Batch { revision, changes }), changes: vec![], at: Instant::now() };
        let txn = Txn { compare: vec![(Bytes::from_static(EPOCH), epoch)], ..Txn::default() };
        let mut found = Vec::new();
        leaders.step(&step, &txn, &mut found);
        found.len()
    }

    #[test]
    fn a_write_of_an_old_epoch_is_found() {
        let mut leaders = Leaders::default();
        assert_eq!(commit(&mut leaders, 1, EPOCH, 0), 0);
        assert_eq!(commit(&mut leaders, 2, b"/x", 1), 0);
        assert_eq!(commit(&mut leaders, 3, EPOCH, 1), 0);
        assert_eq!(commit(&mut leaders, 4, b"/x", 3), 0);
        assert_eq!(commit(&mut leaders, 5, b"/x", 1), 1);
    }
}
