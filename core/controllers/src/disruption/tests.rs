//! Budgets over small clusters.

use gantry_kinds::REPLICA_SET;
use gantry_view::ObjectKey;

use super::*;
use crate::harness::World;

fn pod(world: &mut World, name: &str, ready: bool, owner: Option<&str>) -> ObjectKey {
    let owners = owner.map_or(
        json!([]),
        |uid| json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": uid, "controller": true}]),
    );
    let metadata = json!({"name": name, "namespace": "web", "labels": {"a": "b"}, "ownerReferences": owners});
    let status = if ready { "True" } else { "False" };
    let conditions = json!([{"type": "Ready", "status": status}]);
    world.put(&POD, json!({"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}))
}

fn counts(world: &World, key: &ObjectKey) -> [i64; 4] {
    let status = world.view.at(key).unwrap().value()["status"].clone();
    ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"].map(|k| status[k].as_i64().unwrap())
}

fn budget(world: &mut World, spec: Value) -> ObjectKey {
    world.put(&POD_DISRUPTION_BUDGET, json!({"metadata": {"name": "b", "namespace": "web"}, "spec": spec}))
}

#[test]
fn what_may_go_is_what_is_healthy_beyond_what_must_be() {
    let mut world = World::new();
    let selector = json!({"matchLabels": {"a": "b"}});
    let key = budget(&mut world, json!({"minAvailable": 1, "selector": selector}));
    pod(&mut world, "one", true, None);
    pod(&mut world, "two", true, None);
    pod(&mut world, "ill", false, None);
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [3, 1, 2, 1]);
    // Nobody manages these pods, so that a percentage is one of nothing.
    budget(&mut world, json!({"minAvailable": "50%", "selector": selector}));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [0, 0, 2, 0]);
    budget(&mut world, json!({"minAvailable": 1}));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [0, 1, 0, 0]);
}

#[test]
fn shares_are_those_of_the_scale_and_evictions_count_until_their_pods_are_gone() {
    let mut world = World::new();
    let set = world.put(&REPLICA_SET, json!({"metadata": {"name": "rs", "namespace": "web"}, "spec": {"replicas": 5}}));
    let uid = world.view.at(&set).unwrap().uid().to_owned();
    for name in ["1", "2", "3", "4", "5"] {
        pod(&mut world, name, true, Some(&uid));
    }
    let selector = json!({"matchLabels": {"a": "b"}});
    let key = budget(&mut world, json!({"maxUnavailable": "30%", "selector": selector}));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [5, 3, 5, 2]);
    let now = time::stamp(world.turn().now);
    world.merge(&key, json!({"status": {"disruptedPods": {"1": now, "gone": now, "2": "2001-01-01T00:00:00Z"}}}));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [5, 3, 4, 1]);
    let left = world.view.at(&key).unwrap().value()["status"]["disruptedPods"].clone();
    assert_eq!(left, json!({"1": now}));
}

#[test]
fn what_cannot_be_counted_is_said_and_nobody_may_go() {
    let mut world = World::new();
    let key = budget(&mut world, json!({"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}));
    let of = |world: &mut World, owner: Value| {
        let metadata = json!({"name": "p", "namespace": "web", "labels": {"a": "b"}, "ownerReferences": [owner]});
        world.put(&POD, json!({"metadata": metadata, "status": {"phase": "Running"}}));
        world.settle(&mut [&mut Disruption]);
        let status = world.view.at(&key).unwrap().value()["status"].clone();
        assert_eq!(status["disruptionsAllowed"], 0);
        let condition = &status["conditions"][0];
        [condition["reason"].clone(), condition["message"].clone()].map(|text| text.as_str().unwrap().to_owned())
    };
    let owner = |version: &str, kind: &str| json!({"apiVersion": version, "kind": kind, "name": "o", "uid": "u", "controller": true});
    let [reason, why] = of(&mut world, owner("v1", "ConfigMap"));
    assert_eq!((reason.as_str(), why.as_str()), ("SyncFailed", "configmaps does not implement the scale subresource"));
    let [_, why] = of(&mut world, owner("g.io/v1", "Foo"));
    assert_eq!(why, "no matches for kind \"Foo\" in version \"g.io/v1\"");
    let [_, why] = of(&mut world, owner("apps/v1", "ReplicaSet"));
    assert_eq!(why, "found no controllers for pod \"p\"");
    assert!(world.events.iter().any(|(reason, _)| reason == "CalculateExpectedPodCountFailed"));
}

#[test]
fn custom_kinds_have_as_many_as_their_scale_says() {
    let mut world = World::new();
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}},
        "subresources": {"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}});
    let names = json!({"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"});
    let spec = json!({"group": "g.io", "scope": "Namespaced", "names": names, "versions": [version]});
    let established = json!([{"type": "Established", "status": "True"}, {"type": "NamesAccepted", "status": "True"}]);
    world.put(
        &gantry_kinds::CUSTOM_RESOURCE_DEFINITION,
        json!({"metadata": {"name": "foos.g.io"}, "spec": spec,
            "status": {"conditions": established, "acceptedNames": names, "storedVersions": ["v1"]}}),
    );
    let kind = world.view.by_kind("g.io", "v1", "Foo").unwrap().home();
    world.put(
        kind,
        json!({"apiVersion": "g.io/v1", "kind": "Foo", "metadata": {"name": "foo", "namespace": "web", "uid": "u"}, "spec": {"n": 4}}),
    );
    let owner = json!([{"apiVersion": "g.io/v1", "kind": "Foo", "name": "foo", "uid": "u", "controller": true}]);
    let metadata = json!({"name": "p", "namespace": "web", "labels": {"a": "b"}, "ownerReferences": owner});
    world.put(&POD, json!({"metadata": metadata, "status": {"phase": "Running"}}));
    let key = budget(&mut world, json!({"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}}));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(counts(&world, &key), [4, 3, 0, 0]);
}

#[test]
fn events_tell_of_budgets_that_do_not_mean_what_they_say() {
    let mut world = World::new();
    let spec = |labels: Value| json!({"maxUnavailable": 1, "selector": {"matchLabels": labels}});
    budget(&mut world, spec(json!({"a": "b"})));
    world.settle(&mut [&mut Disruption]);
    assert_eq!(world.events, [("NoPods".to_owned(), "No matching pods found".to_owned())]);
    pod(&mut world, "one", true, None);
    world.settle(&mut [&mut Disruption]);
    let (reason, text) = world.events.last().unwrap();
    assert_eq!(reason, "UnmanagedPods");
    let selector =
        "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}";
    assert!(text.contains(&format!("(selector: {selector}) were found")), "{text}");
    world.put(&POD_DISRUPTION_BUDGET, json!({"metadata": {"name": "a", "namespace": "web"}, "spec": spec(json!({}))}));
    world.settle(&mut [&mut Disruption]);
    let text = "Pod \"web\"/\"one\" matches multiple PodDisruptionBudgets.  Chose \"a\" arbitrarily.";
    assert!(world.events.contains(&("MultiplePodDisruptionBudgets".to_owned(), text.to_owned())), "{:?}", world.events);
}
