//! The end of the log, where everything is written: one owner, no threads of its own, each call one step.
//!
//! A group of transactions is compared, written and synced as one. Records reach the file in order; a segment is
//! synced before the next one begins. After a write or a sync that failed for another reason than space nothing
//! follows: what is on disk is unknown then, and the system may call clean what it has lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::BufMut;
use tokio::sync::broadcast;

use super::group::Group;
use super::pool::{Leave, Segment, Trouble, is_full};
use super::record::{Begin, Builder, HEADER, Kind, Position};
use super::shared::Shared;
use super::state::Info;
use crate::disk::DiskFile;
use crate::failpoints::failpoint;
use crate::limits::REVISION_RESERVE;
use crate::{Batch, StoreError};

pub(super) struct Log {
    pub(super) shared: Arc<Shared>,
    live: Option<broadcast::Sender<Arc<Batch>>>,
    active: Arc<Segment>,
    /// Bytes of the active segment's file.
    capacity: u64,
    tail: Position,
    /// The checksum of the last header.
    previous: u32,
    /// All before this is on disk.
    durable: Position,
    /// The last revision that is visible.
    pub(super) revision: u64,
    /// No revision above this one is given out.
    pub(super) reserved: u64,
    poisoned: Option<String>,
    /// The last revision before the opening, until that is in the log.
    unopened: Option<u64>,
    /// Whether the cleaner knows that something is not synced.
    told_dirty: bool,
}

/// Where a log was found to end.
pub(super) struct End {
    pub(super) active: Arc<Segment>,
    pub(super) tail: Position,
    /// All before this is known to be on disk.
    pub(super) durable: Position,
    pub(super) previous: u32,
    pub(super) revision: u64,
    pub(super) reserved: u64,
}

impl Log {
    pub(super) fn new(shared: Arc<Shared>, end: End, live: broadcast::Sender<Arc<Batch>>) -> Result<Self, StoreError> {
        let capacity = end.active.file.length().map_err(crate::io_error("open the log"))?;
        Ok(Log {
            shared,
            live: Some(live),
            active: end.active,
            capacity,
            tail: end.tail,
            previous: end.previous,
            durable: end.durable,
            revision: end.revision,
            reserved: end.reserved,
            poisoned: None,
            unopened: None,
            told_dirty: false,
        })
    }

    /// Where commits are told to watches; ends with this log, or when writing stops.
    pub(super) fn live(&self) -> broadcast::WeakSender<Arc<Batch>> {
        self.live.as_ref().map_or_else(|| broadcast::Sender::new(1).downgrade(), broadcast::Sender::downgrade)
    }

    pub(super) fn builder(&self) -> Builder {
        Builder::new(self.tail, self.previous, self.durable)
    }

