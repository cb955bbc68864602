use gantry_kinds::{CONFIG_MAP, ENDPOINT_SLICE, KindRef};
use serde_json::{Value, json};

use super::*;
use crate::harness::World;

fn world(objects: &[(KindRef, Value)]) -> World {
    let mut world = World::new();
    world.put(&NAMESPACE, json!({"metadata": {"name": "web", "uid": "web"}}));
    for (kind, object) in objects {
        let mut object = object.clone();
        if kind.namespaced && object["metadata"]["namespace"].is_null() {
            object["metadata"]["namespace"] = json!("web");
        }
        world.put(kind, object);
    }
    world
}

fn rules(found: Vec<Violation>) -> Vec<&'static str> {
    found.into_iter().map(|violation| violation.rule).collect()
}

fn always(objects: &[(KindRef, Value)], expected: &[&str]) {
    assert_eq!(rules(check(&world(objects).view)), expected);
}

fn in_the_end(objects: &[(KindRef, Value)], expected: &[&str]) {
    assert_eq!(rules(converged(&world(objects).view)), expected);
}

fn owner(uid: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "X", "name": "x", "uid": uid, "controller": true})
}

fn map(metadata: Value) -> (KindRef, Value) {
    (&CONFIG_MAP, json!({ "metadata": metadata }))
}

#[test]
fn rules_of_metadata_can_be_broken() {
    always(&[map(json!({"name": "a"})), map(json!({"name": "b"}))], &[]);
    let twins = [map(json!({"name": "a", "uid": "u"})), map(json!({"name": "b", "uid": "u"}))];
    always(&twins, &["a uid is one object's"]);
    always(&[map(json!({"name": "a", "uid": ""}))], &["an object has a uid"]);
    let owned = map(json!({"name": "a", "ownerReferences": [owner("u"), owner("v")]}));
    always(&[owned], &["one controller manages an object"]);
    always(&[map(json!({"name": "a", "ownerReferences": [owner("")]}))], &["an owner is known by uid"]);
    always(&[map(json!({"name": "a", "namespace": "gone"}))], &["a namespace outlives what is in it"]);
    let dying = |finalizers: Value| {
        map(json!({"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": finalizers}))
    };
    always(&[dying(json!([]))], &["what nothing holds is gone"]);
    always(&[dying(json!(["x.io/hold"]))], &[]);
}

#[test]
fn rules_of_single_kinds_can_be_broken() {
    let observed = |generation| json!({"metadata": {"name": "d"}, "status": {"observedGeneration": generation}});
    always(&[(&DEPLOYMENT, observed(1))], &[]);
    always(&[(&DEPLOYMENT, observed(2))], &["nobody observes what is to come"]);
    let set = |name: &str, hash: &str| {
        let labels = json!({"pod-template-hash": hash});
        (
            &REPLICA_SET as KindRef,
            json!({"metadata": {"name": name, "labels": labels, "ownerReferences": [owner("d")]}}),
        )
    };
    always(&[set("a", "1"), set("b", "2")], &[]);
    always(&[set("a", "1"), set("b", "1")], &["a revision has one ReplicaSet"]);
    let service = |name: &str, address: &str, port: i64| {
        let spec = json!({"clusterIP": address, "ports": [{"protocol": "TCP", "nodePort": port}]});
        (&SERVICE as KindRef, json!({"metadata": {"name": name}, "spec": spec}))
    };
    always(&[service("a", "None", 0), service("b", "None", 0)], &[]);
    always(&[service("a", "10.43.0.1", 0), service("b", "10.43.0.1", 0)], &["an address is one Service's"]);
    always(&[service("a", "None", 30000), service("b", "None", 30000)], &["a node port is one Service's"]);
    let node = |name: &str, network: &str| {
        (&NODE as KindRef, json!({"metadata": {"name": name}, "spec": {"podCIDR": network}}))
    };
    always(&[node("a", "10.42.0.0/24"), node("b", "10.42.1.0/24"), node("c", "")], &[]);
    let overlapping = [node("a", "10.42.0.0/16"), node("b", "10.42.1.0/24")];
    always(&overlapping, &["each node has its own part of the network"]);
}

#[test]
fn what_is_left_to_do_is_found() {
    in_the_end(&[map(json!({"name": "a", "ownerReferences": [owner("u")]}))], &["nothing outlives its owner"]);
    let pod = |metadata: Value| (&POD as KindRef, json!({"metadata": metadata, "spec": {"nodeName": "n1"}}));
    in_the_end(&[pod(json!({"name": "p"}))], &["a pod's node is there"]);
    let node = (&NODE as KindRef, json!({"metadata": {"name": "n1"}}));
    let dying = pod(json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
    in_the_end(&[node, dying], &["what is to end ends"]);
    let deployment = |status: Value| {
        (
            &DEPLOYMENT as KindRef,
            json!({"metadata": {"name": "d", "uid": "d"}, "spec": {"replicas": 1}, "status": status}),
        )
    };
    let done = json!({"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1});
    in_the_end(&[deployment(done.clone())], &[]);
    let not_done = json!({"replicas": 1, "updatedReplicas": 1});
    in_the_end(&[deployment(not_done)], &["a rollout comes to its end"]);
    let set = |name: &str, replicas: i64| {
        let metadata = json!({"name": name, "ownerReferences": [owner("d")]});
        (&REPLICA_SET as KindRef, json!({"metadata": metadata, "spec": {"replicas": replicas}}))
    };
    let lacking = "a ReplicaSet has its pods";
    in_the_end(&[deployment(done.clone()), set("a", 1)], &[lacking]);
    in_the_end(&[deployment(done), set("a", 1), set("b", 1)], &["old ReplicaSets are empty", lacking, lacking]);
}

#[test]
fn slices_that_are_wrong_are_found() {
    let service = json!({"metadata": {"name": "s", "uid": "s"}, "spec": {"selector": {"app": "web"}}});
    let condition = json!({"type": "Ready", "status": "True"});
    let status = json!({"phase": "Running", "conditions": [condition], "podIPs": [{"ip": "10.42.0.1"}]});
    let pod = json!({"metadata": {"name": "p", "uid": "p", "labels": {"app": "web"}}, "status": status});
    let slice = |uid: &str| {
        let endpoint = json!({"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": uid, "uid": uid}});
        let metadata = json!({"name": "s-1", "ownerReferences": [owner("s")]});
        (&ENDPOINT_SLICE as KindRef, json!({"metadata": metadata, "endpoints": [endpoint]}))
    };
    let with = |slice| [(&SERVICE as KindRef, service.clone()), (&POD as KindRef, pod.clone()), slice];
    in_the_end(&with(slice("p")), &[]);
    in_the_end(&with(slice("q")), &["endpoints are pods", "slices name the ready pods"]);
}
