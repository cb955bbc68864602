//! Everything at one revision, page by page.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::index::Index;
use super::pool::Segment;
use super::read::Values;
use crate::disk::Disk;
use crate::limits::{GROUP_BYTES, SNAPSHOT_ENTRIES};
use crate::{Entry, StoreError};

/// What the store held at one revision; commits and cleaning go on meanwhile, and segments that are dropped keep
/// their space on disk until this ends.
pub struct Snapshot {
    disk: Arc<dyn Disk>,
    revision: u64,
    index: Index,
    files: BTreeMap<u32, Arc<Segment>>,
    /// The last key that was given out.
    last: Option<Bytes>,
}

impl Snapshot {
    pub(super) fn new(disk: Arc<dyn Disk>, revision: u64, index: Index, files: BTreeMap<u32, Arc<Segment>>) -> Self {
        Snapshot { disk, revision, index, files, last: None }
    }

    /// The revision of the reading.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.index.len()
    }

    /// The next entries in key order, a bounded number of bytes at a time; none at the end. Blocks on the disk: call
    /// it outside async code. Errors: `Damaged` and `Io`.
    pub fn next_page(&mut self) -> Result<Vec<Entry>, StoreError> {
        let from = self.last.clone().unwrap_or_default();
        let (mut wanted, mut bytes) = (Vec::new(), 0);
        for (key, slot) in self.index.from(&from) {
            if self.last.as_ref() == Some(key) {
                continue;
            }
            bytes += slot.length as usize;
            wanted.push((key.clone(), *slot));
            if bytes >= GROUP_BYTES || wanted.len() == SNAPSHOT_ENTRIES {
                break;
            }
        }
        if let Some((key, _)) = wanted.last() {
            self.last = Some(key.clone());
        }
        Values::new(self.disk.path(), &self.files).read(wanted)
    }
}
