//! What the objects of a kind say, in the form that decisions use: read once for each change of an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::KindRef;
use serde_json::Value;

use crate::object::{Object, ObjectKey};

/// What the objects of one cluster-scoped kind say, by their names.
pub(crate) struct Readings<T> {
    kind: KindRef,
    read: fn(&Value) -> Option<T>,
    of: BTreeMap<Arc<str>, Arc<T>>,
}

impl<T> Readings<T> {
    pub(crate) fn new(kind: KindRef, read: fn(&Value) -> Option<T>) -> Self {
        Readings { kind, read, of: BTreeMap::new() }
    }

    /// Follows one change.
    pub(crate) fn note(&mut self, key: &ObjectKey, after: Option<&Object>) {
        if key.kind != self.kind {
            return;
        }
        match after.and_then(|object| (self.read)(&object.value())) {
            Some(said) => self.of.insert(key.name.clone(), Arc::new(said)),
            None => self.of.remove(&key.name),
        };
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<T>> {
        self.of.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<T>> {
        self.of.values()
    }
}
