//! All objects at one revision.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use gantry_kinds::KindRef;
use gantry_kinds::custom::Definition;

use crate::definitions::definitions;
use crate::index::{Indexes, indexed};
use crate::object::{Object, ObjectKey};
use crate::policies::Policies;
use crate::readings::Readings;

/// One change of one object, as the feed carries it. `after` is `None` when the object is gone.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which object.
    pub key: ObjectKey,
    /// Revision of the write.
    pub revision: u64,
    /// The object before; `None` when it is new.
    pub before: Option<Arc<Object>>,
    /// The object after; `None` when it is gone.
    pub after: Option<Arc<Object>>,
}

impl Change {
    /// The object after the change, or the last that was seen of it.
    pub fn object(&self) -> &Arc<Object> {
        self.after.as_ref().or(self.before.as_ref()).expect("a change has a before or an after")
    }
}

type Table = BTreeMap<(Arc<str>, Arc<str>), Arc<Object>>;

/// All objects by kind, with indexes, at one revision.
pub struct View {
    tables: BTreeMap<KindRef, Table>,
    indexes: Indexes,
    pub(crate) definitions: Readings<Definition>,
    pub(crate) policies: Policies,
    revision: u64,
}

impl Default for View {
    fn default() -> Self {
        View {
            tables: BTreeMap::new(),
            indexes: Indexes::default(),
            definitions: definitions(),
            policies: Policies::default(),
            revision: 0,
        }
    }
}

impl View {
    /// An empty view at revision 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// A view of many objects at once, at `revision`.
    pub fn load(mut objects: Vec<Arc<Object>>, revision: u64) -> Self {
        objects.sort_by(|a, b| a.cmp_key(b));
        let indexes = Indexes::of(&objects);
        let mut view = View { indexes, revision, ..View::default() };
        objects.iter().for_each(|object| view.read(object.key(), Some(object)));
        let mut tables: BTreeMap<KindRef, Vec<_>> = BTreeMap::new();
        for object in objects {
            let key = object.key();
            let at = (key.namespace.clone(), key.name.clone());
            tables.entry(key.kind).or_default().push((at, object));
        }
        view.tables = tables.into_iter().map(|(kind, rows)| (kind, rows.into_iter().collect())).collect();
        view
    }

    /// Reads anew what an object says, of the kinds that are kept in a form of their own.
    fn read(&mut self, key: &ObjectKey, after: Option<&Object>) {
        self.definitions.note(key, after);
        self.policies.note(key, after);
    }

    /// The revision that this view has reached.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Puts an object in (`Some`) or takes it out, and moves the view to `revision`. Returns the change for the
    /// feed; `None` when nothing was there to remove.
    pub fn apply(&mut self, key: ObjectKey, after: Option<Arc<Object>>, revision: u64) -> Option<Change> {
        self.revision = self.revision.max(revision);
        let table = self.tables.entry(key.kind).or_default();
        let at = (key.namespace.clone(), key.name.clone());
        let before = match &after {
            Some(object) => table.insert(at, object.clone()),
            None => table.remove(&at),
        };
        self.read(&key, after.as_deref());
        if let Some(object) = &before {
            self.indexes.remove(object);
        }
        if let Some(object) = &after {
            self.indexes.insert(object);
        }
        (before.is_some() || after.is_some()).then_some(Change { key, revision, before, after })
    }

    /// Moves the view to `revision` without a change.
    pub fn advance(&mut self, revision: u64) {
        self.revision = self.revision.max(revision);
    }

    /// One object.
    pub fn get(&self, kind: KindRef, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.tables.get(&kind)?.get(&(Arc::from(namespace), Arc::from(name)))
    }

    /// One object by key.
    pub fn at(&self, key: &ObjectKey) -> Option<&Arc<Object>> {
        self.tables.get(&key.kind)?.get(&(key.namespace.clone(), key.name.clone()))
    }

    /// All objects of a kind, in a namespace or in all.
    pub fn list<'a>(&'a self, kind: KindRef, namespace: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Object>> {
        let from = namespace.map_or(Bound::Unbounded, |ns| Bound::Included((Arc::from(ns), Arc::from(""))));
        self.tables
            .get(&kind)
            .into_iter()
            .flat_map(move |table| table.range((from.clone(), Bound::Unbounded)))
            .take_while(move |((ns, _), _)| namespace.is_none_or(|wanted| wanted == &**ns))
            .map(|(_, object)| object)
    }

