use gantry_kinds::{CONFIG_MAP, KindRef, NAMESPACE, NODE, SECRET};
use gantry_view::ObjectKey;
use proptest::prelude::*;

use super::*;
use crate::harness::World;

fn owner(kind: KindRef, name: &str, uid: &str) -> Value {
    json!({"apiVersion": kind.api_version(), "kind": kind.kind, "name": name, "uid": uid, "blockOwnerDeletion": true})
}

fn put(world: &mut World, name: &str, owners: Value) -> ObjectKey {
    let metadata =
        json!({"name": name, "namespace": "web", "uid": format!("uid-of-{name}"), "ownerReferences": owners});
    world.put(&CONFIG_MAP, json!({"metadata": metadata}))
}

fn owned_by(names: &[&str]) -> Value {
    names.iter().map(|name| owner(&CONFIG_MAP, name, &format!("uid-of-{name}"))).collect()
}

fn names(world: &World) -> Vec<String> {
    world.view.list(&CONFIG_MAP, None).map(|object| object.name().to_owned()).collect()
}

fn delete(world: &mut World, key: &ObjectKey, propagation: &'static str) {
    let object = world.view.at(key).unwrap().clone();
    world.carry_out(&super::delete(&object, propagation)).unwrap();
}

#[test]
fn what_lost_its_owner_goes_with_all_below() {
    let mut world = World::new();
    let root = put(&mut world, "root", json!([]));
    put(&mut world, "child", owned_by(&["root"]));
    put(&mut world, "grandchild", owned_by(&["child"]));
    put(&mut world, "other", json!([]));
    world.settle(&mut [&mut Garbage]);
    assert_eq!(names(&world).len(), 4);
    delete(&mut world, &root, "Background");
    world.settle(&mut [&mut Garbage]);
    assert_eq!(names(&world), ["other"]);
}

#[test]
fn one_living_owner_is_enough() {
    let mut world = World::new();
    let first = put(&mut world, "first", json!([]));
    put(&mut world, "second", json!([]));
    let child = put(&mut world, "child", owned_by(&["first", "second"]));
    delete(&mut world, &first, "Background");
    world.settle(&mut [&mut Garbage]);
    let owners: Vec<_> = world.view.at(&child).unwrap().header.owners.iter().map(|o| o.name.clone()).collect();
    assert_eq!(owners, ["second"]);
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    let mut world = World::new();
    let root = put(&mut world, "root", json!([]));
    let held = put(&mut world, "held", owned_by(&["root"]));
    world.merge(&held, json!({"metadata": {"finalizers": ["x.io/hold"]}}));
    put(&mut world, "free", owned_by(&["root"]));
    delete(&mut world, &root, "Foreground");
    world.settle(&mut [&mut Garbage]);
    assert_eq!(names(&world), ["held", "root"]);
    world.merge(&held, json!({"metadata": {"finalizers": null}}));
    world.settle(&mut [&mut Garbage]);
    assert!(names(&world).is_empty());
}

#[test]
fn orphans_are_left_behind() {
    let mut world = World::new();
    let root = put(&mut world, "root", json!([]));
    let child = put(&mut world, "child", owned_by(&["root"]));
    delete(&mut world, &root, "Orphan");
    world.settle(&mut [&mut Garbage]);
    assert_eq!(names(&world), ["child"]);
    assert!(world.view.at(&child).unwrap().header.owners.is_empty());
}

#[test]
fn owners_in_a_circle_do_not_wait_for_ever() {
    let mut world = World::new();
    let a = put(&mut world, "a", owned_by(&["b"]));
    put(&mut world, "b", owned_by(&["a"]));
    world.settle(&mut [&mut Garbage]);
    assert_eq!(names(&world).len(), 2);
    delete(&mut world, &a, "Foreground");
    world.settle(&mut [&mut Garbage]);
    assert!(names(&world).is_empty());
}

fn check_reference(reference: Value, stays: bool) {
    let mut world = World::new();
    world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
    put(&mut world, "owner", json!([]));
    let elsewhere = json!({"name": "far", "namespace": "elsewhere", "uid": "uid-of-far"});
    world.put(&CONFIG_MAP, json!({"metadata": elsewhere}));
    world.put(&NODE, json!({"metadata": {"name": "node", "uid": "uid-of-node"}}));
    let child = put(&mut world, "child", json!([reference.clone()]));
    world.settle(&mut [&mut Garbage]);
    assert_eq!(world.view.at(&child).is_some(), stays, "{reference}");
}

