use gantry_kinds::{IP_ADDRESS, SERVICE, SERVICE_CIDR};
use gantry_view::{Intent, ObjectKey};
use serde_json::{Value, json};

use super::*;
use crate::harness::World;

fn cidr(world: &mut World, name: &str, range: &str) -> ObjectKey {
    world.put(&SERVICE_CIDR, json!({"metadata": {"name": name}, "spec": {"cidrs": [range]}}))
}

fn delete(world: &mut World, key: &ObjectKey) {
    let uid = world.view.at(key).unwrap().uid().to_owned();
    let intent = Intent::Delete { key: key.clone(), uid, revision: None, propagation: None, grace_seconds: None };
    world.carry_out(&intent).unwrap();
}

fn service(world: &mut World, address: &str) -> ObjectKey {
    let spec = json!({"clusterIP": address, "clusterIPs": [address]});
    world.put(&SERVICE, json!({"metadata": {"name": "s", "namespace": "web"}, "spec": spec}))
}

fn settle(world: &mut World) {
    world.settle(&mut [&mut ServiceCidrs, &mut AddressRecords]);
}

fn ready(world: &World, key: &ObjectKey) -> Value {
    world.view.at(key).unwrap().value()["status"]["conditions"][0].clone()
}

#[test]
fn a_range_goes_when_no_address_depends_on_it() {
    let mut world = World::new();
    let range = cidr(&mut world, "a", "10.99.0.0/29");
    let service = service(&mut world, "10.99.0.2");
    settle(&mut world);
    assert_eq!(world.view.at(&range).unwrap().header.finalizers, ["networking.k8s.io/service-cidr-finalizer"]);
    assert_eq!((&ready(&world, &range)["status"], &ready(&world, &range)["reason"]), (&json!("True"), &json!("")));
    delete(&mut world, &range);
    settle(&mut world);
    assert_eq!(
        (&ready(&world, &range)["status"], &ready(&world, &range)["reason"]),
        (&json!("False"), &json!("Terminating"))
    );
    world.remove(&service);
    settle(&mut world);
    assert!(world.view.at(&range).is_none());
}

#[test]
fn another_range_may_take_over() {
    let mut world = World::new();
    let range = cidr(&mut world, "a", "10.99.0.0/29");
    service(&mut world, "10.99.0.2");
    settle(&mut world);
    delete(&mut world, &range);
    cidr(&mut world, "b", "10.99.8.0/28");
    settle(&mut world);
    assert!(world.view.at(&range).is_some());
    cidr(&mut world, "c", "10.99.0.0/28");
    settle(&mut world);
    assert!(world.view.at(&range).is_none());
}

#[test]
fn records_are_made_again_and_leaks_are_closed() {
    let mut world = World::new();
    let key = service(&mut world, "10.43.0.7");
    settle(&mut world);
    let record = ObjectKey::new(&IP_ADDRESS, "", "10.43.0.7");
    let parent = json!({"resource": "services", "namespace": "web", "name": "s"});
    assert_eq!(world.view.at(&record).unwrap().value()["spec"]["parentRef"], parent);
    world.remove(&record);
    settle(&mut world);
    assert!(world.view.at(&record).is_some());
    // Somebody's own stays, whatever it names.
    let mut own = json!({"metadata": {"name": "10.43.0.8"}, "spec": {"parentRef": parent}});
    let theirs = world.put(&IP_ADDRESS, own.clone());
    own["metadata"] = json!({"name": "10.43.0.9", "labels": {MANAGED_BY: MANAGER}});
    let leak = world.put(&IP_ADDRESS, own);
    settle(&mut world);
    assert!(world.view.at(&theirs).is_some() && world.view.at(&leak).is_none());
    world.merge(&key, json!({"spec": {"clusterIP": null, "clusterIPs": null, "type": "ExternalName"}}));
    settle(&mut world);
    assert!(world.view.at(&record).is_none());
    let reasons: Vec<_> = world.events.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons.iter().filter(|reason| **reason == "IPAddressNotAllocated").count(), 2);
}