    /// Refuses when nothing can be written.
    pub(super) fn writable(&mut self) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(StoreError::Poisoned { cause: cause.clone() });
        }
        match self.unopened.take() {
            Some(after) => self.opened(after).inspect_err(|_| self.unopened = Some(after)),
            None => Ok(()),
        }
    }

    /// Whether so many bytes fit behind what a builder holds.
    pub(super) fn fits(&self, builder: &Builder, bytes: usize) -> bool {
        u64::from(builder.end().offset) + bytes as u64 <= self.capacity
    }

    /// Makes sure that a record of so many bytes fits at the end, in a new segment if need be.
    pub(super) fn make_room(&mut self, bytes: usize, leave: Leave) -> Result<(), StoreError> {
        if self.fits(&self.builder(), bytes) {
            return Ok(());
        }
        self.roll(leave)?;
        let needed = u64::from(self.tail.offset) + bytes as u64;
        if needed > self.capacity {
            self.active.file.allocate(needed).map_err(|error| self.no_room((&error).into()))?;
            self.capacity = needed;
            let mut state = self.shared.state.write();
            if let Some(info) = state.segments.get_mut(&self.active.id) {
                info.size = needed;
            }
        }
        Ok(())
    }

    /// What to answer when there is no place for a record: nothing has changed.
    pub(super) fn no_room(&self, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Full => self.full(),
            Trouble::Other(cause) => StoreError::Unavailable { operation: "make room in the log", cause },
        }
    }

    pub(super) fn full(&self) -> StoreError {
        let available = self.shared.disk.free_bytes().unwrap_or_default();
        StoreError::Full { path: self.shared.disk.path().to_owned(), available }
    }

    /// Begins the next segment.
    pub(super) fn roll(&mut self, leave: Leave) -> Result<(), StoreError> {
        let next = self.next_segment(leave)?;
        if let Err(error) = self.seal() {
            self.shared.pool.untake(next);
            return Err(error);
        }
        failpoint!("store::roll_before_begin");
        let (begin, size) = {
            let state = self.shared.state.read();
            (Begin { compacted: state.compacted, reserved: self.reserved, sealed: state.sealed() }, next.file.length())
        };
        let start = Position { segment: next.id, offset: 0 };
        let mut builder = Builder::new(start, self.previous, self.durable);
        builder.push(Kind::Begin, self.revision, |out| begin.encode(out));
        let written = size.and_then(|size| next.file.write_at(builder.bytes(), 0).map(|()| size));
        let size = match written {
            Ok(size) => size,
            Err(error) if is_full(&error) => {
                self.shared.pool.untake(next);
                return Err(self.full());
            }
            Err(error) => return Err(self.poison("begin a segment", &error)),
        };
        failpoint!("store::roll_after_begin");
        let mut info = Info::new(next.clone(), size);
        (info.length, info.crc) = (builder.end().offset, builder.previous());
        self.shared.state.write().segments.insert(next.id, info);
        (self.active, self.capacity) = (next, size);
        (self.tail, self.previous) = (builder.end(), builder.previous());
        self.shared.ask_cleaner(|errands| errands.clean = true);
        Ok(())
    }

    fn next_segment(&self, leave: Leave) -> Result<Arc<Segment>, StoreError> {
        loop {
            if let Some(segment) = self.shared.pool.take(leave) {
                return Ok(segment);
            }
            self.make_segment()?;
        }
    }

    /// Makes sure that a segment is left: where none is, the rest of the last one is for cleaning alone.
    pub(super) fn spare_one(&self) -> Result<(), StoreError> {
        while self.shared.pool.len() == 0 {
            self.make_segment()?;
        }
        Ok(())
    }

    /// The cleaner makes them ahead; who is faster than that makes his own.
    fn make_segment(&self) -> Result<(), StoreError> {
        if let Some(trouble) = self.shared.pool.trouble() {
            return Err(self.no_room(trouble));
        }
        let made = self.shared.pool.make(&*self.shared.disk, &self.shared.sizes);
        made.map(drop).map_err(|error| self.no_room((&error).into()))
    }

    /// Ends the active segment: all of it is on disk, and what it does not use is given back.
    fn seal(&mut self) -> Result<(), StoreError> {
        self.sync()?;
        let used = u64::from(self.tail.offset);
        if self.capacity - used > u64::from(self.shared.sizes.segment) / 8 {
            match self.active.file.cut(used) {
                Ok(()) => {
                    if let Some(info) = self.shared.state.write().segments.get_mut(&self.active.id) {
                        info.size = used;
                    }
                }
                Err(error) => tracing::warn!(%error, "the rest of a segment could not be given back"),
            }
        }
        Ok(())
    }

    /// Writes records at the end. They count only once they are synced, or visible.
    pub(super) fn append(&mut self, builder: &Builder) -> Result<(), StoreError> {
        failpoint!("store::before_append");
        let written = self.active.file.write_at(builder.bytes(), builder.start().offset.into());
        failpoint!("store::after_append");
        match written {
            Ok(()) => {
                (self.tail, self.previous) = (builder.end(), builder.previous());
                Ok(())
            }
            Err(error) if is_full(&error) => {
                // Whatever part was written must not be found by the next opening.
                let undone = self.active.file.write_at(&[0; HEADER], builder.start().offset.into());
                undone.map_err(|error| self.poison("undo a write", &error))?;
                Err(self.full())
            }
            Err(error) => Err(self.poison("write", &error)),
        }
    }

    /// Waits until everything that was written is on disk.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if self.poisoned.is_none() && self.durable == self.tail {
            return Ok(());
        }
        self.writable()?;
        failpoint!("store::before_sync");
        let started = Instant::now();
        let result = sync_file(&*self.active.file);
        let counts = &self.shared.counts;
        counts.syncs.fetch_add(1, Ordering::Relaxed);
        counts.sync_nanos.fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
        failpoint!("store::after_sync");
        result.map_err(|error| self.poison("sync", &error))?;
        self.durable = self.tail;
        Ok(())
    }

    /// Stops all writing for good. What was under way may be on disk or not.
    fn poison(&mut self, operation: &'static str, error: &io::Error) -> StoreError {
        let cause = format!("{operation}: {error}");
        tracing::error!(%cause, "a write to the store failed; no more is written until a restart");
        self.poisoned = Some(cause.clone());
        self.shared.fail(StoreError::Poisoned { cause: cause.clone() });
        // Whoever watches learns of it now.
        self.live = None;
        StoreError::Unknown { operation, cause }
    }

    /// Writes a group, waits for the disk if it must, and makes it visible.
    pub(super) fn finish(&mut self, group: &Group) -> Result<(), StoreError> {
        if group.is_empty() {
            return Ok(());
        }
        self.append(&group.builder)?;
        if group.durable {
            self.sync()?;
        } else {
            self.is_dirty();
        }
        failpoint!("store::before_index");
        {
            let mut state = self.shared.state.write();
            group.publish(&mut state);
            self.cover(&mut state);
        }
        failpoint!("store::after_index");
        self.revision = group.revision;
        self.reserved = self.reserved.max(group.reserved);
        self.shared.counts.commits.fetch_add(group.commits.len() as u64, Ordering::Relaxed);
        for commit in &group.commits {
            if let Some(live) = &self.live {
                // Nobody watching is fine.
                let _ = live.send(commit.batch.clone());
            }
        }
        Ok(())
    }

    /// What was written is part of what readers see.
    pub(super) fn cover(&self, state: &mut super::state::State) {
        if let Some(info) = state.segments.get_mut(&self.active.id) {
            (info.length, info.crc) = (self.tail.offset, self.previous);
        }
    }

    pub(super) fn is_dirty(&mut self) {
        if !self.told_dirty {
            self.told_dirty = true;
            self.shared.ask_cleaner(|errands| errands.dirty = true);
        }
    }

    /// Waits for the disk if anything is not there yet.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.told_dirty = false;
        self.sync()
    }

    /// Writes one record of numbers.
    pub(super) fn note(&mut self, kind: Kind, revision: u64, numbers: &[u64]) -> Result<(), StoreError> {
        self.writable()?;
        self.make_room(HEADER + 8 * numbers.len(), Leave::Nothing)?;
        let mut builder = self.builder();
        builder.push(kind, revision, |out| numbers.iter().for_each(|number| out.put_u64_le(*number)));
        self.append(&builder)?;
        let mut state = self.shared.state.write();
        if kind == Kind::Opened
            && let Some(info) = state.segments.get_mut(&self.active.id)
        {
            info.note(revision, builder.start().offset);
        }
        self.cover(&mut state);
        Ok(())
    }

    /// Says in the log that everything before it is on disk, so that later damage there is not taken for a torn end.
    /// The next record takes its place.
    pub(super) fn mark(&mut self) {
        let mut builder = self.builder();
        if self.poisoned.is_some() || self.durable != self.tail || !self.fits(&builder, HEADER) {
            return;
        }
        failpoint!("store::before_mark");
        builder.push(Kind::Mark, self.revision, |_| {});
        if let Err(error) = self.active.file.write_at(builder.bytes(), builder.start().offset.into()) {
            tracing::warn!(%error, "the end of the log could not be marked");
        }
        failpoint!("store::after_mark");
    }

    /// Reserves revisions and says that the store was opened after the revision `after`. Where there is not even space
    /// for that, the store can be read, and this is made up for before the first write.
    pub(super) fn open(&mut self, after: u64) -> Result<(), StoreError> {
        failpoint!("store::open_before_record");
        match self.opened(after) {
            Err(error @ (StoreError::Full { .. } | StoreError::Unavailable { .. })) => {
                tracing::warn!(%error, "the store can only be read until there is space");
                self.unopened = Some(after);
            }
            other => other?,
        }
        failpoint!("store::open_after_record");
        Ok(())
    }

    fn opened(&mut self, after: u64) -> Result<(), StoreError> {
        let reserved = self.revision + REVISION_RESERVE;
        self.note(Kind::Opened, self.revision, &[after, reserved])?;
        self.sync()?;
        self.reserved = reserved;
        Ok(())
    }

    /// Promises nobody anything up to this revision any more.
    pub(super) fn compact(&mut self, revision: u64) -> Result<bool, StoreError> {
        self.writable()?;
        let target = revision.min(self.revision);
        if target > self.shared.compacted() {
            failpoint!("store::compact_before_record");
            self.note(Kind::Compact, self.revision, &[target])?;
            failpoint!("store::compact_after_record");
            self.shared.state.write().compacted = target;
            self.is_dirty();
        }
        self.shared.ask_cleaner(|errands| errands.clean = true);
        Ok(false)
    }

    /// Marks a clean end: nothing was given out that is not on disk.
    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        // Where there was no space for the opening nothing was written since.
        if self.poisoned.is_none() && self.unopened.is_some() {
            return Ok(());
        }
        self.writable()?;
        failpoint!("store::close_before_record");
        self.note(Kind::Closed, self.revision, &[])?;
        self.sync()?;
        failpoint!("store::close_after_record");
        Ok(())
    }
}

fn sync_file(file: &dyn DiskFile) -> io::Result<()> {
    failpoint!("store::sync_delay");
    failpoint!("store::sync_error", Err(io::Error::from_raw_os_error(nix::errno::Errno::EIO as i32)));
    file.sync()
}
