//! Where the value of each key stands in the log, in key order.
//!
//! Short sorted leaves that are shared with the copies that readers take: copying takes a few microseconds, and a
//! change copies no more than the leaf that it is in.

use std::sync::Arc;

use bytes::Bytes;

use crate::limits::LEAF_KEYS;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) revision: u64,
    pub(super) segment: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) crc: u32,
    /// Values of this key in all segments, this one and older ones.
    pub(super) copies: u32,
}

/// Keys with their slots.
#[derive(Clone, Default)]
pub(super) struct Index {
    leaves: Vec<Arc<Vec<(Bytes, Slot)>>>,
    keys: usize,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// The leaf that has the key if any has.
    fn leaf(&self, key: &[u8]) -> usize {
        self.leaves.partition_point(|leaf| leaf[0].0 <= key).saturating_sub(1)
    }

    fn find(&self, key: &[u8]) -> Option<(usize, usize)> {
        let leaf = self.leaf(key);
        let at = self.leaves.get(leaf)?.binary_search_by(|(other, _)| other[..].cmp(key)).ok()?;
        Some((leaf, at))
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&Slot> {
        self.find(key).map(|(leaf, at)| &self.leaves[leaf][at].1)
    }

    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut Slot> {
        let (leaf, at) = self.find(key)?;
        Some(&mut Arc::make_mut(&mut self.leaves[leaf])[at].1)
    }

    /// Sets the slot of a key that is not there.
    pub(super) fn insert(&mut self, key: Bytes, slot: Slot) {
        self.keys += 1;
        if self.leaves.is_empty() {
            self.leaves.push(Arc::new(vec![(key, slot)]));
            return;
        }
        let at = self.leaf(&key);
        let leaf = Arc::make_mut(&mut self.leaves[at]);
        let place = leaf.partition_point(|(other, _)| *other < key);
        leaf.insert(place, (key, slot));
        if leaf.len() > LEAF_KEYS {
            // Keys that only grow leave full leaves behind.
            let cut = if place + 1 == leaf.len() { leaf.len() - 1 } else { leaf.len() / 2 };
            let upper = leaf.split_off(cut);
            self.leaves.insert(at + 1, Arc::new(upper));
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let Some((leaf, at)) = self.find(key) else { return };
        self.keys -= 1;
        let keys = Arc::make_mut(&mut self.leaves[leaf]);
        keys.remove(at);
        if keys.is_empty() {
            self.leaves.remove(leaf);
        }
    }

    /// All keys from this one on.
    pub(super) fn from<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = (&'a Bytes, &'a Slot)> {
        let first = self.leaf(key);
        let leaves = self.leaves.get(first..).unwrap_or_default();
        leaves.iter().flat_map(|leaf| leaf.iter()).skip_while(move |(other, _)| *other < key).map(|(k, s)| (k, s))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::faults::Numbers;

    #[test]
    fn it_is_a_map() {
        let mut numbers = Numbers::new(1);
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        let mut copy = None;
        for round in 0..20_000u64 {
            let key = Bytes::from(format!("/{}", numbers.below(700)));
            let slot = Slot { revision: round, segment: 0, offset: 0, length: 0, crc: 0, copies: 1 };
            match (numbers.below(3), index.get_mut(&key)) {
                (0, _) => {
                    index.remove(&key);
                    model.remove(&key);
                }
                (_, Some(found)) => {
                    *found = slot;
                    model.insert(key, slot);
                }
                (_, None) => {
                    index.insert(key.clone(), slot);
                    model.insert(key, slot);
                }
            }
            if round == 10_000 {
                copy = Some((index.clone(), model.clone()));
            }
        }
        for (index, model) in [(index, model), copy.unwrap()] {
            assert_eq!(index.len(), model.len());
            for from in ["", "/1", "/35", "/9", "/99999", "0"] {
                let expected = model.range(Bytes::from(from)..);
                assert!(index.from(from.as_bytes()).eq(expected), "from {from}");
            }
            assert!(model.iter().all(|(key, slot)| index.get(key) == Some(slot)));
        }
    }
}
