//! Custom kinds from their definition to their objects.

use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, KindRef};

use super::*;

fn definition(schema: Value) -> Value {
    json!({
        "metadata": {"name": "foos.g.io"},
        "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [
                {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size",
                        "statusReplicasPath": ".status.size"}}},
                {"name": "v2", "served": true, "storage": false, "deprecated": true, "schema": {"openAPIV3Schema":
                    {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}})
}

fn world() -> (World, KindRef, KindRef) {
    let mut world = World::new();
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer", "maximum": 5}, "color": {"type": "string", "default": "red"},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}},
            "x-kubernetes-validations": [{"rule": "!has(self.size) || self.size != 3", "message": "not three"}]},
        "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}});
    world.create(&CUSTOM_RESOURCE_DEFINITION, "", definition(schema)).expect("a definition");
    let kind = |version| world.view.by_resource("g.io", version, "foos").expect("it is established at once");
    let (v1, v2) = (kind("v1"), kind("v2"));
    (world, v1, v2)
}

fn foo(name: &str, version: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("g.io/{version}"), "kind": "Foo", "metadata": {"name": name}, "spec": spec})
}

#[test]
fn a_definition_is_established_with_its_names() {
    let (mut world, ..) = world();
    let there = world.get(&CUSTOM_RESOURCE_DEFINITION, "", "foos.g.io").unwrap();
    assert_eq!(there["status"]["acceptedNames"]["listKind"], "FooList");
    let conditions: Vec<_> =
        there["status"]["conditions"].as_array().unwrap().iter().map(|c| (&c["type"], &c["status"])).collect();
    assert_eq!(conditions, [(&json!("NamesAccepted"), &json!("True")), (&json!("Established"), &json!("True"))]);
    let mut rival = definition(json!({"type": "object"}));
    rival["metadata"]["name"] = json!("bars.g.io");
    rival["spec"]["names"]["plural"] = json!("bars");
    let (_, rival) = world.create(&CUSTOM_RESOURCE_DEFINITION, "", rival).unwrap();
    assert_eq!(rival["status"]["conditions"][0]["reason"], "ListKindConflict");
    assert_eq!(rival["status"]["acceptedNames"], json!({"plural": "bars", "kind": ""}));
    assert_eq!(world.view.by_resource("g.io", "v1", "bars"), None);
    let (_, going) =
        world.delete(&CUSTOM_RESOURCE_DEFINITION, "", "foos.g.io", DeleteOptions::default()).expect("it is marked");
    assert_eq!(going["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    let v1 = world.view.by_resource("g.io", "v1", "foos").expect("it is served until its objects are gone");
    assert_eq!(world.create(v1, "web", foo("a", "v1", json!({}))).unwrap_err().code, 403);
}

#[test]
fn objects_are_pruned_defaulted_and_checked() {
    let (mut world, v1, _) = world();
    let (code, made) = world.create(v1, "web", foo("a", "v1", json!({"size": 1, "zzz": 1}))).unwrap();
    assert_eq!((code, &made["spec"]), (201, &json!({"size": 1, "color": "red"})));
    assert_eq!(made["metadata"]["generation"], 1);
    assert_eq!(
        made["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"],
        json!({".": {}, "f:color": {}, "f:size": {}})
    );
    let refused = |world: &mut World, body: Value| world.create(v1, "web", body).unwrap_err().message;
    let text = refused(&mut world, foo("b", "v1", json!({"size": 9})));
    assert!(
        text.ends_with("spec.size: Invalid value: 9: spec.size in body should be less than or equal to 5"),
        "{text}"
    );
    assert!(
        refused(&mut world, foo("b", "v1", json!({"size": 3}))).ends_with("spec: Invalid value: \"object\": not three")
    );
    assert!(refused(&mut world, foo("b", "v2", json!({}))).starts_with("the API version in the data (g.io/v2)"));
    let mut other = foo("b", "v1", json!({}));
    other["kind"] = json!("Bar");
    assert_eq!(refused(&mut world, other), "Bar.g.io \"b\" is invalid: kind: Invalid value: \"Bar\": must be Foo");
}

#[test]
fn status_and_scale_go_their_own_ways() {
    let (mut world, v1, _) = world();
    let mut body = foo("a", "v1", json!({"size": 1}));
    body["status"] = json!({"size": 4});
    let (_, made) = world.create(v1, "web", body).unwrap();
    assert_eq!(made.get("status"), None);
    let mut ask = request(
        v1,
        "web",
        "a",
        Operation::Patch(PatchKind::Merge, json!({"status": {"size": 2}, "spec": {"size": 5}}).into()),
    );
    ask.target.subresource = "status".to_owned();
    let (_, made) = world.execute(&ask).unwrap();
    assert_eq!(
        (&made["status"], &made["spec"]["size"], &made["metadata"]["generation"]),
        (&json!({"size": 2}), &json!(1), &json!(1))
    );
    ask.target.subresource = "scale".to_owned();
    ask.operation = Operation::Patch(PatchKind::Merge, json!({"spec": {"replicas": 2}}).into());
    let (_, scale) = world.execute(&ask).unwrap();
    assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&json!(2), &json!(2)));
    let there = world.get(v1.home(), "web", "a").unwrap();
    assert_eq!((&there["spec"]["size"], &there["metadata"]["generation"]), (&json!(2), &json!(2)));
}

