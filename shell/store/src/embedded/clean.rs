//! Giving space back: what is still needed of an old segment is copied to the end of the log, then it is dropped.
//!
//! One step cleans one segment and needs no more space than that. Commits go on meanwhile: the end of the log takes
//! copies between its groups. A segment is dropped only once nothing in it is needed, its copies are on disk, and
//! nobody may resume from its commits any more. Whoever still reads from its file keeps it until he is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use super::log::Log;
use super::pool::{self, Leave, Segment};
use super::read::Records;
use super::record::{self, Kind, Position, kept_size, record_size};
use super::shared::Shared;
use super::state::{Left, State};
use crate::StoreError;
use crate::failpoints::failpoint;
use crate::limits::{FORGET_KEYS, KEEP_BYTES};

/// What the cleaner asks of the end of the log; each call is short.
pub(super) trait Tail {
    /// Writes copies of entries that are still current.
    fn keep(&mut self, entries: Vec<Kept>) -> Result<(), StoreError>;
    /// Takes a segment out of the log; false when something in it is still needed.
    fn drop_segment(&mut self, id: u32, removals: Vec<Bytes>) -> Result<bool, StoreError>;
    /// Forgets values that were in a dropped segment.
    fn forget(&mut self, keys: Vec<Bytes>) -> Result<(), StoreError>;
    /// Begins the next segment, so that the last one can be cleaned.
    fn roll(&mut self) -> Result<(), StoreError>;
}

/// An entry that is to be copied.
pub(super) struct Kept {
    key: Bytes,
    revision: u64,
    /// Where it stands now.
    place: Position,
    value: Option<Bytes>,
}

/// What a segment holds.
struct Content {
    /// What must be copied.
    kept: Vec<Kept>,
    /// The key of every value in it, once for each.
    values: Vec<Bytes>,
    /// Removals in it that hide nothing outside of it.
    removals: Vec<Bytes>,
}

impl Shared {
    /// One step of cleaning; true when something was done and there may be more.
    pub(super) fn clean(&self, tail: &mut dyn Tail) -> Result<bool, StoreError> {
        let Some(id) = self.worst() else { return Ok(false) };
        self.clean_segment(id, tail)
    }

    /// Cleans every segment that holds something dead.
    pub(super) fn clean_all(&self, tail: &mut dyn Tail) -> Result<(), StoreError> {
        tail.roll()?;
        // Twice: removals can go once the values that they hide are gone.
        for _ in 0..2 {
            let ids: Vec<_> = {
                let state = self.state.read();
                let part = |info: &super::state::Info| info.dead() > u64::from(info.length) / 16;
                cleanable(&state).filter(|(_, info)| part(info)).map(|(id, _)| id).collect()
            };
            for id in ids {
                self.clean_segment(id, tail)?;
            }
        }
        Ok(())
    }

    /// The segment whose cleaning gives most, if there is enough to be had.
    fn worst(&self) -> Option<u32> {
        let short = self.pool.short().is_some() || self.disk.free_bytes().is_ok_and(|free| free < self.sizes.free);
        let state = self.state.read();
        let (mut dead, mut live) = (0, 0);
        let mut worst: Option<(u32, u64, u64)> = None;
        for (id, info) in cleanable(&state) {
            if info.live == 0 {
                return Some(id);
            }
            dead += info.dead();
            live += info.live;
            let better = |(_, dead, length): (u32, u64, u64)| info.dead() * length > dead * u64::from(info.length);
            if worst.is_none_or(better) {
                worst = Some((id, info.dead(), info.length.into()));
            }
        }
        let (id, most, length) = worst?;
        // When the reserve is not whole every segment counts that gives back more than a little.
        let enough = if short { most > length / 8 } else { dead > self.sizes.slack + live / 2 };
        enough.then_some(id)
    }

    fn clean_segment(&self, id: u32, tail: &mut dyn Tail) -> Result<bool, StoreError> {
        let Some(content) = self.content(id)? else { return Ok(false) };
        failpoint!("store::clean_before_copy");
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for entry in content.kept {
            bytes += entry.size();
            chunk.push(entry);
            if bytes >= KEEP_BYTES {
                tail.keep(std::mem::take(&mut chunk))?;
                bytes = 0;
            }
        }
        if !chunk.is_empty() {
            tail.keep(chunk)?;
        }
        failpoint!("store::clean_after_copy");
        if !tail.drop_segment(id, content.removals)? {
            return Ok(false);
        }
        let mut rest = content.values.into_iter().peekable();
        while rest.peek().is_some() {
            tail.forget(rest.by_ref().take(FORGET_KEYS).collect())?;
        }
        let dropped = self.state.write().segments.remove(&id);
        dropped.map_or(Ok(()), |info| self.give_back(info.segment, info.size))?;
        Ok(true)
    }

