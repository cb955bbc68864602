//! Reading values and commits from the segments; every byte is checked before it is given out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::index::Slot;
use super::pool::{self, Segment};
use super::record::{self, HEADER, Header, Kind, Position};
use crate::disk::Disk;
use crate::limits::{GROUP_BYTES, READ_BYTES, READ_GAP_BYTES};
use crate::{Batch, Entry, KeyChange, Part, StoreError, io_error};

/// Says that a place on disk does not hold what was written there, and what to do.
pub(super) fn damaged(operation: &'static str, path: &Path, at: Position, what: &str) -> StoreError {
    let file = path.join(pool::name(at.segment));
    let cause = format!(
        "{} at byte {}: {what}; the disk lost or changed what it had confirmed: nothing was touched, restore the last \
         backup with `gantry backup restore`",
        file.display(),
        at.offset
    );
    StoreError::Damaged { operation, cause }
}

/// Reads values of keys from some files.
pub(super) struct Values<'a> {
    path: &'a Path,
    files: &'a BTreeMap<u32, Arc<Segment>>,
}

impl<'a> Values<'a> {
    pub(super) fn new(path: &'a Path, files: &'a BTreeMap<u32, Arc<Segment>>) -> Self {
        Values { path, files }
    }

    /// The entries of these keys, in the same order.
    pub(super) fn read(&self, wanted: Vec<(Bytes, Slot)>) -> Result<Vec<Entry>, StoreError> {
        let mut values = vec![Bytes::new(); wanted.len()];
        for run in runs(&wanted) {
            for (place, value) in run.iter().zip(self.read_run(&wanted, &run)?) {
                values[*place] = value;
            }
        }
        let entries = wanted.into_iter().zip(values);
        Ok(entries.map(|((key, slot), value)| Entry { key, value, revision: slot.revision }).collect())
    }

    fn read_run(&self, wanted: &[(Bytes, Slot)], run: &[usize]) -> Result<Vec<Bytes>, StoreError> {
        let (first, last) = (wanted[run[0]].1, wanted[run[run.len() - 1]].1);
        let mut buffer = vec![0; (last.offset + last.length - first.offset) as usize];
        let at = Position { segment: first.segment, offset: first.offset };
        let lost = || damaged("read values", self.path, at, "the segment is not known");
        let file = &self.files.get(&first.segment).ok_or_else(lost)?.file;
        file.read_at(&mut buffer, first.offset.into()).map_err(io_error("read values"))?;
        let buffer = Bytes::from(buffer);
        let values = run.iter().map(|place| {
            let slot = &wanted[*place].1;
            let start = (slot.offset - first.offset) as usize;
            let value = buffer.slice(start..start + slot.length as usize);
            if crc32c::crc32c(&value) != slot.crc {
                let at = Position { segment: slot.segment, offset: slot.offset };
                let what = format!("the value of {} is not what was written", wanted[*place].0.escape_ascii());
                return Err(damaged("read values", self.path, at, &what));
            }
            Ok(value)
        });
        values.collect()
    }
}

/// Everything that is wanted of some files, in parts that are read when they are asked for.
pub(super) fn parts(disk: Arc<dyn Disk>, files: BTreeMap<u32, Arc<Segment>>, wanted: Vec<(Bytes, Slot)>) -> Vec<Part> {
    let runs = runs(&wanted);
    let source = Arc::new((disk, files, wanted));
    let part = |run: Vec<usize>| -> Part {
        let source = source.clone();
        Box::new(move || {
            let (disk, files, wanted) = &*source;
            let values = Values::new(disk.path(), files).read_run(wanted, &run)?;
            let entry = |(place, value): (usize, Bytes)| {
                let (key, slot) = &wanted[place];
                (place, Entry { key: key.clone(), value, revision: slot.revision })
            };
            Ok(run.into_iter().zip(values).map(entry).collect())
        })
    };
    runs.into_iter().map(part).collect()
}

/// The places of what is wanted in the order in which it stands on disk, each run of neighbours for one read.
fn runs(wanted: &[(Bytes, Slot)]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_unstable_by_key(|at| (wanted[*at].1.segment, wanted[*at].1.offset));
    let (mut runs, mut rest) = (Vec::new(), &order[..]);
    while !rest.is_empty() {
        let (run, after) = rest.split_at(neighbours(wanted, rest));
        runs.push(run.to_vec());
        rest = after;
    }
    runs
}

