use gantry_kinds::{NODE, tree};
use serde_json::json;

use super::*;
use crate::harness::World;

fn world() -> World {
    let mut world = World::new();
    world.put(&gantry_kinds::NAMESPACE, json!({"metadata": {"name": "web"}}));
    world.put(&NODE, json!({"metadata": {"name": "n1"}}));
    world
}

fn set(world: &mut World, replicas: i64, min_ready_seconds: i64) -> ObjectKey {
    world.put(
        &REPLICA_SET,
        json!({"metadata": {"name": "rs", "namespace": "web"}, "spec": {
            "replicas": replicas, "minReadySeconds": min_ready_seconds,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web", "more": "x"}}, "spec": {"containers": []}},
        }}),
    )
}

fn pod(world: &mut World, name: &str, owner: Option<&str>, labels: Value) -> ObjectKey {
    let owners = owner.map_or(
        json!([]),
        |uid| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": uid, "controller": true}]),
    );
    let metadata = json!({"name": name, "namespace": "web", "labels": labels, "ownerReferences": owners});
    world.put(&POD, json!({"metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}))
}

fn ready(world: &mut World, key: &ObjectKey, since: &str) {
    let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
    world.merge(key, json!({"status": {"conditions": [condition]}}));
}

fn pods(world: &World) -> Vec<&Arc<Object>> {
    world.view.list(&POD, None).collect()
}

fn status(world: &World, key: &ObjectKey) -> Value {
    world.view.at(key).unwrap().value()["status"].clone()
}

#[test]
fn pods_are_made_of_the_template() {
    let mut world = world();
    let key = set(&mut world, 3, 0);
    world.settle(&mut [&mut ReplicaSets::sets()]);
    assert_eq!(pods(&world).len(), 3);
    let pod = pods(&world)[0].value();
    assert_eq!(pod["metadata"]["generateName"], "rs-");
    assert_eq!(pod["metadata"]["labels"], json!({"app": "web", "more": "x"}));
    assert_eq!(tree::str_at(&pod, "/metadata/ownerReferences/0/kind"), "ReplicaSet");
    let expected = json!({
        "replicas": 3, "fullyLabeledReplicas": 3, "terminatingReplicas": 0, "observedGeneration": 1,
    });
    assert_eq!(status(&world, &key), expected);
    let name = tree::str_at(&pod, "/metadata/name");
    assert!(world.events.contains(&("SuccessfulCreate".into(), format!("Created pod: {name}"))));
}

#[test]
fn what_matches_is_adopted_and_what_does_not_is_let_go() {
    let mut world = world();
    let key = set(&mut world, 2, 0);
    let uid = world.view.at(&key).unwrap().uid().to_owned();
    let stray = pod(&mut world, "stray", None, json!({"app": "web"}));
    let own = pod(&mut world, "own", Some(&uid), json!({"app": "other"}));
    let foreign = pod(&mut world, "foreign", Some("somebody"), json!({"app": "web"}));
    world.settle(&mut [&mut ReplicaSets::sets()]);
    let controller = |key: &ObjectKey| world.view.at(key).unwrap().controller().map(|c| c.uid.clone());
    assert_eq!(controller(&stray), Some(uid));
    assert_eq!(controller(&own), None);
    assert_eq!(controller(&foreign), Some("somebody".to_owned()));
    assert_eq!(pods(&world).len(), 4, "one of two was there, so one is created");
}

#[test]
fn the_least_missed_go_first() {
    let mut world = world();
    let key = set(&mut world, 4, 0);
    let uid = world.view.at(&key).unwrap().uid().to_owned();
    let all = ["calm", "cheap", "restarted", "unready", "nodeless", "pending", "young"].map(|name| {
        let key = pod(&mut world, name, Some(&uid), json!({"app": "web"}));
        ready(&mut world, &key, "2025-01-01T00:00:00Z");
        key
    });
    let [_, cheap, restarted, unready, nodeless, pending, young] = &all;
    world.merge(cheap, json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}}));
    world.merge(restarted, json!({"status": {"containerStatuses": [{"name": "c", "restartCount": 3}]}}));
    world.merge(unready, json!({"status": {"conditions": []}}));
    world.merge(nodeless, json!({"spec": {"nodeName": null}}));
    world.merge(pending, json!({"status": {"phase": "Pending"}}));
    world.pass(60);
    ready(&mut world, young, "2026-01-01T00:00:30Z");
    let view = &world.view;
    let all: Vec<&Arc<Object>> = all.iter().map(|key| view.at(key).unwrap()).collect();
    let order = rank::least_missed(&all, &all, world.now, 7);
    let order: Vec<&str> = order.into_iter().map(|pod| pod.name()).collect();
    assert_eq!(order, ["nodeless", "pending", "unready", "cheap", "young", "restarted", "calm"]);
}

