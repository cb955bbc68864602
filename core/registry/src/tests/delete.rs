use gantry_kinds::{CONFIG_MAP, NAMESPACE, POD, POD_DISRUPTION_BUDGET, REPLICATION_CONTROLLER, SERVICE_ACCOUNT};
use serde_json::json;

use super::*;

fn policy(propagation: &str) -> DeleteOptions {
    DeleteOptions { propagation: Some(propagation.to_owned()), ..DeleteOptions::default() }
}

fn grace(seconds: i64) -> DeleteOptions {
    DeleteOptions { grace_seconds: Some(seconds), ..DeleteOptions::default() }
}

#[test]
fn what_nothing_holds_is_gone_at_once() {
    let mut world = World::new();
    let (_, made) = world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}})).expect("created");
    let uid = made["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let why = format!(
        "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (foo) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
    );
    let other = DeleteOptions { uid: Some("foo".to_owned()), ..DeleteOptions::default() };
    refused(world.delete(&CONFIG_MAP, "web", "a", other), 409, &why);
    let (code, reply) = world.delete(&CONFIG_MAP, "web", "a", DeleteOptions::default()).expect("deleted");
    let details = json!({"name": "a", "kind": "configmaps", "uid": uid});
    assert_eq!((code, &reply["status"], &reply["details"]), (200, &json!("Success"), &details));
    refused(world.delete(&CONFIG_MAP, "web", "a", policy("Background")), 404, "configmaps \"a\" not found");
    let (_, reply) = world.delete(&SERVICE_ACCOUNT, "web", "default", DeleteOptions::default()).expect("deleted");
    assert_eq!(reply["kind"], "ServiceAccount");
    refused(
        world.delete(&NAMESPACE, "", "web", policy("Foo")),
        422,
        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Foo\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
    );
}

#[test]
fn finalizers_hold_and_their_removal_lets_go() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "a", "finalizers": ["a.io/b"]}});
    world.create(&CONFIG_MAP, "web", body).expect("created");
    let (_, reply) = world.delete(&CONFIG_MAP, "web", "a", DeleteOptions::default()).expect("marked");
    assert_eq!(reply["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(reply["metadata"]["deletionGracePeriodSeconds"], 0);
    let (_, again) = world.delete(&CONFIG_MAP, "web", "a", DeleteOptions::default()).expect("marked already");
    assert_eq!(again["metadata"]["resourceVersion"], reply["metadata"]["resourceVersion"]);
    let (_, orphan) = world.delete(&CONFIG_MAP, "web", "a", policy("Orphan")).expect("marked further");
    assert_eq!(orphan["metadata"]["finalizers"], json!(["a.io/b", "orphan"]));
    world.patch(&CONFIG_MAP, "web", "a", json!({"metadata": {"finalizers": ["orphan"]}})).expect("one less");
    assert!(world.get(&CONFIG_MAP, "web", "a").is_some());
    world.patch(&CONFIG_MAP, "web", "a", json!({"metadata": {"finalizers": null}})).expect("none left");
    assert!(world.get(&CONFIG_MAP, "web", "a").is_none());
}

#[test]
fn the_mark_of_a_deletion_counts_the_generation_once() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "a", "finalizers": ["a.io/b"]}, "spec": {"minAvailable": 1}});
    world.create(&POD_DISRUPTION_BUDGET, "web", body).expect("created");
    for _ in 0..2 {
        let (_, reply) = world.delete(&POD_DISRUPTION_BUDGET, "web", "a", DeleteOptions::default()).expect("marked");
        assert_eq!(reply["metadata"]["generation"], 2);
    }
}

