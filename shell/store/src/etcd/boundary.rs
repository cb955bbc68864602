//! Where this store's keys and revisions meet etcd's.
//!
//! Every key is stored under a prefix. Revisions are etcd's plus an offset, which is 0 unless the data came from a
//! backup: then it lifts all revisions above those that were given out before. Keys of the back end itself are
//! nobody else's to see.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::StoreError;

/// Holds the offset, as a decimal number.
pub(super) const OFFSET: &[u8] = b"/gantry/revision-offset";
/// Written to see it arrive in a watch.
pub(super) const MARK: &[u8] = b"/gantry/watch-mark";

/// How keys and revisions are translated.
pub(super) struct Boundary {
    prefix: Vec<u8>,
    offset: AtomicU64,
}

impl Boundary {
    pub(super) fn new(prefix: &str) -> Self {
        Boundary { prefix: prefix.trim_end_matches('/').as_bytes().to_vec(), offset: AtomicU64::new(0) }
    }

    /// etcd's key of a key.
    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }

    /// etcd's key of a key that somebody wants to write.
    pub(super) fn checked_key(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        if !key.starts_with(b"/") || hidden(key) {
            let cause = format!("the key {:?} is not one of this store", String::from_utf8_lossy(key));
            return Err(StoreError::Io { operation: "commit", cause });
        }
        Ok(self.key(key))
    }

    /// The first of etcd's keys that start with a prefix, and the first one after them.
    pub(super) fn range(&self, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
        // All keys start with a slash, and the neighbours of this prefix do not.
        let start = self.key(if prefix.is_empty() { b"/" } else { prefix });
        let mut end = start.clone();
        while end.last() == Some(&0xff) {
            end.pop();
        }
        match end.last_mut() {
            Some(last) => *last += 1,
            // Everything from the start on.
            None => end.push(0),
        }
        (start, end)
    }

    /// The key of one of etcd's keys; none when it belongs to the back end.
    pub(super) fn inner_key(&self, key: Vec<u8>) -> Option<Bytes> {
        if key.len() < self.prefix.len() || !key.starts_with(&self.prefix) {
            return None;
        }
        let key = Bytes::from(key).slice(self.prefix.len()..);
        (!hidden(&key)).then_some(key)
    }

    /// Whether one of etcd's keys is the one that holds the offset.
    pub(super) fn is_offset(&self, key: &[u8]) -> bool {
        key.strip_prefix(&*self.prefix) == Some(OFFSET)
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    pub(super) fn set_offset(&self, offset: u64) {
        self.offset.store(offset, Ordering::Release);
    }

    /// The revision of one of etcd's; 0, which stands for an absent key, stays 0.
    pub(super) fn outward(&self, revision: i64) -> u64 {
        match u64::try_from(revision) {
            Ok(0) | Err(_) => 0,
            Ok(revision) => revision + self.offset(),
        }
    }

    /// etcd's revision of a revision; none when it is older than this etcd.
    pub(super) fn inward(&self, revision: u64) -> Option<i64> {
        let inward = revision.checked_sub(self.offset())?;
        Some(i64::try_from(inward).unwrap_or(i64::MAX))
    }
}

fn hidden(key: &[u8]) -> bool {
    key == OFFSET || key == MARK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_go_in_and_out_and_neighbours_stay_outside() {
        let boundary = Boundary::new("/gantry-cluster/");
        assert_eq!(boundary.key(b"/registry/x"), b"/gantry-cluster/registry/x");
        assert_eq!(boundary.inner_key(b"/gantry-cluster/a".to_vec()), Some(Bytes::from_static(b"/a")));
        assert_eq!(boundary.inner_key(b"/gantry-cluster/gantry/watch-mark".to_vec()), None);
        let (start, end) = boundary.range(b"");
        assert_eq!((&*start, &*end), (&b"/gantry-cluster/"[..], &b"/gantry-cluster0"[..]));
        let neighbour = b"/gantry-cluster2/a".to_vec();
        assert!(neighbour < start || neighbour >= end);
        assert_eq!(boundary.range(b"/\xff\xff").1, b"/gantry-cluster0");
        assert!(boundary.checked_key(b"no-slash").is_err() && boundary.checked_key(OFFSET).is_err());
    }

    #[test]
    fn revisions_are_lifted_and_absence_is_not() {
        let boundary = Boundary::new("/p");
        boundary.set_offset(1000);
        assert_eq!((boundary.outward(7), boundary.outward(0)), (1007, 0));
        assert_eq!((boundary.inward(1007), boundary.inward(1000), boundary.inward(999)), (Some(7), Some(0), None));
    }
}
