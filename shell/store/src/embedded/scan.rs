//! Reading the whole log: what it holds, where it ends, and whether anything is missing. Changes nothing.
//!
//! The newest segment that has begun names all others with their lengths and last checksums; those must be whole.
//! The newest one ends at the first record that is not whole. That is a torn end, to be cut, unless something further
//! on says that this place was on disk already: then the disk has lost what it had confirmed.

use std::sync::Arc;

use super::pool::{self, Segment};
use super::read::damaged;
use super::record::{self, Begin, HEADER, Header, Kind, Position, Sealed, WORD};
use super::state::{Info, Left, State};
use crate::disk::Disk;
use crate::{StoreError, io_error};

const READ: &str = "read the log";

/// What was found.
pub(super) struct Found {
    pub(super) state: State,
    pub(super) active: Arc<Segment>,
    /// Where the log ends.
    pub(super) tail: Position,
    /// The checksum of its last header.
    pub(super) previous: u32,
    /// Where what the log says to be on disk ends.
    pub(super) durable: Position,
    /// The last revision in it.
    pub(super) last: u64,
    pub(super) reserved: u64,
    /// Whether the store was closed.
    pub(super) clean: bool,
    /// Bytes of records behind the end that are not whole.
    pub(super) torn: u64,
    /// Segments that are ready to be used.
    pub(super) ready: Vec<Arc<Segment>>,
    /// Segments that are no longer part of the log.
    pub(super) dropped: Vec<u32>,
    /// Bytes of all segments.
    pub(super) size: u64,
}

/// One segment being read.
struct Reading<'a> {
    disk: &'a dyn Disk,
    segment: Arc<Segment>,
    bytes: Vec<u8>,
}

/// What is gathered from records.
#[derive(Default)]
struct Gathered {
    state: State,
    last: u64,
    reserved: u64,
    /// The kind of the last record.
    kind: Option<Kind>,
    durable: Position,
}

/// Reads everything.
pub(super) fn scan(disk: &dyn Disk) -> Result<Found, StoreError> {
    let names = disk.list().map_err(io_error(READ))?;
    let mut ids: Vec<u32> = names.iter().filter_map(|name| pool::id(name)).collect();
    ids.sort_unstable();
    let (active, begin) = newest(disk, &ids)?;
    let segment = open(disk, active, None)?;
    let length = segment.file.length().map_err(io_error(READ))?;
    let newest = Reading::of(disk, segment, length, Vec::new())?;
    let drops = newest.drops()?;
    let mut gathered = Gathered::default();
    let mut buffer = Vec::new();
    let mut size = length;
    for sealed in begin.sealed.iter().filter(|sealed| !drops.contains(&sealed.id)) {
        let segment = open(disk, sealed.id, Some(sealed))?;
        let reading = Reading::of(disk, segment, sealed.length.into(), buffer)?;
        size += reading.whole(sealed, &mut gathered)?;
        buffer = reading.bytes;
    }
    let (end, previous) = newest.gather(&mut gathered)?;
    let tail = newest.position(end);
    let durable = if newest.marked(end) { tail } else { gathered.durable };
    let torn = newest.evidence(end, tail)?.saturating_sub(end) as u64;
    let mut ready = Vec::new();
    for (id, expected) in ids.iter().copied().filter(|id| *id > active).zip(active + 1..) {
        if id != expected {
            // They are made one after the other, so the one that is missing was there, and may have been begun.
            let at = Position { segment: expected, offset: 0 };
            return Err(damaged(READ, disk.path(), at, "the file is missing"));
        }
        let segment = newest.unused(id, tail)?;
        size += segment.file.length().map_err(io_error(READ))?;
        ready.push(segment);
    }
    let part = |id: u32| begin.sealed.iter().any(|sealed| sealed.id == id) && !drops.contains(&id);
    let dropped = ids.iter().copied().filter(|id| *id < active && !part(*id)).collect();
    gathered.state.forget_removals();
    Ok(Found {
        active: newest.segment,
        tail,
        durable,
        previous,
        last: gathered.last,
        reserved: gathered.reserved,
        clean: gathered.kind == Some(Kind::Closed),
        torn,
        ready,
        dropped,
        size,
        state: gathered.state,
    })
}

