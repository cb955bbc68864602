//! Custom kinds: the definitions that the view holds, and every kind that is served or kept.
//!
//! A definition is read once for each change of its object. Objects whose definition is not there, or not there yet,
//! are kept all the same.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::custom::{Definition, Version};
use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, KindRef, table};

use crate::readings::Readings;
use crate::view::View;

/// Definitions by the name of their object, `PLURAL.GROUP`.
pub(crate) fn definitions() -> Readings<Definition> {
    Readings::new(&CUSTOM_RESOURCE_DEFINITION, Definition::read)
}

impl View {
    /// Every definition, by name.
    pub fn definitions(&self) -> impl Iterator<Item = &Arc<Definition>> {
        self.definitions.all()
    }

    /// The definition of a custom kind, whatever its version.
    pub fn definition(&self, kind: KindRef) -> Option<&Arc<Definition>> {
        if !kind.is_custom() {
            return None;
        }
        self.definitions.get(&kind.group_resource())
    }

    /// What the definition says of the version of a custom kind; of the stored one for the row that objects are kept
    /// under.
    pub fn custom(&self, kind: KindRef) -> Option<&Version> {
        let definition = self.definition(kind)?;
        if kind.version.is_empty() { definition.storage() } else { definition.version(kind.version) }
    }

    /// Every kind that is served: built-in and custom, each version by itself.
    pub fn kinds(&self) -> Vec<KindRef> {
        let custom = self.definitions().flat_map(|definition| definition.served()).map(|version| version.kind);
        table::ALL.iter().copied().chain(custom).collect()
    }

    /// Every kind that objects are kept as, also of definitions that are gone.
    pub fn stored_kinds(&self) -> Vec<KindRef> {
        let custom = self.known().filter(|kind| kind.is_custom());
        let defined = self.definitions().map(|definition| definition.home);
        let custom: BTreeSet<KindRef> = custom.chain(defined).collect();
        table::stored().chain(custom).collect()
    }

    /// The kind served under this group, version and plural.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<KindRef> {
        table::by_resource(group, version, plural).or_else(|| {
            let definition = self.definitions.get(&format!("{plural}.{group}"))?;
            definition.served().find(|served| served.kind.version == version).map(|served| served.kind)
        })
    }

    /// The kind of that name in this group and version.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<KindRef> {
        table::by_kind(group, version, kind).or_else(|| {
            let served = self.definitions().flat_map(|definition| definition.served()).map(|version| version.kind);
            served.into_iter().find(|k| k.kind == kind && k.group == group && k.version == version)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::object::{Object, ObjectKey};

    fn definition(established: &str) -> Value {
        json!({"metadata": {"name": "foos.g.io", "uid": "d"},
            "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {}}},
                    {"name": "v0", "served": false, "storage": false, "schema": {"openAPIV3Schema": {}}}]},
            "status": {"conditions": [{"type": "Established", "status": established}]}})
    }

    fn put(view: &mut View, kind: KindRef, value: &Value, revision: u64) {
        let object = Object::from_value(kind, value, revision).unwrap();
        view.apply(object.key().clone(), Some(Arc::new(object)), revision);
    }

    #[test]
    fn kinds_come_and_go_with_their_definitions() {
        let mut view = View::new();
        let home = gantry_kinds::custom::home("g.io", "foos", "Foo", true);
        put(&mut view, home, &json!({"metadata": {"name": "a", "namespace": "n", "uid": "a"}}), 1);
        assert!(view.stored_kinds().contains(&home), "an object without a definition is kept");
        assert_eq!(view.by_resource("g.io", "v1", "foos"), None);
        put(&mut view, &CUSTOM_RESOURCE_DEFINITION, &definition("False"), 2);
        assert_eq!(view.by_resource("g.io", "v1", "foos"), None);
        put(&mut view, &CUSTOM_RESOURCE_DEFINITION, &definition("True"), 3);
        let kind = view.by_resource("g.io", "v1", "foos").unwrap();
        assert_eq!((view.by_kind("g.io", "v1", "Foo"), kind.home()), (Some(kind), home));
        assert_eq!(view.by_resource("g.io", "v0", "foos"), None);
        assert_eq!(view.list(kind.home(), Some("n")).count(), 1);
        view.apply(ObjectKey::new(&CUSTOM_RESOURCE_DEFINITION, "", "foos.g.io"), None, 4);
        assert_eq!(view.by_resource("g.io", "v1", "foos"), None);
    }
}
