//! Transactions that share one write to disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::log::Log;
use super::pool::Leave;
use super::record::{self, Builder, Kind, Position, change_size, record_size};
use super::state::{Left, State};
use crate::limits::{GROUP_BYTES, GROUP_TXNS, REVISION_RESERVE};
use crate::{Batch, Commit, KeyChange, StoreError, Txn};

/// Transactions that were compared and are written together.
pub(super) struct Group {
    pub(super) builder: Builder,
    pub(super) commits: Vec<Written>,
    /// The revision of the last one.
    pub(super) revision: u64,
    /// Up to where revisions are reserved once this is on disk.
    pub(super) reserved: u64,
    pub(super) durable: bool,
    /// Revisions of the keys that this group has written so far.
    revisions: BTreeMap<Bytes, u64>,
    /// Whether values may be written, once it was asked.
    values: Option<Result<(), StoreError>>,
}

/// A transaction in its group.
pub(super) struct Written {
    pub(super) batch: Arc<Batch>,
    /// Where its record begins.
    offset: u32,
    /// Where each of its changes stands.
    places: Vec<(u32, Left)>,
}

/// What became of a transaction that was to join a group.
pub(super) enum Joined {
    /// It will be done with the group, at this revision.
    Yes(u64),
    /// It is answered without a write.
    Answered(Result<Commit, StoreError>),
    /// It needs another segment than the group before it.
    Next(Txn),
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.commits.len() >= GROUP_TXNS || self.builder.bytes().len() >= GROUP_BYTES
    }

    /// Makes the group visible.
    pub(super) fn publish(&self, state: &mut State) {
        let segment = self.builder.start().segment;
        for commit in &self.commits {
            if let Some(info) = state.segments.get_mut(&segment) {
                info.note(commit.batch.revision, commit.offset);
            }
            for (change, (offset, left)) in commit.batch.changes.iter().zip(&commit.places) {
                let place = Position { segment, offset: *offset };
                state.set(&change.key, commit.batch.revision, place, *left);
                state.forget_removal(&change.key);
            }
        }
        state.revision = self.revision;
    }

    fn push(&mut self, txn: Txn) -> u64 {
        self.revision += 1;
        let revision = self.revision;
        if revision > self.reserved {
            self.reserved = revision + REVISION_RESERVE;
            let reserved = self.reserved;
            self.builder.push(Kind::Reserve, revision - 1, |out| out.put_u64_le(reserved));
            // Nothing may be seen at a revision that is not reserved on disk.
            self.durable = true;
        }
        let (offset, mut places) = (self.builder.end().offset, Vec::with_capacity(txn.writes.len()));
        let mut body = 0;
        let payload = self.builder.push(Kind::Commit, revision, |out| {
            body = out.len();
            for (key, value) in &txn.writes {
                let (at, crc) = record::put_change(out, key, value.as_deref());
                let left = value.as_ref().map_or(Left::Nothing, |v| Left::Value { length: v.len() as u32, crc });
                places.push(((at - body) as u32, left));
            }
        });
        for (place, _) in &mut places {
            *place += payload;
        }
        let mut changes = Vec::with_capacity(txn.writes.len());
        for (key, value) in txn.writes {
            self.revisions.insert(key.clone(), if value.is_some() { revision } else { 0 });
            changes.push(KeyChange { key, value });
        }
        self.durable |= txn.durable;
        self.commits.push(Written { batch: Arc::new(Batch { revision, changes }), offset, places });
        revision
    }
}

impl Log {
    /// An empty group at the end of the log.
    pub(super) fn group(&self) -> Group {
        Group {
            builder: self.builder(),
            commits: Vec::new(),
            revision: self.revision,
            reserved: self.reserved,
            durable: false,
            revisions: BTreeMap::new(),
            values: None,
        }
    }

    /// Compares a transaction with what it would find, and adds it to the group or answers it.
    pub(super) fn join(&mut self, group: &mut Group, txn: Txn) -> Joined {
        let writable = self.writable();
        match writable.and_then(|()| self.conflict(group, &txn)) {
            Ok(None) => {}
            Ok(Some(conflict)) => return Joined::Answered(Ok(conflict)),
            Err(error) => return Joined::Answered(Err(error)),
        }
        if group.is_empty() {
            group.builder = self.builder();
        }
        let sizes = txn.writes.iter().map(|(key, value)| change_size(key, value.as_deref()));
        let bytes = record_size(sizes.sum()) + record_size(8);
        let removes = txn.writes.iter().all(|(_, value)| value.is_none());
        if !self.fits(&group.builder, bytes) && !group.is_empty() {
            return Joined::Next(txn);
        }
        match self.admit(group, bytes, removes) {
            Ok(()) => Joined::Yes(group.push(txn)),
            Err(error) => Joined::Answered(Err(error)),
        }
    }

    /// Makes room, unless the disk is too full for what is to be written.
    fn admit(&mut self, group: &mut Group, bytes: usize, removes: bool) -> Result<(), StoreError> {
        if removes {
            self.spare_one()?;
        } else {
            group.values.get_or_insert_with(|| self.values_allowed()).clone()?;
        }
        if !self.fits(&group.builder, bytes) {
            self.make_room(bytes, if removes { Leave::One } else { Leave::Reserve })?;
            group.builder = self.builder();
        }
        Ok(())
    }

    fn values_allowed(&self) -> Result<(), StoreError> {
        if let Some(trouble) = self.shared.pool.short() {
            return Err(self.no_room(trouble));
        }
        match self.shared.disk.free_bytes() {
            Ok(available) if available < self.shared.sizes.free => Err(self.full()),
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Unavailable { operation: "ask for free space", cause: error.to_string() }),
        }
    }

    fn conflict(&self, group: &Group, txn: &Txn) -> Result<Option<Commit>, StoreError> {
        let state = self.shared.state.read();
        for (key, expected) in &txn.compare {
            let visible = || state.index.get(key).map_or(0, |slot| slot.revision);
            let actual = group.revisions.get(key).copied().unwrap_or_else(visible);
            if actual != *expected {
                return Ok(Some(Commit::Conflict { key: key.clone(), actual, revision: group.revision }));
            }
        }
        Ok(None)
    }
}