#[test]
fn pods_that_crowd_a_node_go_before_those_that_are_alone() {
    let mut world = world();
    let spread = ["n1", "n2", "n2", "n2"].iter().enumerate().map(|(at, node)| {
        let key = pod(&mut world, &format!("p{at}"), Some("uid"), json!({"app": "web"}));
        world.merge(&key, json!({"spec": {"nodeName": node}}));
        key
    });
    let keys: Vec<ObjectKey> = spread.collect();
    let all: Vec<&Arc<Object>> = keys.iter().map(|key| world.view.at(key).unwrap()).collect();
    let last = rank::least_missed(&all, &all, world.now, 4).pop().unwrap();
    assert_eq!(last.name(), "p0");
}

#[test]
fn a_pod_is_available_after_it_was_ready_for_long_enough() {
    let mut world = world();
    let key = set(&mut world, 1, 10);
    world.settle(&mut [&mut ReplicaSets::sets()]);
    let pod = pods(&world)[0].key().clone();
    let now = time::stamp(world.now);
    ready(&mut world, &pod, &now);
    let outcome = world.run_once(&mut ReplicaSets::sets(), &QueueKey::Object(key.clone()));
    assert_eq!(outcome.again_in, Some(std::time::Duration::from_secs(10)));
    assert_eq!(status(&world, &key)["availableReplicas"], Value::Null);
    world.pass(10);
    world.run_once(&mut ReplicaSets::sets(), &QueueKey::Object(key.clone()));
    assert_eq!(status(&world, &key)["availableReplicas"], 1);
}

#[test]
fn a_refused_pod_is_told_of_once_and_forgotten_when_it_works() {
    let mut world = world();
    let key = set(&mut world, 1, 0);
    let queued = QueueKey::Object(key.clone());
    let outcome = ReplicaSets::sets().reconcile(&queued, world.turn());
    let refusal = Status::forbidden(&POD, "rs-x", "exceeded quota");
    let said = ReplicaSets::sets().refused(&queued, &outcome.intents[0], &refusal, world.turn());
    for intent in &said.intents {
        world.carry_out(intent).unwrap();
    }
    let message = "pods \"rs-x\" is forbidden: exceeded quota";
    assert_eq!(world.events, [("FailedCreate".to_owned(), format!("Error creating: {message}"))]);
    let condition = status(&world, &key)["conditions"][0].clone();
    assert_eq!((&condition["type"], &condition["message"]), (&json!("ReplicaFailure"), &json!(message)));
    world.settle(&mut [&mut ReplicaSets::sets()]);
    assert_eq!(status(&world, &key)["conditions"], Value::Null);
}

#[test]
fn terminating_pods_are_counted_apart_and_replaced() {
    let mut world = world();
    let key = set(&mut world, 1, 0);
    world.settle(&mut [&mut ReplicaSets::sets()]);
    let first = pods(&world)[0].key().clone();
    world.merge(&first, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    world.settle(&mut [&mut ReplicaSets::sets()]);
    assert_eq!(pods(&world).len(), 2);
    assert_eq!(
        (&status(&world, &key)["replicas"], &status(&world, &key)["terminatingReplicas"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn nothing_is_created_where_nothing_may_be() {
    let mut world = world();
    let key = set(&mut world, 3, 0);
    let namespace = ObjectKey::new(&gantry_kinds::NAMESPACE, "", "web");
    world.merge(&namespace, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}}));
    world.settle(&mut [&mut ReplicaSets::sets()]);
    assert!(pods(&world).is_empty());
    assert_eq!(status(&world, &key)["replicas"], 0);
}

#[test]
fn a_replication_controller_has_its_labels_as_selector() {
    let mut world = world();
    let key = world.put(
        &REPLICATION_CONTROLLER,
        json!({"metadata": {"name": "rc", "namespace": "web"}, "spec": {
            "replicas": 2, "selector": {"app": "web"},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}},
        }}),
    );
    pod(&mut world, "orphan", None, json!({"app": "web"}));
    world.settle(&mut [&mut ReplicaSets::controllers()]);
    assert_eq!(pods(&world).len(), 2);
    assert!(pods(&world).iter().all(|pod| pod.controller().is_some_and(|c| c.kind == "ReplicationController")));
    assert_eq!(status(&world, &key), json!({"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}));
}
