//! What holds in every view that commits can lead to, whoever wrote what in whatever order: `check` looks at all of
//! it, `check_object` at what one object has to do with.
//!
//! Only what no single commit may break stands here. What controllers bring about in time does not.

use std::fmt;

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{DEPLOYMENT, NAMESPACE, NODE, POD, REPLICA_SET, SERVICE};
use gantry_view::{Object, ObjectKey, View};
use serde_json::Value;

use crate::allocation::ALLOCATION;
use crate::{service, stored_kinds};

/// Label by which a Deployment's ReplicaSets are told apart.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The object that it was seen at.
    pub key: ObjectKey,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

/// Everything that is wrong with a view.
pub fn check(view: &View) -> Vec<Violation> {
    let objects = stored_kinds().flat_map(|kind| view.list(kind, None));
    objects.flat_map(|object| check_object(view, object)).collect()
}

/// What is wrong with an object of the view, and between it and others.
pub fn check_object(view: &View, object: &Object) -> Vec<Violation> {
    let mut found = Vec::new();
    identity(view, object, &mut found);
    let kind = object.key().kind;
    // The other rules read the object; most kinds have none.
    let ruled = [&SERVICE, &ALLOCATION, &NODE, &REPLICA_SET, &DEPLOYMENT, &NAMESPACE].contains(&kind);
    if ruled || object.header.deleted.is_some() {
        let value = object.value();
        ending(object, &value, &mut found);
        if *kind == SERVICE {
            reservations(view, object, &value, &mut found);
        } else if *kind == ALLOCATION {
            owner(view, object, &value, &mut found);
        } else if *kind == NODE {
            range(view, object, &value, &mut found);
        } else if *kind == REPLICA_SET || *kind == DEPLOYMENT {
            generations(object, &value, &mut found);
            template(view, object, &mut found);
        }
    }
    found.into_iter().map(|message| Violation { key: object.key().clone(), message }).collect()
}

fn identity(view: &View, object: &Object, found: &mut Vec<String>) {
    if view.by_uid(object.uid()).is_none_or(|other| other.key() != object.key()) {
        found.push(format!("its uid {:?} is another object's", object.uid()));
    }
    if object.header.owners.iter().filter(|owner| owner.controller).count() > 1 {
        found.push("it has several controllers".to_owned());
    }
    let namespace = object.namespace();
    if object.key().kind.namespaced && view.get(&NAMESPACE, "", namespace).is_none() {
        found.push(format!("its namespace {namespace:?} is not there"));
    }
}

/// What is being deleted is still there for a reason: a finalizer, or a pod's grace.
fn ending(object: &Object, value: &Value, found: &mut Vec<String>) {
    let waits = !object.header.finalizers.is_empty() || !list_at(value, "/spec/finalizers").is_empty();
    if object.header.deleted.is_some() && *object.key().kind != POD && !waits {
        found.push("it is deleted, nothing holds it, and it is still there".to_owned());
    }
}

fn reservations(view: &View, object: &Object, value: &Value, found: &mut Vec<String>) {
    let own = format!("{}/{}", object.namespace(), object.name());
    for name in service::reserved(value) {
        let record = view.get(&ALLOCATION, "", &name).map(|record| record.value());
        let holder = record.as_ref().map_or("nobody", |record| str_at(record, "/owner"));
        if holder != own {
            found.push(format!("{name} is recorded for {holder}"));
        }
    }
}

fn owner(view: &View, object: &Object, value: &Value, found: &mut Vec<String>) {
    let (namespace, name) = str_at(value, "/owner").split_once('/').unwrap_or_default();
    let service = view.get(&SERVICE, namespace, name);
    if service.is_none_or(|service| !service::reserved(&service.value()).contains(object.name())) {
        found.push("no Service has it".to_owned());
    }
}

fn range(view: &View, object: &Object, value: &Value, found: &mut Vec<String>) {
    let cidr = str_at(value, "/spec/podCIDR");
    let others = view.list(&NODE, None).filter(|other| !cidr.is_empty() && other.name() != object.name());
    let same = others.filter(|other| str_at(&other.value(), "/spec/podCIDR") == cidr);
    found.extend(same.map(|other| format!("node {} has {cidr} as well", other.name())));
}

fn generations(object: &Object, value: &Value, found: &mut Vec<String>) {
    let observed = int_at(value, "/status/observedGeneration").unwrap_or(0);
    if observed > object.header.generation {
        found.push(format!("generation {observed} was observed, and it has {}", object.header.generation));
    }
}

