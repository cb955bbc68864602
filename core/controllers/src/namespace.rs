//! Namespaces that are being deleted: first the pods, then everything else, then the namespace.
//!
//! Invariants: nothing but a namespace with a deletionTimestamp is emptied; it is finalized only when the view shows
//! nothing left in it; what holds it up is said in its conditions.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::tree::list_at;
use gantry_kinds::{NAMESPACE, POD};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Controller, QueueKey, time, write};

/// Objects that one turn deletes at most.
const BURST: usize = 500;
/// The finalizer of the cluster itself in `spec.finalizers`.
const FINALIZER: &str = "kubernetes";

/// The controller of namespaces.
pub(crate) struct Namespaces;

impl Controller for Namespaces {
    fn name(&self) -> &'static str {
        "namespace-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let dying = view.list(&NAMESPACE, None).filter(|namespace| namespace.header.deleted.is_some());
        dying.map(|namespace| QueueKey::of(namespace.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let (kind, key) = (change.key.kind, &change.key);
        let name = if kind == &NAMESPACE { &key.name } else { &key.namespace };
        let namespace = view.get(&NAMESPACE, "", name).filter(|_| kind == &NAMESPACE || kind.namespaced);
        out.extend(namespace.filter(|n| n.header.deleted.is_some()).map(|n| QueueKey::of(n.key())));
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let namespace = key.object().and_then(|key| turn.view.at(key)).filter(|n| n.header.deleted.is_some());
        let Some(namespace) = namespace else { return Outcome::nothing() };
        let value = namespace.value();
        if !list_at(&value, "/spec/finalizers").iter().any(|f| f == FINALIZER) {
            return Outcome::nothing();
        }
        let contents = contents(turn.view, namespace.name());
        let mut outcome = Outcome::nothing();
        let pods = contents.iter().filter(|object| object.key().kind == &POD);
        let first: Vec<&Arc<Object>> = pods.copied().collect();
        let turn_of = if first.is_empty() { &contents } else { &first };
        let living = turn_of.iter().filter(|object| object.header.deleted.is_none()).take(BURST);
        outcome.intents.extend(living.map(|object| delete(object)));
        let status = status(&value, &contents, turn.now);
        outcome.intents.extend(write::status(namespace, &value["status"], &status));
        if contents.is_empty() {
            outcome.push(finalize(namespace.key(), value));
        }
        outcome
    }
}

fn delete(object: &Object) -> Intent {
    let (key, uid) = (object.key().clone(), object.uid().to_owned());
    Intent::Delete { key, uid, revision: None, propagation: Some("Background"), grace_seconds: None }
}

/// Everything in a namespace.
fn contents<'a>(view: &'a View, name: &'a str) -> Vec<&'a Arc<Object>> {
    let kinds = view.stored_kinds().into_iter().filter(|kind| kind.namespaced);
    kinds.flat_map(|kind| view.list(kind, Some(name))).collect()
}

/// The namespace without the cluster's finalizer. The status was written just before, so the revision does not hold;
/// the uid does.
fn finalize(key: &ObjectKey, mut value: Value) -> Intent {
    if let Some(meta) = value["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    if let Some(finalizers) = value.pointer_mut("/spec/finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| finalizer != FINALIZER);
    }
    Intent::Post { key: key.clone(), subresource: "finalize", body: value }
}