    /// Reads a segment and sorts out what must be copied.
    fn content(&self, id: u32) -> Result<Option<Content>, StoreError> {
        let Some((segment, length)) = self.state.read().segments.get(&id).map(|i| (i.segment.clone(), i.length)) else {
            return Ok(None);
        };
        let (mut stored, mut copies) = (Vec::new(), BTreeMap::<Bytes, u32>::new());
        let mut values = Vec::new();
        let mut records = Records::new(self.disk.path(), segment, 0, length);
        loop {
            let start = records.at();
            let Some((header, payload)) = records.next()? else { break };
            if !matches!(header.kind, Kind::Commit | Kind::Kept) {
                continue;
            }
            for entry in record::changes(&header, &payload) {
                let entry = entry.map_err(|what| records.damaged(&what))?;
                let key = payload.slice_ref(entry.key);
                let offset = start + record::HEADER as u32 + entry.place as u32;
                let place = Position { segment: id, offset };
                let value = entry.value.map(|value| payload.slice_ref(value));
                if value.is_some() {
                    *copies.entry(key.clone()).or_default() += 1;
                    values.push(key.clone());
                }
                stored.push(Kept { key, revision: entry.revision, place, value });
            }
        }
        let (mut kept, mut removals) = (Vec::new(), Vec::new());
        let state = self.state.read();
        for entry in stored.into_iter().filter(|entry| entry.is_current(&state)) {
            let inside = copies.get(&entry.key).copied().unwrap_or_default();
            let outside = state.removed.get(&entry.key).is_none_or(|removed| removed.copies > inside);
            if entry.value.is_none() && !outside {
                removals.push(entry.key);
            } else {
                kept.push(entry);
            }
        }
        Ok(Some(Content { kept, values, removals }))
    }

    /// Makes a new segment of the file of a dropped one, or removes it.
    fn give_back(&self, segment: Arc<Segment>, size: u64) -> Result<(), StoreError> {
        let unread = Arc::strong_count(&segment) == 1 && size == u64::from(self.sizes.segment);
        if unread && self.pool.recycle(&*self.disk, &segment).map_err(crate::io_error("use a segment again"))? {
            return Ok(());
        }
        self.leftover.lock().push(segment.id);
        self.remove_dropped()
    }

    fn remove(&self, id: u32) -> std::io::Result<()> {
        failpoint!("store::clean_before_remove");
        self.disk.remove(&pool::name(id))?;
        failpoint!("store::clean_after_remove");
        Ok(())
    }

    /// Removes the files of dropped segments that are not used again.
    pub(super) fn remove_dropped(&self) -> Result<(), StoreError> {
        loop {
            let last = self.leftover.lock().last().copied();
            let Some(id) = last else { return Ok(()) };
            match self.remove(id) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::io_error("remove a segment")(error));
                }
                _ => self.leftover.lock().retain(|other| *other != id),
            }
        }
    }
}

/// The segments from whose commits nobody may resume any more.
fn cleanable(state: &State) -> impl Iterator<Item = (u32, &super::state::Info)> {
    let active = state.segments.last_key_value().map(|(id, _)| *id);
    let old = |info: &super::state::Info| info.newest <= state.compacted && !info.dropped;
    state.segments.iter().filter(move |(id, info)| Some(**id) != active && old(info)).map(|(id, info)| (*id, info))
}

impl Kept {
    fn size(&self) -> usize {
        kept_size(self.key.len(), self.value.as_ref().map(Bytes::len))
    }

    /// Whether this is still what its key's newest record says.
    fn is_current(&self, state: &State) -> bool {
        if self.value.is_some() {
            let here =
                |slot: &super::index::Slot| (slot.segment, slot.offset) == (self.place.segment, self.place.offset);
            return state.index.get(&self.key).is_some_and(here);
        }
        state.removed.get(&self.key).is_some_and(|removed| removed.place == self.place)
    }
}

impl Tail for Log {
    fn keep(&mut self, mut entries: Vec<Kept>) -> Result<(), StoreError> {
        self.writable()?;
        {
            let state = self.shared.state.read();
            entries.retain(|entry| entry.is_current(&state));
        }
        if entries.is_empty() {
            return Ok(());
        }
        let bytes: usize = entries.iter().map(Kept::size).sum();
        self.make_room(record_size(bytes), Leave::Nothing)?;
        let mut builder = self.builder();
        let (mut places, mut body) = (Vec::with_capacity(entries.len()), 0);
        let payload = builder.push(Kind::Kept, self.revision, |out| {
            body = out.len();
            for entry in &entries {
                out.put_u64_le(entry.revision);
                let (at, crc) = record::put_change(out, &entry.key, entry.value.as_deref());
                let left = entry.value.as_ref().map_or(Left::Nothing, |v| Left::Value { length: v.len() as u32, crc });
                places.push(((at - body) as u32, left));
            }
        });
        self.append(&builder)?;
        let segment = builder.start().segment;
        let mut state = self.shared.state.write();
        for (entry, (offset, left)) in entries.iter().zip(places) {
            state.set(&entry.key, entry.revision, Position { segment, offset: payload + offset }, left);
        }
        self.cover(&mut state);
        Ok(())
    }

    fn drop_segment(&mut self, id: u32, removals: Vec<Bytes>) -> Result<bool, StoreError> {
        self.writable()?;
        let unneeded = |state: &State| {
            let here = |key: &&Bytes| state.removed.get(*key).is_some_and(|removed| removed.place.segment == id);
            let hidden = removals.iter().filter(here).count();
            state.segments.get(&id).is_some_and(|info| info.values == 0 && info.removals as usize == hidden)
        };
        if !unneeded(&self.shared.state.read()) {
            return Ok(false);
        }
        failpoint!("store::clean_before_sync");
        self.note(Kind::Drop, self.revision, &[id.into()])?;
        // From here on the next segment would no longer name it, so it must not come back.
        if let Some(info) = self.shared.state.write().segments.get_mut(&id) {
            info.dropped = true;
        }
        self.sync()?;
        failpoint!("store::clean_after_sync");
        Ok(true)
    }

    fn forget(&mut self, keys: Vec<Bytes>) -> Result<(), StoreError> {
        let mut state = self.shared.state.write();
        keys.iter().for_each(|key| state.forget(key));
        Ok(())
    }

    fn roll(&mut self) -> Result<(), StoreError> {
        self.writable()?;
        Log::roll(self, Leave::Nothing)
    }
}
