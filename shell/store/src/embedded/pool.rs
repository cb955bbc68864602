//! Segments that are ready to be written to: created, filled with zeros and named before they are needed.
//!
//! So the log takes its next segment without waiting, and never meets a full disk in the middle of a write. The last
//! ones are the reserve: values may not take them, so that removals and cleaning go on when the disk is full.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Sizes;
use crate::disk::{Disk, DiskFile};
use crate::failpoints::failpoint;
use crate::limits::{POOL_SEGMENTS, RESERVED_SEGMENTS};

/// The name of a segment that is not ready yet.
pub(super) const NEW: &str = "segment.new";

/// A file of the log.
pub(super) struct Segment {
    pub(super) id: u32,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The name of a segment's file.
pub(super) fn name(id: u32) -> String {
    format!("log-{id:010}")
}

/// The segment that a file with this name is.
pub(super) fn id(name: &str) -> Option<u32> {
    name.strip_prefix("log-").filter(|digits| digits.len() == 10).and_then(|digits| digits.parse().ok())
}

/// How many segments must be left after somebody has taken one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leave {
    /// Values leave the reserve.
    Reserve = RESERVED_SEGMENTS as isize,
    /// Removals leave one for cleaning.
    One = 1,
    /// Cleaning takes the last one: it gives more back.
    Nothing = 0,
}

/// Why there is no segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The disk has no space.
    Full,
    /// The disk failed in another way.
    Other(String),
}

impl From<&io::Error> for Trouble {
    fn from(error: &io::Error) -> Self {
        if is_full(error) { Trouble::Full } else { Trouble::Other(error.to_string()) }
    }
}

/// Whether an error says that there is no space.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(super) struct Pool {
    ready: Mutex<Ready>,
    /// Held by who makes a segment.
    making: Mutex<()>,
}

#[derive(Default)]
struct Ready {
    segments: VecDeque<Arc<Segment>>,
    next: u32,
    /// The last one, when its name may not be on disk yet.
    named: Option<Arc<Segment>>,
    /// Why the last attempt to make one failed.
    trouble: Option<Trouble>,
}

impl Pool {
    /// `segments` are ready and in order, `next` is above all that were ever used.
    pub(super) fn new(segments: Vec<Arc<Segment>>, next: u32) -> Self {
        let ready = Ready { segments: segments.into(), next, named: None, trouble: None };
        Pool { ready: Mutex::new(ready), making: Mutex::new(()) }
    }

    /// Takes the next segment when enough are left then.
    pub(super) fn take(&self, leave: Leave) -> Option<Arc<Segment>> {
        let mut ready = self.ready.lock();
        if ready.segments.len() <= RESERVED_SEGMENTS {
            failpoint!("store::reserve_before_release");
        }
        let segment = (ready.segments.len() > leave as usize).then(|| ready.segments.pop_front()).flatten();
        if segment.is_some() && ready.segments.len() < RESERVED_SEGMENTS {
            failpoint!("store::reserve_after_release");
        }
        segment
    }

    /// Takes back what was taken last.
    pub(super) fn untake(&self, segment: Arc<Segment>) {
        self.ready.lock().segments.push_front(segment);
    }

    /// Why values must wait: the reserve is not whole and could not be made so.
    pub(super) fn short(&self) -> Option<Trouble> {
        let ready = self.ready.lock();
        ready.trouble.clone().filter(|_| ready.segments.len() < RESERVED_SEGMENTS)
    }

    /// Why the last attempt to make a segment failed.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.ready.lock().trouble.clone()
    }

    /// How many are ready.
    pub(super) fn len(&self) -> usize {
        self.ready.lock().segments.len()
    }

    /// Makes one segment if one is missing; true when more are.
    pub(super) fn make(&self, disk: &dyn Disk, sizes: &Sizes) -> io::Result<bool> {
        let _making = self.making.lock();
        let ready = self.len();
        if ready >= POOL_SEGMENTS {
            self.ready.lock().trouble = None;
            return Ok(false);
        }
        if ready < RESERVED_SEGMENTS {
            failpoint!("store::reserve_before_rebuild");
        }
        let made = self.settle_name(disk).and_then(|()| make_file(disk, u64::from(sizes.segment)));
        let result = made.and_then(|file| self.add(disk, NEW, file));
        if result.is_err() {
            // Its blocks are worth more elsewhere; when it cannot be removed, the next attempt replaces it.
            let _ = disk.remove(NEW);
        }
        self.ready.lock().trouble = result.as_ref().err().map(Trouble::from);
        if ready < RESERVED_SEGMENTS {
            failpoint!("store::reserve_after_rebuild");
        }
        result.map(|()| ready + 1 < POOL_SEGMENTS)
    }

    /// Makes all that are missing.
    pub(super) fn fill(&self, disk: &dyn Disk, sizes: &Sizes) -> io::Result<()> {
        while self.make(disk, sizes)? {}
        Ok(())
    }

    /// Uses the file of a dropped segment again; false when there are enough.
    pub(super) fn recycle(&self, disk: &dyn Disk, old: &Segment) -> io::Result<bool> {
        let _making = self.making.lock();
        if self.len() >= POOL_SEGMENTS {
            return Ok(false);
        }
        self.settle_name(disk)?;
        failpoint!("store::clean_before_rename");
        self.add(disk, &name(old.id), old.file.clone())?;
        failpoint!("store::clean_after_rename");
        Ok(true)
    }

    /// Gives a file the next number. There is never a gap in them: one that is missing has been lost.
    fn add(&self, disk: &dyn Disk, from: &str, file: Arc<dyn DiskFile>) -> io::Result<()> {
        let id = self.ready.lock().next;
        failpoint!("store::prepare_before_rename");
        disk.rename(from, &name(id))?;
        failpoint!("store::prepare_after_rename");
        {
            let mut ready = self.ready.lock();
            ready.next += 1;
            ready.named = Some(Arc::new(Segment { id, file }));
        }
        self.settle_name(disk)
    }

    /// Before anything is written to a segment its name must be safe: otherwise it could come back as what it was.
    fn settle_name(&self, disk: &dyn Disk) -> io::Result<()> {
        if self.ready.lock().named.is_some() {
            disk.sync_dir()?;
            let mut ready = self.ready.lock();
            let named = ready.named.take();
            ready.segments.extend(named);
        }
        Ok(())
    }
}

fn make_file(disk: &dyn Disk, length: u64) -> io::Result<Arc<dyn DiskFile>> {
    if disk.free_bytes()? < length {
        // Half a segment would only take the last bytes from others.
        return Err(io::ErrorKind::StorageFull.into());
    }
    failpoint!("store::prepare_before_create");
    let file = disk.create(NEW)?;
    failpoint!("store::prepare_after_create");
    file.allocate(length)?;
    file.sync()?;
    failpoint!("store::prepare_after_allocate");
    Ok(file)
}