fn status(namespace: &Value, contents: &[&Arc<Object>], now: Timestamp) -> Value {
    let mut remaining: BTreeMap<String, usize> = BTreeMap::new();
    let mut finalizers: BTreeMap<&str, usize> = BTreeMap::new();
    for object in contents {
        let kind = object.key().kind;
        // The group follows a dot even where there is none.
        *remaining.entry(format!("{}.{}", kind.plural, kind.group)).or_default() += 1;
        for finalizer in &object.header.finalizers {
            *finalizers.entry(finalizer).or_default() += 1;
        }
    }
    let count = |(what, count): (String, usize)| format!("{what} has {count} resource instances");
    let held = |(what, count): (&str, usize)| format!("{what} in {count} resource instances");
    let resources = remaining.into_iter().map(count).collect::<Vec<_>>().join(", ");
    let holding = finalizers.into_iter().map(held).collect::<Vec<_>>().join(", ");
    let mut said = vec![
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".into(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".into(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".into(),
        ),
    ];
    said.push(if resources.is_empty() {
        ("NamespaceContentRemaining", false, "ContentRemoved", "All content successfully removed".to_owned())
    } else {
        let message = format!("Some resources are remaining: {resources}");
        ("NamespaceContentRemaining", true, "SomeResourcesRemain", message)
    });
    said.push(if holding.is_empty() {
        let message = "All content-preserving finalizers finished".to_owned();
        ("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", message)
    } else {
        let message = format!("Some content in the namespace has finalizers remaining: {holding}");
        ("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", message)
    });
    let old = list_at(namespace, "/status/conditions");
    let conditions: Vec<Value> = said.into_iter().map(|said| condition(old, said, now)).collect();
    json!({"phase": "Terminating", "conditions": conditions})
}

fn condition(old: &[Value], (kind, on, reason, message): (&str, bool, &str, String), now: Timestamp) -> Value {
    let status = if on { "True" } else { "False" };
    let before = old.iter().find(|before| before["type"] == kind);
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": time::turned(before, status, now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;
    use gantry_kinds::CONFIG_MAP;

    fn world() -> World {
        let mut world = World::new();
        world.put(
            &NAMESPACE,
            json!({
                "metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating"},
            }),
        );
        world.put(&POD, json!({"metadata": {"name": "p", "namespace": "web"}}));
        world.put(&CONFIG_MAP, json!({"metadata": {"name": "c", "namespace": "web"}}));
        world.put(
            &CONFIG_MAP,
            json!({
                "metadata": {"name": "held", "namespace": "web", "finalizers": ["x.io/hold"]},
            }),
        );
        world.put(&CONFIG_MAP, json!({"metadata": {"name": "other", "namespace": "elsewhere"}}));
        world
    }

    fn message(world: &World, kind: &str) -> String {
        let namespace = world.view.get(&NAMESPACE, "", "web").unwrap().value();
        let condition = list_at(&namespace, "/status/conditions").iter().find(|c| c["type"] == kind).cloned();
        condition.map(|c| format!("{} {}", c["status"].as_str().unwrap(), c["message"].as_str().unwrap())).unwrap()
    }

    #[test]
    fn pods_go_first_then_the_rest_then_the_namespace() {
        let mut world = world();
        let key = QueueKey::Object(ObjectKey::new(&NAMESPACE, "", "web"));
        world.run_once(&mut Namespaces, &key);
        assert!(world.view.get(&CONFIG_MAP, "web", "c").is_some(), "nothing else while there are pods");
        world.remove_terminating_pods();
        world.run_once(&mut Namespaces, &key);
        assert!(world.view.get(&CONFIG_MAP, "web", "c").is_none());
        world.run_once(&mut Namespaces, &key);
        let remaining = "True Some resources are remaining: configmaps. has 1 resource instances";
        assert_eq!(message(&world, "NamespaceContentRemaining"), remaining);
        let holding = "True Some content in the namespace has finalizers remaining: x.io/hold in 1 resource instances";
        assert_eq!(message(&world, "NamespaceFinalizersRemaining"), holding);
        assert!(world.view.get(&NAMESPACE, "", "web").is_some());
        world.merge(&ObjectKey::new(&CONFIG_MAP, "web", "held"), json!({"metadata": {"finalizers": null}}));
        world.run_once(&mut Namespaces, &key);
        assert!(world.view.get(&NAMESPACE, "", "web").is_none());
        assert!(world.view.get(&CONFIG_MAP, "elsewhere", "other").is_some());
    }

    #[test]
    fn a_living_namespace_is_left_alone() {
        let mut world = world();
        world.merge(&ObjectKey::new(&NAMESPACE, "", "web"), json!({"metadata": {"deletionTimestamp": null}}));
        let key = QueueKey::Object(ObjectKey::new(&NAMESPACE, "", "web"));
        assert_eq!(Namespaces.reconcile(&key, world.turn()), Outcome::nothing());
    }
}
