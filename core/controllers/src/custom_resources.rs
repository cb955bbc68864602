//! Definitions that are being deleted: first their objects, then the definition. And definitions that wait for a name
//! which somebody else had: the registry settles names anew with every write of a status.
//!
//! Invariants: nothing but the objects of a definition with a deletionTimestamp is deleted; the finalizer goes only
//! when the view shows none of them.

use std::sync::Arc;

use gantry_kinds::CUSTOM_RESOURCE_DEFINITION;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Change, Object, Outcome, Turn, View};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, time, write};

/// Objects that one turn deletes at most.
const BURST: usize = 500;
/// Holds a definition until its objects are gone.
const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// The controller of custom resources.
pub(crate) struct CustomResources;

impl Controller for CustomResources {
    // Deleting anything is the right of the garbage collector.
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&CUSTOM_RESOURCE_DEFINITION, None).map(|definition| QueueKey::of(definition.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &CUSTOM_RESOURCE_DEFINITION {
            out.push(QueueKey::of(&change.key));
            if change.after.is_none() {
                // Names have become free.
                let all = view.list(&CUSTOM_RESOURCE_DEFINITION, None);
                out.extend(all.filter(|other| waits(other)).map(|other| QueueKey::of(other.key())));
            }
        } else if change.key.kind.is_custom() && change.after.is_none() {
            let definition = view.get(&CUSTOM_RESOURCE_DEFINITION, "", &change.key.kind.group_resource());
            out.extend(definition.filter(|d| d.header.deleted.is_some()).map(|d| QueueKey::of(d.key())));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(object) = key.object().and_then(|key| turn.view.at(key)) else { return Outcome::nothing() };
        if object.header.deleted.is_some() {
            return empty(object, turn);
        }
        let mut outcome = Outcome::nothing();
        if waits(object) && could_have_names(object, turn.view) {
            // What is said of the names is settled with whatever is written.
            let status = json!({"acceptedNames": {"plural": "", "kind": ""}});
            outcome.push(write::patch(object, "status", json!({ "status": status })));
        }
        outcome
    }
}

/// Whether a definition did not get all the names that it wants.
fn waits(object: &Arc<Object>) -> bool {
    let value = object.value();
    list_at(&value, "/status/conditions").iter().any(|c| c["type"] == "NamesAccepted" && c["status"] == "False")
}

/// Whether nobody else of the group has a name that this one wants.
fn could_have_names(object: &Arc<Object>, view: &View) -> bool {
    let value = object.value();
    let wanted = all_names(&value["spec"]["names"]);
    let group = str_at(&value, "/spec/group");
    let others = view.list(&CUSTOM_RESOURCE_DEFINITION, None).filter(|other| other.name() != object.name());
    !others.map(|other| other.value()).filter(|other| str_at(other, "/spec/group") == group).any(|other| {
        let taken = all_names(&other["status"]["acceptedNames"]);
        wanted.iter().any(|name| taken.contains(name))
    })
}

fn all_names(names: &Value) -> Vec<String> {
    let single = ["plural", "singular", "kind", "listKind"].into_iter().map(|key| str_at(names, &format!("/{key}")));
    let short = list_at(names, "/shortNames").iter().filter_map(Value::as_str);
    single.chain(short).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn empty(object: &Arc<Object>, turn: Turn<'_>) -> Outcome {
    let mut outcome = Outcome::nothing();
    if !object.header.finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        return outcome;
    }
    let view = turn.view;
    let home = view.definitions().find(|definition| definition.name == object.name()).map(|d| d.home);
    let left: Vec<&Arc<Object>> = home.into_iter().flat_map(|home| view.list(home, None)).collect();
    if left.is_empty() {
        let kept: Vec<&String> = object.header.finalizers.iter().filter(|f| *f != FINALIZER).collect();
        let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
        outcome.push(write::patch(object, "", json!({"metadata": {"finalizers": kept}})));
        return outcome;
    }
    let living = left.iter().filter(|left| left.header.deleted.is_none()).take(BURST);
    outcome.intents.extend(living.map(|left| write::delete(left)));
    let value = object.value();
    let mut conditions = list_at(&value, "/status/conditions").to_vec();
    let begun = "InstanceDeletionInProgress";
    if !conditions.iter().any(|condition| condition["type"] == "Terminating" && condition["reason"] == begun) {
        conditions.retain(|condition| condition["type"] != "Terminating");
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": time::stamp(turn.now),
            "reason": begun, "message": "CustomResource deletion is in progress",
        }));
        outcome.push(write::patch(object, "status", json!({"status": {"conditions": conditions}})));
    }
    outcome
}

#[cfg(test)]
mod tests {
    use gantry_view::Intent;

    use super::*;
    use crate::harness::World;

    fn definition(deleted: bool) -> Value {
        let mut value = json!({
            "metadata": {"name": "foos.g.io", "finalizers": [FINALIZER]},
            "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {}}}]}});
        if deleted {
            value["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        value
    }

    #[test]
    fn objects_go_before_their_definition_and_only_then() {
        let mut world = World::new();
        let key = world.put(&CUSTOM_RESOURCE_DEFINITION, definition(true));
        let home = gantry_kinds::custom::home("g.io", "foos", "Foo", true);
        let object = world.put(home, json!({"metadata": {"name": "a", "namespace": "n"}}));
        let queue = QueueKey::of(&key);
        let outcome = CustomResources.reconcile(&queue, world.turn());
        assert!(matches!(&outcome.intents[0], Intent::Delete { key, .. } if *key == object));
        assert!(matches!(&outcome.intents[1], Intent::Patch { subresource: "status", .. }));
        world.remove(&object);
        let outcome = CustomResources.reconcile(&queue, world.turn());
        let Intent::Patch { patch, subresource: "", .. } = &outcome.intents[0] else { panic!("{:?}", outcome.intents) };
        assert_eq!(patch["metadata"]["finalizers"], Value::Null);
    }

    #[test]
    fn a_living_definition_is_left_alone() {
        let mut world = World::new();
        let key = world.put(&CUSTOM_RESOURCE_DEFINITION, definition(false));
        assert_eq!(CustomResources.reconcile(&QueueKey::of(&key), world.turn()), Outcome::nothing());
    }
}
