//! Secondary indexes of a view: who owns what, which uid is where, and objects by selectable field.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::{Object, ObjectKey};

/// The indexes; kept by `View::apply` alone.
#[derive(Default)]
pub(crate) struct Indexes {
    by_owner: BTreeMap<String, BTreeSet<ObjectKey>>,
    by_uid: BTreeMap<String, ObjectKey>,
    by_field: BTreeMap<(&'static str, usize, String), BTreeSet<ObjectKey>>,
    by_term: BTreeMap<&'static str, BTreeMap<String, BTreeSet<ObjectKey>>>,
}

impl Indexes {
    pub(crate) fn insert(&mut self, object: &Object) {
        let key = object.key();
        for owner in &object.header.owners {
            self.by_owner.entry(owner.uid.clone()).or_default().insert(key.clone());
        }
        self.by_uid.insert(object.uid().to_owned(), key.clone());
        for (at, value) in object.header.fields.iter().enumerate() {
            self.by_field.entry((key.kind.schema, at, value.clone())).or_default().insert(key.clone());
        }
        for term in &object.header.terms {
            let terms = self.by_term.entry(key.kind.schema).or_default();
            terms.entry(term.clone()).or_default().insert(key.clone());
        }
    }

    pub(crate) fn remove(&mut self, object: &Object) {
        let key = object.key();
        for owner in &object.header.owners {
            drop_entry(&mut self.by_owner, &owner.uid, key);
        }
        if self.by_uid.get(object.uid()) == Some(key) {
            self.by_uid.remove(object.uid());
        }
        for (at, value) in object.header.fields.iter().enumerate() {
            drop_entry(&mut self.by_field, &(key.kind.schema, at, value.clone()), key);
        }
        if let Some(terms) = self.by_term.get_mut(key.kind.schema) {
            object.header.terms.iter().for_each(|term| drop_entry(terms, term, key));
        }
    }

    pub(crate) fn owned_by(&self, uid: &str) -> impl Iterator<Item = &ObjectKey> {
        self.by_owner.get(uid).into_iter().flatten()
    }

    pub(crate) fn uid(&self, uid: &str) -> Option<&ObjectKey> {
        self.by_uid.get(uid)
    }

    pub(crate) fn field(&self, schema: &'static str, at: usize, value: &str) -> impl Iterator<Item = &ObjectKey> {
        self.by_field.get(&(schema, at, value.to_owned())).into_iter().flatten()
    }

    pub(crate) fn term(&self, schema: &'static str, term: &str) -> impl Iterator<Item = &ObjectKey> + use<'_> {
        self.by_term.get(schema).and_then(|terms| terms.get(term)).into_iter().flatten()
    }
}

fn drop_entry<K: Ord>(map: &mut BTreeMap<K, BTreeSet<ObjectKey>>, at: &K, key: &ObjectKey) {
    if let Some(set) = map.get_mut(at) {
        set.remove(key);
        if set.is_empty() {
            map.remove(at);
        }
    }
}