    /// The kinds that there have been objects of.
    pub(crate) fn known(&self) -> impl Iterator<Item = KindRef> {
        self.tables.keys().copied()
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: KindRef) -> usize {
        self.tables.get(&kind).map_or(0, BTreeMap::len)
    }

    /// Objects whose `ownerReferences` name this uid.
    pub fn owned_by<'a>(&'a self, uid: &'a str) -> impl Iterator<Item = &'a Arc<Object>> {
        self.indexes.owned_by(uid).filter_map(|key| self.at(key))
    }

    /// The object with this uid.
    pub fn by_uid(&self, uid: &str) -> Option<&Arc<Object>> {
        self.at(self.indexes.uid(uid)?)
    }

    /// Whether objects of a kind are found by this selectable field without looking at all of them.
    pub fn is_indexed(&self, kind: KindRef, path: &str) -> bool {
        indexed(kind, path).is_some()
    }

    /// Objects of a kind by one of its selectable fields that are indexed, such as pods by `spec.nodeName`; empty
    /// for any other field.
    pub fn by_field<'a>(
        &'a self,
        kind: KindRef,
        path: &str,
        value: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        let at = indexed(kind, path);
        debug_assert!(at.is_some(), "{path} is not indexed");
        at.into_iter().flat_map(move |at| self.indexes.field(kind.schema, at, value)).filter_map(|key| self.at(key))
    }

    /// Objects of a kind by an index term, such as role bindings by `User:jane`.
    pub fn by_term<'a>(&'a self, kind: KindRef, term: &str) -> impl Iterator<Item = &'a Arc<Object>> + use<'a> {
        self.indexes.term(kind.schema, term).filter_map(|key| self.at(key))
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{CONFIG_MAP, POD, ROLE_BINDING};
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: KindRef, revision: u64, value: Value) -> Arc<Object> {
        Arc::new(Object::from_value(kind, &value, revision).unwrap())
    }

    #[test]
    fn loading_at_once_is_applying_one_by_one() {
        let pod = |name: &str, node: &str| {
            json!({"metadata": {"name": name, "namespace": "n", "uid": name, "ownerReferences":
                [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "owner"}]},
                "spec": {"nodeName": node, "serviceAccountName": "s"}})
        };
        let binding = json!({"metadata": {"name": "b", "namespace": "n", "uid": "b"},
            "subjects": [{"kind": "User", "name": "jane"}]});
        let objects = [
            object(&POD, 3, pod("b", "one")),
            object(&CONFIG_MAP, 2, json!({"metadata": {"name": "z", "namespace": "m", "uid": "z"}})),
            object(&POD, 1, pod("a", "one")),
            object(&ROLE_BINDING, 4, binding),
            object(&POD, 5, pod("c", "")),
        ];
        let mut single = View::new();
        for object in &objects {
            single.apply(object.key().clone(), Some(object.clone()), object.header.revision);
        }
        let mut loaded = View::load(objects.to_vec(), 5);
        let names = |objects: Vec<&Arc<Object>>| objects.iter().map(|o| o.name().to_owned()).collect::<Vec<_>>();
        for view in [&single, &loaded] {
            assert_eq!(view.revision(), 5);
            assert_eq!(names(view.list(&POD, None).collect()), ["a", "b", "c"]);
            assert_eq!(names(view.by_field(&POD, "spec.nodeName", "one").collect()), ["a", "b"]);
            assert_eq!(names(view.by_field(&POD, "spec.nodeName", "").collect()), ["c"]);
            assert_eq!(names(view.owned_by("owner").collect()), ["a", "b", "c"]);
            assert_eq!(names(view.by_term(&ROLE_BINDING, "User:jane").collect()), ["b"]);
            assert_eq!(names(view.by_term(&POD, "serviceaccounts:one/n/s").collect()), ["a", "b"]);
            assert_eq!(view.by_uid("z").unwrap().name(), "z");
        }
        loaded.apply(objects[0].key().clone(), None, 6);
        assert_eq!(names(loaded.by_field(&POD, "spec.nodeName", "one").collect()), ["a"]);
        assert!(loaded.by_uid("b").is_none_or(|o| o.key().kind == &ROLE_BINDING));
    }
}