/// The newest segment that has begun.
fn newest(disk: &dyn Disk, ids: &[u32]) -> Result<(u32, Begin), StoreError> {
    for id in ids.iter().rev() {
        let segment = open(disk, *id, None)?;
        let at = Position { segment: *id, offset: 0 };
        let mut head = vec![0; HEADER];
        if segment.file.read_at(&mut head, 0).is_err() {
            continue;
        }
        let Some(header) = Header::decode(&head, at).filter(|header| header.kind == Kind::Begin) else { continue };
        head.resize(header.size(), 0);
        if segment.file.read_at(&mut head, 0).is_err() {
            continue;
        }
        if let Some(begin) = record::payload(&header, &head).and_then(Begin::decode) {
            return Ok((*id, begin));
        }
    }
    let at = Position { segment: ids.first().copied().unwrap_or(1), offset: 0 };
    Err(damaged(READ, disk.path(), at, "no segment of the log has a beginning"))
}

fn open(disk: &dyn Disk, id: u32, sealed: Option<&Sealed>) -> Result<Arc<Segment>, StoreError> {
    match disk.open(&pool::name(id)) {
        Ok(file) => Ok(Arc::new(Segment { id, file })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && sealed.is_some() => {
            Err(damaged(READ, disk.path(), Position { segment: id, offset: 0 }, "the file is missing"))
        }
        Err(error) => Err(io_error(READ)(error)),
    }
}

impl<'a> Reading<'a> {
    fn of(disk: &'a dyn Disk, segment: Arc<Segment>, length: u64, mut bytes: Vec<u8>) -> Result<Self, StoreError> {
        let there = segment.file.length().map_err(io_error(READ))?.min(length);
        bytes.resize(there as usize, 0);
        segment.file.read_at(&mut bytes, 0).map_err(io_error(READ))?;
        Ok(Reading { disk, segment, bytes })
    }

    fn position(&self, offset: usize) -> Position {
        Position { segment: self.segment.id, offset: offset as u32 }
    }

    fn damaged(&self, offset: usize, what: &str) -> StoreError {
        damaged(READ, self.disk.path(), self.position(offset), what)
    }

    /// Visits all records up to the first one that is not whole or does not follow on the one before it; returns
    /// where that is, and the checksum of the last header.
    fn walk(
        &self,
        mut visit: impl FnMut(usize, &Header, &[u8]) -> Result<(), String>,
    ) -> Result<(usize, u32), StoreError> {
        let (mut at, mut previous) = (0, None);
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let header = Header::decode(rest, self.position(at)).filter(|header| {
                let follows = previous.is_none_or(|previous| header.previous == previous);
                follows && header.kind != Kind::Mark && (header.kind == Kind::Begin) == (at == 0)
            });
            let Some((header, payload)) = header.and_then(|h| record::payload(&h, rest).map(|payload| (h, payload)))
            else {
                return Ok((at, previous.unwrap_or_default()));
            };
            visit(at, &header, payload).map_err(|what| self.damaged(at, &what))?;
            previous = Some(header.crc);
            at += header.size();
        }
    }

    /// Whether a mark stands at the end, so that everything before it is on disk.
    fn marked(&self, end: usize) -> bool {
        let header = self.bytes.get(end..).and_then(|rest| Header::decode(rest, self.position(end)));
        header.is_some_and(|header| header.kind == Kind::Mark && header.durable == self.position(end))
    }

    /// The segments that this one drops.
    fn drops(&self) -> Result<Vec<u32>, StoreError> {
        let mut found = Vec::new();
        self.walk(|_, header, payload| {
            if header.kind == Kind::Drop {
                let [id] = record::numbers(payload).ok_or("a drop that cannot be read")?;
                found.push(id as u32);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn gather(&self, gathered: &mut Gathered) -> Result<(usize, u32), StoreError> {
        let size = self.segment.file.length().map_err(io_error(READ))?;
        let id = self.segment.id;
        gathered.state.segments.insert(id, Info::new(self.segment.clone(), size));
        let (end, crc) = self.walk(|at, header, payload| gathered.record(self.position(at), header, payload))?;
        if let Some(info) = gathered.state.segments.get_mut(&id) {
            (info.length, info.crc) = (end as u32, crc);
        }
        Ok((end, crc))
    }

    /// Gathers a segment that must be whole; returns the bytes of its file.
    fn whole(&self, sealed: &Sealed, gathered: &mut Gathered) -> Result<u64, StoreError> {
        let (end, crc) = self.gather(gathered)?;
        if end != sealed.length as usize || crc != sealed.crc {
            return Err(self.damaged(end, "the record that was here is not whole"));
        }
        self.segment.file.length().map_err(io_error(READ))
    }

    /// Looks for a record from `from` on that says that the log was on disk beyond `tail`; returns where the last
    /// record ends that was begun there.
    fn evidence(&self, from: usize, tail: Position) -> Result<usize, StoreError> {
        let mut end = 0;
        for at in (from..self.bytes.len()).step_by(WORD) {
            let Some(header) = Header::decode(&self.bytes[at..], self.position(at)) else { continue };
            if header.durable > tail {
                let begun = Position { segment: header.durable.segment, offset: 0 };
                let at = if begun > tail { begun } else { tail };
                let what = "the record that was here is not whole, though it was on disk already";
                return Err(damaged(READ, self.disk.path(), at, what));
            }
            if header.kind != Kind::Mark {
                end = end.max(at + header.size());
            }
        }
        Ok(end)
    }

    /// A segment after the newest one: nothing in it may say that the log went on.
    fn unused(&self, id: u32, tail: Position) -> Result<Arc<Segment>, StoreError> {
        let segment = open(self.disk, id, None)?;
        let length = segment.file.length().map_err(io_error(READ))?;
        let reading = Reading::of(self.disk, segment, length, Vec::new())?;
        reading.evidence(0, tail)?;
        Ok(reading.segment)
    }
}

impl Gathered {
    fn record(&mut self, at: Position, header: &Header, payload: &[u8]) -> Result<(), String> {
        let unreadable = || format!("a record of kind {:?} that cannot be read", header.kind);
        self.kind = Some(header.kind);
        match header.kind {
            Kind::Begin => {
                let begin = Begin::decode(payload).ok_or_else(unreadable)?;
                self.reserved = self.reserved.max(begin.reserved);
                self.state.compacted = self.state.compacted.max(begin.compacted);
            }
            Kind::Commit | Kind::Kept => self.keys(at, header, payload)?,
            Kind::Opened => {
                let [_, reserved] = record::numbers(payload).ok_or_else(unreadable)?;
                self.reserved = self.reserved.max(reserved);
            }
            Kind::Reserve => {
                let [reserved] = record::numbers(payload).ok_or_else(unreadable)?;
                self.reserved = self.reserved.max(reserved);
            }
            Kind::Compact => {
                let [compacted] = record::numbers(payload).ok_or_else(unreadable)?;
                self.state.compacted = self.state.compacted.max(compacted);
            }
            Kind::Drop | Kind::Closed | Kind::Mark => {}
        }
        self.last = self.last.max(header.revision);
        self.durable = self.durable.max(header.durable);
        if matches!(header.kind, Kind::Commit | Kind::Opened)
            && let Some(info) = self.state.segments.get_mut(&at.segment)
        {
            info.note(header.revision, at.offset);
        }
        Ok(())
    }

    fn keys(&mut self, at: Position, header: &Header, payload: &[u8]) -> Result<(), String> {
        for stored in record::changes(header, payload) {
            let stored = stored?;
            let place = Position { offset: at.offset + HEADER as u32 + stored.place as u32, ..at };
            let value = |value: &[u8]| Left::Value { length: value.len() as u32, crc: stored.value_crc };
            self.state.set(stored.key, stored.revision, place, stored.value.map_or(Left::Nothing, value));
        }
        Ok(())
    }
}
