//! Objects of versions between which a webhook converts.

use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, KindRef};

use super::*;

fn definition() -> Value {
    let version = |name: &str, storage: bool, properties: Value| {
        json!({"name": name, "served": true, "storage": storage,
            "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": properties},
                "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}})
    };
    let (text, number) = (json!({"type": "string"}), json!({"type": "integer"}));
    json!({
        "metadata": {"name": "foos.g.io"},
        "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"],
                "clientConfig": {"url": "https://example.com/convert"}}},
            "versions": [
                version("v1", true, json!({"host": text, "port": text, "size": number,
                    "first": {"type": "string", "default": "one"}})),
                version("v2", false, json!({"place": text, "size": number}))]}})
}

/// `host` and `port` of v1 are `place` of v2.
fn convert(conversion: &Conversion) -> crate::Converted {
    let one = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = conversion.to.clone().into();
        let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return object };
        if conversion.to.ends_with("v2") {
            if let (Some(host), Some(port)) = (spec.remove("host"), spec.remove("port")) {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                spec.insert("place".to_owned(), format!("{}:{}", text(&host), text(&port)).into());
            }
        } else if let Some(Value::String(place)) = spec.remove("place") {
            let (host, port) = place.split_once(':').expect("both");
            spec.insert("host".to_owned(), host.into());
            spec.insert("port".to_owned(), port.into());
        }
        spec.insert("undeclared".to_owned(), true.into());
        object
    };
    Ok(conversion.objects.iter().map(one).collect())
}

fn world() -> (World, KindRef, KindRef) {
    let mut world = World::new();
    world.webhook = convert;
    world.create(&CUSTOM_RESOURCE_DEFINITION, "", definition()).expect("a definition");
    let kind = |version| world.view.by_resource("g.io", version, "foos").expect("it is served");
    let (v1, v2) = (kind("v1"), kind("v2"));
    (world, v1, v2)
}

fn foo(version: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("g.io/{version}"), "kind": "Foo", "metadata": {"name": "a"}, "spec": spec})
}

#[test]
fn what_is_written_in_another_version_is_stored_converted_and_answered_as_it_reads() {
    let (mut world, v1, v2) = world();
    let (code, made) = world.create(v2, "web", foo("v2", json!({"place": "h:1"}))).unwrap();
    assert_eq!((code, &made["apiVersion"], &made["spec"]), (201, &json!("g.io/v2"), &json!({"place": "h:1"})));
    let there = world.get(v1.home(), "web", "a").unwrap();
    assert_eq!((&there["apiVersion"], &there["spec"]), (&json!("g.io/v1"), &json!({"host": "h", "port": "1"})));
    let (_, patched) = world.patch(v2, "web", "a", json!({"spec": {"place": "h:2"}})).unwrap();
    assert_eq!((&patched["spec"]["place"], &patched["metadata"]["generation"]), (&json!("h:2"), &json!(2)));
    let (_, same) = world.patch(v2, "web", "a", json!({"spec": {"place": "h:2"}})).unwrap();
    assert_eq!(same["metadata"]["resourceVersion"], patched["metadata"]["resourceVersion"]);
    let (_, updated) = world
        .update(v1, "web", {
            let mut object = world.get(v1.home(), "web", "a").unwrap();
            object["spec"]["port"] = json!("3");
            object
        })
        .unwrap();
    assert_eq!(updated["spec"], json!({"host": "h", "port": "3", "first": "one"}));
}

#[test]
fn subresources_of_another_version_are_written_through_it() {
    let (mut world, v1, v2) = world();
    world.create(v1, "web", foo("v1", json!({"host": "h", "port": "1", "size": 1}))).unwrap();
    let mut ask = sub(
        request(v2, "web", "a", Operation::Patch(PatchKind::Merge, json!({"status": {"size": 4}}).into())),
        "status",
    );
    let (_, shown) = world.execute(&ask).unwrap();
    assert_eq!((&shown["apiVersion"], &shown["status"]), (&json!("g.io/v2"), &json!({"size": 4})));
    ask = sub(
        request(v2, "web", "a", Operation::Patch(PatchKind::Merge, json!({"spec": {"replicas": 2}}).into())),
        "scale",
    );
    let (_, scale) = world.execute(&ask).unwrap();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(2), &json!(4)));
    let there = world.get(v1.home(), "web", "a").unwrap();
    assert_eq!((&there["apiVersion"], &there["spec"]["size"]), (&json!("g.io/v1"), &json!(2)));
}