#[test]
fn an_owner_is_kind_name_place_and_uid_together() {
    check_reference(owner(&CONFIG_MAP, "owner", "uid-of-owner"), true);
    check_reference(owner(&NODE, "node", "uid-of-node"), true);
    check_reference(owner(&CONFIG_MAP, "owner", "uid-of-an-earlier-one"), false);
    check_reference(owner(&CONFIG_MAP, "other", "uid-of-owner"), false);
    check_reference(owner(&SECRET, "owner", "uid-of-owner"), false);
    check_reference(owner(&CONFIG_MAP, "far", "uid-of-far"), false);
    let unserved = json!({"apiVersion": "x.io/v1", "kind": "Thing", "name": "t", "uid": "u"});
    check_reference(unserved, true);
}

#[test]
fn an_owner_in_another_namespace_is_told_of() {
    let mut world = World::new();
    let metadata = json!({"name": "far", "namespace": "elsewhere", "uid": "uid-of-far"});
    world.put(&CONFIG_MAP, json!({"metadata": metadata}));
    put(&mut world, "child", owned_by(&["far"]));
    world.settle(&mut [&mut Garbage]);
    let message =
        "ownerRef [v1/ConfigMap, namespace: web, name: far, uid: uid-of-far] does not exist in namespace \"web\"";
    assert_eq!(world.events, [("OwnerRefInvalidNamespace".to_owned(), message.to_owned())]);
}

#[test]
fn a_cluster_wide_object_is_never_taken_for_an_orphan_of_a_namespaced_one() {
    let mut world = World::new();
    let metadata = json!({"name": "n", "ownerReferences": [owner(&CONFIG_MAP, "gone", "u")]});
    world.put(&NODE, json!({"metadata": metadata}));
    world.settle(&mut [&mut Garbage]);
    assert_eq!(world.view.count(&NODE), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever owns whatever, nothing goes that has an owner which stays, and nothing stays that has only gone ones.
    #[test]
    fn nothing_with_a_living_owner_goes(
        edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..24),
        gone in prop::collection::vec((0..12_usize, 0..3_usize), 0..4),
    ) {
        let mut world = World::new();
        let name = |at: usize| format!("o{at:02}");
        for at in 0..12 {
            // References go from higher to lower, so there is always something without an owner.
            let owners: std::collections::BTreeSet<usize> =
                edges.iter().filter(|(child, owner)| *child == at && owner < child).map(|(_, owner)| *owner).collect();
            let names: Vec<String> = owners.into_iter().map(name).collect();
            put(&mut world, &name(at), owned_by(&names.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        let before: Vec<Arc<Object>> = world.view.list(&CONFIG_MAP, None).cloned().collect();
        let mut orphaned = std::collections::BTreeSet::new();
        let mut deleted = std::collections::BTreeSet::new();
        for (at, how) in gone {
            let key = ObjectKey::new(&CONFIG_MAP, "web", &name(at));
            if deleted.insert(name(at)) {
                delete(&mut world, &key, ["Background", "Foreground", "Orphan"][how]);
                if how == 2 {
                    orphaned.insert(name(at));
                }
            }
        }
        world.settle(&mut [&mut Garbage]);
        // From the top down: what has to be left, and what may be, as an object that was let go by one owner and lost
        // another may be looked at before or after.
        let (mut must, mut may) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        for object in before.iter().filter(|object| !deleted.contains(object.name())) {
            let (owners, name) = (&object.header.owners, object.name().to_owned());
            let freed = |owner: &gantry_view::Owner| orphaned.contains(&owner.name);
            if owners.iter().any(|o| must.contains(&o.name)) || owners.iter().all(freed) {
                must.insert(name.clone());
            }
            if owners.is_empty() || owners.iter().any(|o| may.contains(&o.name) || freed(o)) {
                may.insert(name);
            }
        }
        let left: std::collections::BTreeSet<String> = names(&world).into_iter().collect();
        prop_assert!(must.is_subset(&left), "{must:?} should be left, {left:?} is");
        prop_assert!(left.is_subset(&may), "{may:?} may be left, {left:?} is");
    }
}
