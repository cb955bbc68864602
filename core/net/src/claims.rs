//! Who wants which entry of the ruleset, and what has changed since the ruleset was last taken.
//!
//! Invariants: where several owners want one entry, the first in order has it, and the next gets it when the first
//! lets go; an entry is dirty exactly when what is wanted may differ from what was taken.

use std::collections::BTreeMap;

/// Entries with their claimants.
pub(crate) struct Claims<O, K, V> {
    wanted: BTreeMap<K, Vec<(O, V)>>,
    /// Touched entries, with what had been taken of each.
    dirty: BTreeMap<K, Option<V>>,
}

/// One entry that is to change.
pub(crate) struct Edit<K, V> {
    pub key: K,
    pub before: Option<V>,
    pub after: Option<V>,
}

impl<O: Ord + Clone, K: Ord + Clone, V: Clone + PartialEq> Claims<O, K, V> {
    pub fn new() -> Self {
        Claims { wanted: BTreeMap::new(), dirty: BTreeMap::new() }
    }

    fn touch(&mut self, key: &K) {
        if !self.dirty.contains_key(key) {
            self.dirty.insert(key.clone(), self.get(key).cloned());
        }
    }

    /// `owner` wants `key` to be `value`.
    pub fn claim(&mut self, owner: &O, key: &K, value: V) {
        self.touch(key);
        let claims = self.wanted.entry(key.clone()).or_default();
        match claims.binary_search_by(|(o, _)| o.cmp(owner)) {
            Ok(at) => claims[at].1 = value,
            Err(at) => claims.insert(at, (owner.clone(), value)),
        }
    }

    /// `owner` no longer wants `key`.
    pub fn release(&mut self, owner: &O, key: &K) {
        self.touch(key);
        if let Some(claims) = self.wanted.get_mut(key) {
            claims.retain(|(o, _)| o != owner);
            if claims.is_empty() {
                self.wanted.remove(key);
            }
        }
    }

    /// What `key` is to be.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.wanted.get(key)?.first().map(|(_, value)| value)
    }

    /// All entries as they are to be.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.wanted.iter().filter_map(|(key, claims)| Some((key, &claims.first()?.1)))
    }

    /// Entries from `from` on, in order.
    pub fn from<'a>(&'a self, from: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, O, K, V> {
        self.wanted.range(from.clone()..).filter_map(|(key, claims)| Some((key, &claims.first()?.1)))
    }

    /// What is to change since the last call, in order.
    pub fn take(&mut self) -> Vec<Edit<K, V>> {
        let dirty = std::mem::take(&mut self.dirty);
        let edits = dirty.into_iter().map(|(key, before)| Edit { after: self.get(&key).cloned(), key, before });
        edits.filter(|edit| edit.before != edit.after).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(claims: &mut Claims<&'static str, u8, u8>) -> Vec<(u8, Option<u8>, Option<u8>)> {
        claims.take().into_iter().map(|e| (e.key, e.before, e.after)).collect()
    }

    #[test]
    fn the_first_owner_has_the_entry_until_it_lets_go() {
        let mut claims = Claims::new();
        claims.claim(&"b", &1, 20);
        claims.claim(&"a", &1, 10);
        assert_eq!(edits(&mut claims), [(1, None, Some(10))]);
        claims.release(&"a", &1);
        assert_eq!(edits(&mut claims), [(1, Some(10), Some(20))]);
        claims.release(&"b", &1);
        claims.claim(&"c", &1, 20);
        assert_eq!(edits(&mut claims), []);
        claims.release(&"c", &1);
        assert_eq!(edits(&mut claims), [(1, Some(20), None)]);
    }
}
