//! Opening, creating, filling and checking a directory.

use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use tokio::sync::broadcast;

use super::format::{self, Found};
use super::log::{End, Log};
use super::pool::{Leave, Pool};
use super::record::{self, Begin, Builder, Kind, Position, kept_size, record_size};
use super::scan::{self, scan};
use super::shared::Shared;
use super::state::{Info, State};
use super::{Checked, Sizes};
use crate::disk::{Disk, SystemDisk};
use crate::limits::{KEEP_BYTES, LIVE_COMMITS};
use crate::{StoreError, io_error};

/// Opens a store, creating it if there is none.
pub(super) fn open(disk: Arc<dyn Disk>, sizes: Sizes) -> Result<Log, StoreError> {
    format::check(&*disk)?;
    lock(&*disk)?;
    if format::check(&*disk)? == Found::New {
        format::begin(&*disk).map_err(io_error("create the store"))?;
        let mut log = create(disk.clone(), sizes, 0)?;
        log.close()?;
        format::finish(&*disk).map_err(io_error("write the format file"))?;
    }
    let found = scan(&*disk)?;
    let revision = found.revision();
    if found.torn > 0 {
        tracing::info!(bytes = found.torn, "the end of the log is torn, as a crash leaves it; it is cut");
    }
    found.write_again().map_err(io_error("open the log"))?;
    let (last, mut log) = (found.last, continued(disk, sizes, found, revision)?);
    log.open(last)?;
    Ok(log)
}

fn lock(disk: &dyn Disk) -> Result<(), StoreError> {
    match disk.lock().map_err(io_error("lock the directory"))? {
        true => Ok(()),
        false => Err(StoreError::Locked { path: disk.path().to_owned() }),
    }
}

impl scan::Found {
    /// The revision to go on from. A clean end leaves nothing open. Otherwise commits that nobody waited for may have
    /// been seen and lost: their revisions must not be given out again.
    fn revision(&self) -> u64 {
        if self.clean { self.last } else { self.reserved.max(self.last) + 1 }
    }

    /// Writes anew what may only be in the system's memory: after a sync that failed it calls clean what it has not
    /// written, and no later sync would save that. The sync of the next record comes after this.
    fn write_again(&self) -> std::io::Result<()> {
        let from = if self.durable.segment == self.tail.segment { self.durable.offset } else { 0 };
        let mut bytes = vec![0; self.tail.offset.saturating_sub(from) as usize];
        self.active.file.read_at(&mut bytes, from.into())?;
        if bytes.is_empty() { Ok(()) } else { self.active.file.write_at(&bytes, from.into()) }
    }
}

fn continued(disk: Arc<dyn Disk>, sizes: Sizes, found: scan::Found, revision: u64) -> Result<Log, StoreError> {
    let next = found.ready.last().unwrap_or(&found.active).id + 1;
    let mut state = found.state;
    state.revision = revision;
    let shared = Arc::new(Shared::new(disk, sizes, state, Pool::new(found.ready, next), found.dropped));
    let (active, tail, durable, previous) = (found.active, found.tail, found.durable, found.previous);
    let end = End { active, tail, durable, previous, revision, reserved: found.reserved.max(revision) };
    Log::new(shared, end, broadcast::Sender::new(LIVE_COMMITS))
}

/// Makes an empty log whose last revision is `revision`.
fn create(disk: Arc<dyn Disk>, sizes: Sizes, revision: u64) -> Result<Log, StoreError> {
    let pool = Pool::new(Vec::new(), 1);
    pool.make(&*disk, &sizes).map_err(io_error("create the log"))?;
    let Some(first) = pool.take(Leave::Nothing) else { return Err(StoreError::Closed) };
    let start = Position { segment: first.id, offset: 0 };
    let mut builder = Builder::new(start, 0, start);
    let begin = Begin { compacted: revision, reserved: revision, sealed: Vec::new() };
    builder.push(Kind::Begin, revision, |out| begin.encode(out));
    first.file.write_at(builder.bytes(), 0).map_err(io_error("create the log"))?;
    let mut state = State { revision, compacted: revision, ..State::default() };
    let mut info = Info::new(first.clone(), sizes.segment.into());
    (info.length, info.crc) = (builder.end().offset, builder.previous());
    state.segments.insert(first.id, info);
    let shared = Arc::new(Shared::new(disk, sizes, state, pool, Vec::new()));
    let (tail, previous) = (builder.end(), builder.previous());
    let end = End { active: first, tail, durable: start, previous, revision, reserved: revision };
    Log::new(shared, end, broadcast::Sender::new(LIVE_COMMITS))
}