#[test]
fn every_version_sees_one_stored_object() {
    let (mut world, v1, v2) = world();
    world.create(v2, "web", foo("a", "v2", json!({"size": 1}))).unwrap();
    assert_eq!(world.get(v1.home(), "web", "a").unwrap()["apiVersion"], "g.io/v1");
    let object = world.view.get(v1.home(), "web", "a").unwrap().clone();
    let present = |kind| match Lens::of(&world.view, kind).unwrap().open(object.value()) {
        Opened::Seen(seen) => seen,
        Opened::Foreign(object) => panic!("nobody converts {object}"),
    };
    // The defaults are those of the version that is stored.
    let seen = present(v2);
    assert_eq!((&seen["apiVersion"], &seen["spec"]), (&json!("g.io/v2"), &json!({"size": 1, "color": "red"})));
    assert_eq!(present(v1)["spec"], json!({"size": 1, "color": "red"}));
    let (_, patched) = world.patch(v1, "web", "a", json!({"spec": {"size": 2}})).unwrap();
    assert_eq!((&patched["apiVersion"], &patched["spec"]["color"]), (&json!("g.io/v1"), &json!("red")));
    world.delete(v1.home(), "web", "a", DeleteOptions::default()).expect("controllers do not care for versions");
}

#[test]
fn applied_fields_are_owned_as_the_schema_merges_them() {
    let (mut world, v1, _) = world();
    let apply = |body: Value, manager: &str| {
        let mut ask = request(v1, "web", "a", Operation::Patch(PatchKind::Apply, body.into()));
        ask.options.field_manager = manager.to_owned();
        ask
    };
    world.execute(&apply(foo("a", "v1", json!({"set": ["x"], "size": 1})), "one")).unwrap();
    let (_, both) = world.execute(&apply(foo("a", "v1", json!({"set": ["y"]})), "two")).unwrap();
    assert_eq!(both["spec"]["set"], json!(["x", "y"]));
    let conflict = world.execute(&apply(foo("a", "v1", json!({"size": 2})), "two")).unwrap_err();
    assert_eq!(conflict.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.size");
    let unknown = world.execute(&apply(foo("a", "v1", json!({"zzz": 2})), "two")).unwrap_err();
    assert!(unknown.message.ends_with(".spec.zzz: field not declared in schema"), "{}", unknown.message);
    let strategic = request(v1, "web", "a", Operation::Patch(PatchKind::Strategic, json!({}).into()));
    assert_eq!(world.execute(&strategic).unwrap_err().code, 415);
}

#[test]
fn fields_of_what_is_not_declared_are_owned_one_by_one() {
    let mut world = World::new();
    let mut definition = definition(json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}));
    definition["spec"]["versions"].as_array_mut().unwrap().truncate(1);
    world.create(&CUSTOM_RESOURCE_DEFINITION, "", definition).unwrap();
    let v1 = world.view.by_resource("g.io", "v1", "foos").unwrap();
    let owned = |object: &Value| object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"].clone();
    let (_, made) = world.create(v1, "web", foo("a", "v1", json!({"a": {"b": 1, "c": [1, {"d": 2}]}}))).unwrap();
    let expected = json!({".": {}, "f:a": {".": {}, "f:b": {}, "f:c": {}}});
    assert_eq!(owned(&made), expected);
    let (_, changed) = world.patch(v1, "web", "a", json!({"spec": {"a": {"e": true}}})).unwrap();
    assert_eq!(owned(&changed)["f:a"]["f:e"], json!({}));
    let (_, flat) = world.patch(v1, "web", "a", json!({"spec": {"a": 7}})).unwrap();
    assert_eq!(owned(&flat), json!({".": {}, "f:a": {}}));
}
