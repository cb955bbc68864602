use gantry_kinds::{KindRef, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, VOLUME_ATTRIBUTES_CLASS};
use gantry_view::ObjectKey;
use serde_json::{Value, json};

use super::*;
use crate::harness::World;

fn settle(world: &mut World) {
    world.settle(&mut [&mut Claims, &mut Volumes, &mut AttributesClasses]);
}

fn delete(world: &mut World, key: &ObjectKey) {
    let uid = world.view.at(key).unwrap().uid().to_owned();
    let intent = Intent::Delete { key: key.clone(), uid, revision: None, propagation: None, grace_seconds: None };
    world.carry_out(&intent).unwrap();
}

/// An object that is used, as long as `end` has not happened.
fn is_held_until(kind: KindRef, mut object: Value, world: &mut World, end: impl FnOnce(&mut World, &ObjectKey)) {
    if kind.namespaced {
        object["metadata"]["namespace"] = json!("web");
    }
    let key = world.put(kind, object);
    settle(world);
    world.merge(&key, json!({"metadata": {"finalizers": null}}));
    settle(world);
    assert_eq!(world.view.at(&key).unwrap().header.finalizers.len(), 1);
    delete(world, &key);
    settle(world);
    assert!(world.view.at(&key).is_some(), "{key} is used");
    end(world, &key);
    settle(world);
    assert!(world.view.at(&key).is_none(), "{key} is not used any more");
}

fn pod(world: &mut World, name: &str, node: Option<&str>, volume: Value) -> ObjectKey {
    let spec = json!({"nodeName": node, "volumes": [volume]});
    world.put(&POD, json!({"metadata": {"name": name, "namespace": "web"}, "spec": spec}))
}

#[test]
fn claims_stay_while_pods_on_nodes_name_them() {
    let mut world = World::new();
    let claim = |name: &str| json!({"metadata": {"name": name}});
    let volume = || json!({"name": "v", "persistentVolumeClaim": {"claimName": "c"}});
    let user = pod(&mut world, "p", Some("n1"), volume());
    pod(&mut world, "waits", None, volume());
    is_held_until(&PERSISTENT_VOLUME_CLAIM, claim("c"), &mut world, |world, _| world.remove(&user));
    let user = pod(&mut world, "p", Some("n1"), json!({"name": "own", "ephemeral": {}}));
    is_held_until(&PERSISTENT_VOLUME_CLAIM, claim("p-own"), &mut world, |world, _| world.remove(&user));
}

#[test]
fn volumes_stay_while_they_are_bound() {
    let mut world = World::new();
    let bound = json!({"metadata": {"name": "v"}, "status": {"phase": "Bound"}});
    let release = |world: &mut World, key: &ObjectKey| world.merge(key, json!({"status": {"phase": "Released"}}));
    is_held_until(&PERSISTENT_VOLUME, bound, &mut world, release);
}

#[test]
fn classes_stay_while_somebody_has_them() {
    for (kind, at) in [
        (&PERSISTENT_VOLUME_CLAIM as KindRef, json!({"spec": {"volumeAttributesClassName": "gold"}})),
        (&PERSISTENT_VOLUME_CLAIM, json!({"status": {"currentVolumeAttributesClassName": "gold"}})),
        (&PERSISTENT_VOLUME, json!({"spec": {"volumeAttributesClassName": "gold"}})),
    ] {
        let mut world = World::new();
        let mut user = at;
        user["metadata"] = json!({"name": "u", "finalizers": []});
        if kind.namespaced {
            user["metadata"]["namespace"] = json!("web");
        }
        let user = world.put(kind, user);
        let class = json!({"metadata": {"name": "gold"}});
        is_held_until(&VOLUME_ATTRIBUTES_CLASS, class, &mut world, |world, _| world.remove(&user));
    }
}