/// A Deployment has one ReplicaSet of each template.
fn template(view: &View, object: &Object, found: &mut Vec<String>) {
    let (Some(owner), Some(hash)) = (object.controller(), object.header.labels.get(TEMPLATE_HASH)) else { return };
    let siblings = view.owned_by(&owner.uid).filter(|other| other.key().kind == &REPLICA_SET);
    let same =
        siblings.filter(|other| other.uid() != object.uid() && other.header.labels.get(TEMPLATE_HASH) == Some(hash));
    found.extend(same.map(|other| format!("{} is of the same template", other.key())));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gantry_kinds::{CONFIG_MAP, KindRef};
    use serde_json::json;

    use super::*;
    use crate::tests::World;

    fn world() -> World {
        let mut world = World::new();
        let service = json!({"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}});
        world.create(&SERVICE, "web", service).unwrap();
        world
    }

    fn put(world: &mut World, kind: KindRef, value: Value) {
        let revision = world.view.revision() + 1;
        let object = Object::from_value(kind, &value, revision).unwrap();
        world.view.apply(object.key().clone(), Some(Arc::new(object)), revision);
    }

    fn expect(world: &World, parts: &[&str]) {
        let found: Vec<String> = check(&world.view).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), parts.len(), "{found:?}");
        for part in parts {
            assert!(found.iter().any(|violation| violation.contains(part)), "{part}: {found:?}");
        }
    }

    #[test]
    fn what_the_registry_commits_is_sound() {
        expect(&world(), &[]);
    }

    #[test]
    fn identities_are_kept_apart() {
        let mut world = world();
        put(&mut world, &CONFIG_MAP, json!({"metadata": {"name": "a", "namespace": "web", "uid": "u"}}));
        put(&mut world, &CONFIG_MAP, json!({"metadata": {"name": "b", "namespace": "web", "uid": "u"}}));
        put(&mut world, &CONFIG_MAP, json!({"metadata": {"name": "c", "namespace": "none", "uid": "v"}}));
        let owner = json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": "x", "controller": true});
        let owners = json!([owner, owner]);
        put(
            &mut world,
            &CONFIG_MAP,
            json!({"metadata": {"name": "d", "namespace": "web", "uid": "w", "ownerReferences": owners}}),
        );
        expect(&world, &["configmaps/web/a: its uid", "its namespace \"none\" is not there", "several controllers"]);
    }

    #[test]
    fn what_is_deleted_needs_a_reason_to_stay() {
        let mut world = world();
        let map = json!({"metadata": {"name": "a", "namespace": "web", "uid": "u",
            "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        put(&mut world, &CONFIG_MAP, map);
        expect(&world, &["nothing holds it"]);
    }

    #[test]
    fn addresses_and_ports_have_one_owner_each() {
        let mut world = world();
        let mut twin = world.view.get(&SERVICE, "web", "s").unwrap().value();
        twin["metadata"]["name"] = json!("twin");
        twin["metadata"]["uid"] = json!("twin");
        put(&mut world, &SERVICE, twin);
        expect(&world, &["services/web/twin: ip-", "services/web/twin: port-"]);
        let key = world.view.get(&SERVICE, "web", "s").unwrap().key().clone();
        world.view.apply(key, None, 1000);
        expect(&world, &["twin: ip-", "twin: port-", "allocations/ip-", "allocations/port-"]);
    }

    #[test]
    fn nodes_and_templates_are_not_doubled_and_nothing_is_observed_ahead() {
        let mut world = world();
        for name in ["n1", "n2"] {
            put(
                &mut world,
                &NODE,
                json!({"metadata": {"name": name, "uid": name}, "spec": {"podCIDR": "10.42.0.0/24"}}),
            );
        }
        let owners =
            json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "d", "uid": "d", "controller": true}]);
        for name in ["r1", "r2"] {
            let meta = json!({"name": name, "uid": name, "namespace": "web", "generation": 1,
                "labels": {"pod-template-hash": "h"}, "ownerReferences": owners});
            put(&mut world, &REPLICA_SET, json!({"metadata": meta, "status": {"observedGeneration": 2}}));
        }
        let same = ["node n1 has", "node n2 has", "web/r1 is of the same", "web/r2 is of the same"];
        expect(&world, &[&same[..], &["web/r1: generation 2 was", "web/r2: generation 2 was"]].concat());
    }
}