/// How many of these stand so close together that one read brings them.
fn neighbours(wanted: &[(Bytes, Slot)], order: &[usize]) -> usize {
    let first = wanted[order[0]].1;
    let mut end = first.offset + first.length;
    let mut count = 1;
    for at in &order[1..] {
        let slot = wanted[*at].1;
        let far = slot.segment != first.segment || slot.offset.saturating_sub(end) > READ_GAP_BYTES;
        if far || slot.offset + slot.length - first.offset > READ_BYTES {
            break;
        }
        end = end.max(slot.offset + slot.length);
        count += 1;
    }
    count
}

/// At most `limit` commits after `revision`, from parts of the log: segments, each from an offset up to a length.
pub(super) fn commits(
    path: &Path,
    parts: Vec<(Arc<Segment>, u32, u32)>,
    revision: u64,
    limit: usize,
) -> Result<Vec<Arc<Batch>>, StoreError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (segment, from, to) in parts {
        let mut reader = Records::new(path, segment, from, to);
        while let Some((header, payload)) = reader.next()? {
            match header.kind {
                Kind::Commit if header.revision > revision => {
                    bytes += payload.len();
                    found.push(Arc::new(batch(&header, &payload).map_err(|what| reader.damaged(&what))?));
                }
                Kind::Opened if header.revision > revision && found.is_empty() => {
                    let after = record::numbers::<2>(&payload).map_or(0, |[after, _]| after);
                    // Revisions in between may have been seen by somebody, and be lost.
                    if revision > after {
                        return Err(StoreError::Compacted { requested: revision, compacted: header.revision });
                    }
                }
                _ => {}
            }
            if found.len() == limit || bytes > GROUP_BYTES {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

fn batch(header: &Header, payload: &Bytes) -> Result<Batch, String> {
    let within = |part: &[u8]| payload.slice_ref(part);
    let changes = record::changes(header, payload).map(|stored| {
        let stored = stored?;
        Ok(KeyChange { key: within(stored.key), value: stored.value.map(within) })
    });
    Ok(Batch { revision: header.revision, changes: changes.collect::<Result<_, String>>()? })
}

/// The records in a part of a segment that is known to be whole.
pub(super) struct Records<'a> {
    path: &'a Path,
    segment: Arc<Segment>,
    at: u32,
    end: u32,
    buffer: Vec<u8>,
    /// Where in the segment the buffer begins.
    start: u32,
}

impl<'a> Records<'a> {
    pub(super) fn new(path: &'a Path, segment: Arc<Segment>, from: u32, to: u32) -> Self {
        Records { path, segment, at: from, end: to, buffer: Vec::new(), start: from }
    }

    /// The next record with its payload.
    pub(super) fn next(&mut self) -> Result<Option<(Header, Bytes)>, StoreError> {
        if self.at >= self.end {
            return Ok(None);
        }
        self.fill(HEADER)?;
        let at = Position { segment: self.segment.id, offset: self.at };
        let header = Header::decode(self.ahead(), at).ok_or_else(|| self.damaged("no record"))?;
        self.fill(header.size())?;
        let payload = record::payload(&header, self.ahead()).map(Bytes::copy_from_slice);
        let payload = payload.ok_or_else(|| self.damaged("a record with a wrong checksum"))?;
        self.at += header.size() as u32;
        Ok(Some((header, payload)))
    }

    /// Where the next record stands.
    pub(super) fn at(&self) -> u32 {
        self.at
    }

    fn ahead(&self) -> &[u8] {
        &self.buffer[(self.at - self.start) as usize..]
    }

    fn fill(&mut self, length: usize) -> Result<(), StoreError> {
        if self.ahead().len() >= length {
            return Ok(());
        }
        let wanted = length.max(READ_BYTES as usize).min((self.end - self.at) as usize);
        if wanted < length {
            return Err(self.damaged("a record that is longer than its segment"));
        }
        self.buffer.resize(wanted, 0);
        self.start = self.at;
        self.segment.file.read_at(&mut self.buffer, self.at.into()).map_err(io_error("read the log"))
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        damaged("read the log", self.path, Position { segment: self.segment.id, offset: self.at }, what)
    }
}