#[test]
fn foreground_deletion_waits_for_the_collector() {
    let mut world = World::new();
    world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "a"}})).expect("created");
    let (_, reply) = world.delete(&CONFIG_MAP, "web", "a", policy("Foreground")).expect("marked");
    assert_eq!(reply["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let (_, reply) = world.delete(&CONFIG_MAP, "web", "a", policy("Background")).expect("gone");
    assert_eq!(reply["status"], "Success");
}

#[test]
fn the_mark_of_a_deletion_is_a_generation_of_its_own() {
    let mut world = World::new();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let body = json!({"metadata": {"name": "t", "finalizers": ["a.io/b"]}, "template": template});
    let (_, made) = world.create(&gantry_kinds::kinds::pod_template::POD_TEMPLATE, "web", body).expect("created");
    assert_eq!(made["metadata"]["generation"], 1);
    for _ in 0..2 {
        let kind = &gantry_kinds::kinds::pod_template::POD_TEMPLATE;
        let (_, reply) = world.delete(kind, "web", "t", DeleteOptions::default()).expect("marked");
        assert_eq!(reply["metadata"]["generation"], 2);
    }
}

#[test]
fn pods_are_given_time_which_may_be_shortened() {
    let mut world = World::new();
    world.create(&POD, "web", pod("p", json!({"terminationGracePeriodSeconds": 30}))).expect("created");
    let bind = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}});
    world.execute(&sub(request(&POD, "web", "p", Operation::Create(bind.into())), "binding")).expect("bound");
    let (_, reply) = world.delete(&POD, "web", "p", DeleteOptions::default()).expect("marked");
    let meta = |reply: &Value| {
        let meta = &reply["metadata"];
        json!([meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"], meta["generation"]])
    };
    assert_eq!(meta(&reply), json!(["2026-01-01T00:00:30Z", 30, 2]));
    let (_, reply) = world.delete(&POD, "web", "p", grace(5)).expect("shortened");
    assert_eq!(meta(&reply), json!(["2026-01-01T00:00:05Z", 5, 2]));
    let (_, reply) = world.delete(&POD, "web", "p", grace(50)).expect("not longer");
    assert_eq!(meta(&reply), json!(["2026-01-01T00:00:05Z", 5, 2]));
    let (_, reply) = world.delete(&POD, "web", "p", grace(0)).expect("gone");
    assert_eq!(meta(&reply), json!(["2026-01-01T00:00:00Z", 0, 2]));
    assert!(world.get(&POD, "web", "p").is_none());
}

#[test]
fn a_pod_without_a_node_goes_at_once() {
    let mut world = World::new();
    world.create(&POD, "web", pod("p", json!({}))).expect("created");
    world.delete(&POD, "web", "p", DeleteOptions::default()).expect("gone");
    assert!(world.get(&POD, "web", "p").is_none());
}

#[test]
fn namespaces_are_marked_emptied_and_finalized() {
    let mut world = World::new();
    world.create(&NAMESPACE, "", json!({"metadata": {"name": "default"}})).expect("created");
    let why = "namespaces \"default\" is forbidden: this namespace may not be deleted";
    refused(world.delete(&NAMESPACE, "", "default", DeleteOptions::default()), 403, why);
    let (_, reply) = world.delete(&NAMESPACE, "", "web", DeleteOptions::default()).expect("marked");
    assert_eq!(
        (&reply["status"]["phase"], reply["metadata"].get("deletionGracePeriodSeconds")),
        (&json!("Terminating"), None)
    );
    let late = world.create(&CONFIG_MAP, "web", json!({"metadata": {"name": "y"}})).expect_err("refused");
    let why =
        "configmaps \"y\" is forbidden: unable to create new content in namespace web because it is being terminated";
    assert_eq!((late.message.as_str(), late.causes[0].reason.as_str()), (why, "NamespaceTerminating"));
    let body = json!({"metadata": {"name": "web"}, "spec": {"finalizers": []}});
    let ask = sub(request(&NAMESPACE, "", "web", Operation::Update(body.into())), "finalize");
    world.execute(&ask).expect("finalized");
    assert!(world.get(&NAMESPACE, "", "web").is_none());
}

#[test]
fn replication_controllers_let_go_of_their_pods_unless_told_otherwise() {
    let mut world = World::new();
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    for (name, options, finalizers) in
        [("silent", DeleteOptions::default(), Some(json!(["orphan"]))), ("told", policy("Background"), None)]
    {
        let spec = json!({"selector": {"a": "b"}, "template": template});
        let body = json!({"metadata": {"name": name}, "spec": spec});
        world.create(&REPLICATION_CONTROLLER, "web", body).expect("created");
        world.delete(&REPLICATION_CONTROLLER, "web", name, options).expect("deleted");
        let left = world.get(&REPLICATION_CONTROLLER, "web", name);
        assert_eq!(left.map(|left| left["metadata"]["finalizers"].clone()), finalizers, "{name}");
    }
}
