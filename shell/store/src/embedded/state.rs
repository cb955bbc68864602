//! What the store knows in memory: the index, what each segment still holds, and how far everything is.
//!
//! Everything here follows from the log's records, and opening rebuilds it from them. A key's newest record counts,
//! wherever it stands. The record of a removal is needed as long as an older value of its key is in any segment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::index::{Index, Slot};
use super::pool::Segment;
use super::record::{Position, Sealed, kept_size};
use crate::limits::CHECKPOINT_BYTES;

/// What is visible, and where it stands.
#[derive(Default)]
pub(super) struct State {
    pub(super) revision: u64,
    pub(super) compacted: u64,
    pub(super) index: Index,
    /// Removals whose record is still needed.
    pub(super) removed: BTreeMap<Bytes, Removed>,
    /// The segments that have begun; the last one is written to.
    pub(super) segments: BTreeMap<u32, Info>,
    /// Bytes of the keys and values that are readable.
    pub(super) live_bytes: u64,
}

/// A removal that hides older values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) revision: u64,
    pub(super) place: Position,
    /// Values of the key in all segments.
    pub(super) copies: u32,
}

/// One segment of the log.
pub(super) struct Info {
    pub(super) segment: Arc<Segment>,
    /// Bytes of whole records that are visible.
    pub(super) length: u32,
    /// The checksum of its last header.
    pub(super) crc: u32,
    /// Bytes of its file.
    pub(super) size: u64,
    /// The newest commit in it, or the newest opening.
    pub(super) newest: u64,
    /// Bytes that its living values and needed removals would take elsewhere.
    pub(super) live: u64,
    /// Values in it that are the newest of their keys.
    pub(super) values: u32,
    /// Removals in it that are still needed.
    pub(super) removals: u32,
    /// Whether it is no longer part of the log.
    pub(super) dropped: bool,
    /// Commits at some distance from each other, and where they stand.
    checkpoints: Vec<(u64, u32)>,
}

/// Where a record left a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// A value, with its length and checksum.
    Value {
        /// Bytes of the value.
        length: u32,
        /// Its checksum.
        crc: u32,
    },
    /// Nothing.
    Nothing,
}

impl Info {
    pub(super) fn new(segment: Arc<Segment>, size: u64) -> Self {
        Info {
            segment,
            length: 0,
            crc: 0,
            size,
            newest: 0,
            live: 0,
            values: 0,
            removals: 0,
            dropped: false,
            checkpoints: Vec::new(),
        }
    }

    /// A commit or an opening stands at this offset.
    pub(super) fn note(&mut self, revision: u64, offset: u32) {
        self.newest = self.newest.max(revision);
        if self.checkpoints.last().is_none_or(|(_, last)| offset - last >= CHECKPOINT_BYTES) {
            self.checkpoints.push((revision, offset));
        }
    }

    /// An offset before which there is nothing newer than the revision.
    pub(super) fn before(&self, revision: u64) -> u32 {
        let at = self.checkpoints.partition_point(|(noted, _)| *noted <= revision);
        at.checked_sub(1).map_or(0, |at| self.checkpoints[at].1)
    }

    /// Bytes of its records that nobody needs.
    pub(super) fn dead(&self) -> u64 {
        u64::from(self.length).saturating_sub(self.live)
    }
}

impl State {
    /// A record left this key so.
    pub(super) fn set(&mut self, key: &[u8], revision: u64, place: Position, left: Left) {
        match left {
            Left::Value { length, crc } => self.put(key, revision, place, length, crc),
            Left::Nothing => self.remove(key, revision, place),
        }
    }

    fn put(&mut self, key: &[u8], revision: u64, place: Position, length: u32, crc: u32) {
        let Position { segment, offset } = place;
        let mut slot = Slot { revision, segment, offset, length, crc, copies: 1 };
        if let Some(old) = self.index.get_mut(key) {
            if old.revision > revision {
                old.copies += 1;
                return;
            }
            slot.copies += old.copies;
            let old = std::mem::replace(old, slot);
            self.value_is_dead(key, &old);
        } else {
            match self.removed.get_mut(key) {
                Some(removed) if removed.revision > revision => {
                    removed.copies += 1;
                    return;
                }
                Some(removed) => {
                    slot.copies += removed.copies;
                    self.removal_is_dead(key);
                }
                None => {}
            }
            self.index.insert(Bytes::copy_from_slice(key), slot);
        }
        self.live_bytes += key.len() as u64 + u64::from(length);
        if let Some(info) = self.segments.get_mut(&segment) {
            info.live += kept_size(key.len(), Some(length as usize)) as u64;
            info.values += 1;
        }
    }

    fn remove(&mut self, key: &[u8], revision: u64, place: Position) {
        let copies = match (self.index.get(key).copied(), self.removed.get(key)) {
            (Some(old), _) if old.revision > revision => return,
            (Some(old), _) => {
                self.index.remove(key);
                self.value_is_dead(key, &old);
                old.copies
            }
            (None, Some(old)) if old.revision > revision => return,
            (None, Some(old)) => {
                let copies = old.copies;
                self.removal_is_dead(key);
                copies
            }
            (None, None) => 0,
        };
        self.removed.insert(Bytes::copy_from_slice(key), Removed { revision, place, copies });
        if let Some(info) = self.segments.get_mut(&place.segment) {
            info.live += kept_size(key.len(), None) as u64;
            info.removals += 1;
        }
    }

    fn value_is_dead(&mut self, key: &[u8], old: &Slot) {
        self.live_bytes -= key.len() as u64 + u64::from(old.length);
        if let Some(info) = self.segments.get_mut(&old.segment) {
            info.live -= kept_size(key.len(), Some(old.length as usize)) as u64;
            info.values -= 1;
        }
    }

    fn removal_is_dead(&mut self, key: &[u8]) {
        let Some(removed) = self.removed.remove(key) else { return };
        if let Some(info) = self.segments.get_mut(&removed.place.segment) {
            info.live -= kept_size(key.len(), None) as u64;
            info.removals -= 1;
        }
    }

    /// A segment with an older value of this key is gone.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(slot) = self.index.get_mut(key) {
            slot.copies -= 1;
        } else if let Some(removed) = self.removed.get_mut(key) {
            removed.copies -= 1;
            self.forget_removal(key);
        }
    }

    /// Forgets the removal of a key that has no value in any segment.
    pub(super) fn forget_removal(&mut self, key: &[u8]) {
        if self.removed.get(key).is_some_and(|removed| removed.copies == 0) {
            self.removal_is_dead(key);
        }
    }

    /// Forgets all removals that hide nothing.
    pub(super) fn forget_removals(&mut self) {
        let idle = self.removed.iter().filter(|(_, removed)| removed.copies == 0).map(|(key, _)| key.clone());
        for key in idle.collect::<Vec<_>>() {
            self.removal_is_dead(&key);
        }
    }

    /// The segments that are part of the log, as a new one names them.
    pub(super) fn sealed(&self) -> Vec<Sealed> {
        let parts = self.segments.iter().filter(|(_, info)| !info.dropped);
        parts.map(|(id, info)| Sealed { id: *id, length: info.length, crc: info.crc }).collect()
    }

    /// The files of all segments, to be read from while they may be dropped.
    pub(super) fn files(&self) -> BTreeMap<u32, Arc<Segment>> {
        self.segments.iter().map(|(id, info)| (*id, info.segment.clone())).collect()
    }
}