#[test]
fn objects_move_to_the_new_stored_version_when_they_are_written() {
    let (mut world, v1, _) = world();
    world.create(v1, "web", foo("v1", json!({"host": "h", "port": "1"}))).unwrap();
    let storage = json!({"spec": {"versions": [
        {"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
        {"name": "v2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    world.patch(&CUSTOM_RESOURCE_DEFINITION, "", "foos.g.io", storage).unwrap();
    let version = |world: &World| world.get(v1.home(), "web", "a").unwrap()["apiVersion"].clone();
    assert_eq!(version(&world), "g.io/v1");
    let v1 = world.view.by_resource("g.io", "v1", "foos").unwrap();
    world.patch(v1, "web", "a", json!({})).unwrap();
    assert_eq!(version(&world), "g.io/v2");
}

#[test]
fn a_webhook_that_fails_is_told_of_and_keeps_no_controller_from_its_work() {
    let (mut world, v1, v2) = world();
    world.create(v1, "web", foo("v1", json!({"host": "h", "port": "1"}))).unwrap();
    world.webhook = absent;
    let failed = |version: &str| format!("conversion webhook for g.io/{version}, Kind=Foo failed: nobody is there");
    let mut other = foo("v2", json!({}));
    other["metadata"]["name"] = json!("b");
    refused(world.create(v2, "web", other), 500, &failed("v2"));
    let revision = world.view.get(v1.home(), "web", "a").unwrap().header.revision;
    let not_decodable = format!("object not decodable revision={revision}: {}", failed("v1"));
    refused(world.patch(v2, "web", "a", json!({"spec": {}})), 500, &not_decodable);
    let deleted = world.delete(v2, "web", "a", DeleteOptions::default());
    let corrupt = "Internal error occurred: StorageError: corrupt object, Code: 7, Key: /g.io/foos/web/a, \
        ResourceVersion: 0, AdditionalErrorMsg: ";
    refused(deleted, 500, &format!("{corrupt}{not_decodable}"));
    world.patch(v1.home(), "web", "a", json!({"metadata": {"labels": {"a": "b"}}})).expect("metadata alone");
    world.delete(v1.home(), "web", "a", DeleteOptions::default()).expect("nobody is asked");
}

#[test]
fn what_managers_own_is_compared_in_their_version() {
    let (mut world, v1, v2) = world();
    let apply = |kind: KindRef, body: Value, manager: &str| {
        let mut ask = request(kind, "web", "a", Operation::Patch(PatchKind::Apply, body.into()));
        ask.options.field_manager = manager.to_owned();
        ask
    };
    world.execute(&apply(v1, foo("v1", json!({"host": "h", "port": "1"})), "one")).unwrap();
    let conflict = world.execute(&apply(v2, foo("v2", json!({"place": "h:2"})), "two")).unwrap_err();
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.port");
    let (_, merged) = world.execute(&apply(v2, foo("v2", json!({"size": 3})), "two")).unwrap();
    assert_eq!(merged["spec"], json!({"place": "h:1", "size": 3}));
    // The same manager in another version has one entry, and gives up what he applied before.
    let (_, moved) = world.execute(&apply(v2, foo("v2", json!({"place": "h:1"})), "one")).unwrap();
    let owners: Vec<(&str, &str)> = moved["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["manager"].as_str().unwrap(), entry["apiVersion"].as_str().unwrap()))
        .collect();
    assert_eq!(owners, [("one", "g.io/v2"), ("two", "g.io/v2")]);
    world.patch(v1, "web", "a", json!({"spec": {"port": "7"}})).unwrap();
    let there = world.get(v1.home(), "web", "a").unwrap();
    let owned = |manager: &str| {
        let entries = there["metadata"]["managedFields"].as_array().unwrap();
        entries.iter().find(|entry| entry["manager"] == manager).map(|entry| entry["fieldsV1"].clone())
    };
    assert_eq!(owned("one"), None, "another took his field, in another version");
    assert!(owned("two").is_some() && owned("test").is_some());
}