/// Creates a store in a new or empty directory with these keys and values, all at one durable revision above
/// `floor`, which it returns; watches from older revisions are told `Compacted`. Blocks. What an interrupted load
/// leaves is refused by `open`. Errors: `Format` when the directory is in use already, and the caller's own.
pub fn load<E: From<StoreError>>(
    directory: &Path,
    floor: u64,
    entries: impl IntoIterator<Item = Result<(Bytes, Bytes), E>>,
) -> Result<u64, E> {
    load_on(Arc::new(SystemDisk::at(directory)), Sizes::default(), floor, entries)
}

pub(super) fn load_on<E: From<StoreError>>(
    disk: Arc<dyn Disk>,
    sizes: Sizes,
    floor: u64,
    entries: impl IntoIterator<Item = Result<(Bytes, Bytes), E>>,
) -> Result<u64, E> {
    if format::check(&*disk)? == Found::Ours {
        let found = "a store that is in use".to_owned();
        let expected = "an empty directory".to_owned();
        return Err(StoreError::Format { path: disk.path().to_owned(), found, expected }.into());
    }
    lock(&*disk)?;
    format::begin(&*disk).and_then(|()| format::begin_restore(&*disk)).map_err(io_error("create the store"))?;
    let revision = floor + 1;
    let mut log = create(disk.clone(), sizes, revision)?;
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let (key, value) = entry?;
        bytes += kept_size(key.len(), Some(value.len()));
        chunk.push((key, value));
        if bytes >= KEEP_BYTES {
            log.load(&std::mem::take(&mut chunk))?;
            bytes = 0;
        }
    }
    log.load(&chunk)?;
    log.close()?;
    format::finish(&*disk).map_err(io_error("write the format file"))?;
    Ok(revision)
}

impl Log {
    /// Writes entries of a store that nobody uses yet.
    fn load(&mut self, entries: &[(Bytes, Bytes)]) -> Result<(), StoreError> {
        let bytes = entries.iter().map(|(key, value)| kept_size(key.len(), Some(value.len()))).sum();
        self.make_room(record_size(bytes), Leave::Nothing)?;
        let (mut builder, revision) = (self.builder(), self.revision);
        builder.push(Kind::Kept, revision, |out| {
            for (key, value) in entries {
                out.put_u64_le(revision);
                record::put_change(out, key, Some(value));
            }
        });
        self.append(&builder)?;
        self.cover(&mut self.shared.state.write());
        Ok(())
    }
}

/// Tells whether this program can use a directory, reads no data and changes nothing; an empty or missing one is fine.
/// Blocks. Errors: `Format`, `Io`.
pub fn check_format(directory: &Path) -> Result<(), StoreError> {
    format::check(&SystemDisk::at(directory)).map(drop)
}

/// Reads and checks everything in a directory and changes nothing; a running store may be checked, too. Blocks.
/// Errors: as `EmbeddedStore::open` has them, without `Locked`.
pub fn verify(directory: &Path) -> Result<Checked, StoreError> {
    verify_on(&SystemDisk::at(directory))
}

pub(super) fn verify_on(disk: &dyn Disk) -> Result<Checked, StoreError> {
    if format::check(disk)? == Found::New {
        let found = "no store".to_owned();
        return Err(StoreError::Format { path: disk.path().to_owned(), found, expected: "a store".to_owned() });
    }
    // Segments of a running store come and go: what is damaged is so each time.
    let found = scan(disk).or_else(|_| scan(disk)).or_else(|_| scan(disk))?;
    Ok(Checked {
        revision: found.last,
        compacted: found.state.compacted,
        keys: found.state.index.len() as u64,
        live_bytes: found.state.live_bytes,
        size_bytes: found.size,
        segments: found.state.segments.len() as u64,
        clean: found.clean,
        torn_bytes: found.torn,
    })
}
