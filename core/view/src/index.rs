//! Secondary indexes of a view: who owns what, which uid is where, and objects by selectable field.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gantry_kinds::KindRef;

use crate::object::{Object, ObjectKey};

/// Selectable fields by which objects are found without looking at all of their kind, by the kind's schema.
const INDEXED: [(&str, &[&str]); 2] = [
    ("io.k8s.api.core.v1.Pod", &["spec.nodeName", "status.phase"]),
    ("io.k8s.api.core.v1.Event", &["involvedObject.uid", "involvedObject.name"]),
];

/// The place of an indexed field among the kind's selectable fields; `None` for one that is not indexed.
pub(crate) fn indexed(kind: KindRef, path: &str) -> Option<usize> {
    let (_, paths) = INDEXED.iter().find(|(schema, _)| *schema == kind.schema)?;
    if !paths.contains(&path) {
        return None;
    }
    kind.selectable.iter().position(|(name, _)| *name == path)
}

/// The indexed fields of an object, with their places in the kind's row.
fn fields(object: &Object) -> impl Iterator<Item = (usize, &str)> {
    let kind = object.key().kind;
    let paths = INDEXED.iter().find(|(schema, _)| *schema == kind.schema).map_or(&[][..], |(_, paths)| paths);
    let places = paths.iter().filter_map(|path| kind.selectable.iter().position(|(name, _)| name == path));
    places.filter_map(|at| Some((at, object.header.fields.get(at)?.as_str())))
}

/// Objects by a word.
type Words<Set = BTreeSet<ObjectKey>> = BTreeMap<String, Set>;

/// The indexes; kept by `View::apply` and `View::load` alone.
#[derive(Default)]
pub(crate) struct Indexes {
    by_owner: Words,
    by_uid: BTreeMap<String, ObjectKey>,
    /// By the kind's schema, and the place of the field in the kind's row.
    by_field: BTreeMap<(&'static str, usize), Words>,
    by_term: BTreeMap<&'static str, Words>,
}

impl Indexes {
    /// Indexes of many objects at once, which come in the order of their keys.
    pub(crate) fn of(objects: &[Arc<Object>]) -> Self {
        let mut owners: Words<Vec<ObjectKey>> = BTreeMap::new();
        let mut uids = Vec::with_capacity(objects.len());
        let mut columns: BTreeMap<(&'static str, usize), Words<Vec<ObjectKey>>> = BTreeMap::new();
        let mut terms: BTreeMap<&'static str, Words<Vec<ObjectKey>>> = BTreeMap::new();
        for object in objects {
            let key = object.key();
            object.header.owners.iter().for_each(|owner| push(&mut owners, &owner.uid, key));
            uids.push((object.uid().to_owned(), key.clone()));
            for (at, value) in fields(object) {
                push(columns.entry((key.kind.schema, at)).or_default(), value, key);
            }
            if !object.header.terms.is_empty() {
                let terms = terms.entry(key.kind.schema).or_default();
                object.header.terms.iter().for_each(|term| push(terms, term, key));
            }
        }
        let sets =
            |lists: Words<Vec<ObjectKey>>| lists.into_iter().map(|(word, keys)| (word, keys.into_iter().collect()));
        Indexes {
            by_owner: sets(owners).collect(),
            by_uid: uids.into_iter().collect(),
            by_field: columns.into_iter().map(|(place, column)| (place, sets(column).collect())).collect(),
            by_term: terms.into_iter().map(|(schema, terms)| (schema, sets(terms).collect())).collect(),
        }
    }

    pub(crate) fn insert(&mut self, object: &Object) {
        let key = object.key();
        for owner in &object.header.owners {
            add(&mut self.by_owner, &owner.uid, key);
        }
        self.by_uid.insert(object.uid().to_owned(), key.clone());
        for (at, value) in fields(object) {
            add(self.by_field.entry((key.kind.schema, at)).or_default(), value, key);
        }
        if !object.header.terms.is_empty() {
            let terms = self.by_term.entry(key.kind.schema).or_default();
            object.header.terms.iter().for_each(|term| add(terms, term, key));
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
        for (at, value) in fields(object) {
            drop_entry(self.by_field.entry((key.kind.schema, at)).or_default(), value, key);
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
        self.by_field.get(&(schema, at)).and_then(|column| column.get(value)).into_iter().flatten()
    }

    pub(crate) fn term(&self, schema: &'static str, term: &str) -> impl Iterator<Item = &ObjectKey> + use<'_> {
        self.by_term.get(schema).and_then(|terms| terms.get(term)).into_iter().flatten()
    }
}

fn push(words: &mut Words<Vec<ObjectKey>>, word: &str, key: &ObjectKey) {
    match words.get_mut(word) {
        Some(keys) => keys.push(key.clone()),
        None => drop(words.insert(word.to_owned(), vec![key.clone()])),
    }
}

fn add(words: &mut Words, word: &str, key: &ObjectKey) {
    match words.get_mut(word) {
        Some(keys) => drop(keys.insert(key.clone())),
        None => drop(words.insert(word.to_owned(), BTreeSet::from([key.clone()]))),
    }
}

fn drop_entry(words: &mut Words, word: &str, key: &ObjectKey) {
    if let Some(keys) = words.get_mut(word) {
        keys.remove(key);
        if keys.is_empty() {
            words.remove(word);
        }
    }
}
