//! What definitions are refused for, in upstream's words.

use serde_json::{Value, json};

use super::CUSTOM_RESOURCE_DEFINITION;

fn definition(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "foos.g.io"},
        "spec": {"group": "g.io", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]}});
    change(&mut object);
    CUSTOM_RESOURCE_DEFINITION.strategy.default(&mut object);
    CUSTOM_RESOURCE_DEFINITION.strategy.prepare_create(&mut object);
    object
}

fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let found = CUSTOM_RESOURCE_DEFINITION.strategy.validate(&definition(change));
    assert_eq!(found.iter().map(|e| e.to_string()).collect::<Vec<_>>(), expected);
}

fn field(schema: Value, expected: &[&str]) {
    let prefix = "spec.validation.openAPIV3Schema.properties[a]";
    let expected: Vec<String> = expected.iter().map(|text| format!("{prefix}{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(
        |o| {
            o["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
                json!({"type": "object", "properties": {"a": schema}})
        },
        &expected,
    );
}

#[test]
fn names_follow_from_the_kind() {
    let object = definition(|_| {});
    assert_eq!(
        object["spec"]["names"],
        json!({"plural": "foos", "singular": "foo", "kind": "Foo", "listKind": "FooList"})
    );
    assert_eq!(object["status"]["storedVersions"], json!(["v1"]));
    check(|_| {}, &[]);
    let name = "metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group";
    check(|o| o["metadata"]["name"] = json!("x"), &[name]);
    let scope = "spec.scope: Unsupported value: \"X\": supported values: \"Cluster\", \"Namespaced\"";
    check(|o| o["spec"]["scope"] = json!("X"), &[scope]);
    let schema = "spec.versions[0].schema.openAPIV3Schema: Required value";
    check(|o| o["spec"]["versions"][0]["schema"] = json!({}), &[schema]);
}

#[test]
fn schemas_are_structural() {
    field(json!({}), &[".type: Required value: must not be empty for specified object fields"]);
    field(json!({"type": "array"}), &[".items: Required value: must be specified"]);
    field(
        json!({"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
        &[".additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"],
    );
    field(
        json!({"type": "string", "default": 1}),
        &[".default: Invalid value: \"integer\":  in body must be of type string: \"integer\""],
    );
    field(
        json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
        &[".x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"],
    );
    field(
        json!({"type": "string", "anyOf": [{"type": "string", "default": "y"}]}),
        &[
            ".anyOf[0].default: Forbidden: must be undefined to be structural",
            ".anyOf[0].type: Forbidden: must be empty to be structural",
        ],
    );
}

#[test]
fn rules_compile_and_have_a_price() {
    field(json!({"type": "string", "x-kubernetes-validations": [{"rule": "self.size() < 5"}]}), &[]);
    let many = "estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding \
        maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)";
    let schema = json!({"type": "array", "items": {"type": "array", "items": {"type": "string"}},
        "x-kubernetes-validations": [{"rule": "self.all(x, x.all(y, y.contains('a')))"}]});
    let object = definition(|o| {
        o["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"a": schema}});
    });
    let found = CUSTOM_RESOURCE_DEFINITION.strategy.validate(&object);
    assert!(found[0].message.ends_with(many), "{}", found[0]);
    assert_eq!(found.len(), 3);
}

#[test]
fn a_version_that_objects_may_be_stored_in_stays() {
    let old = definition(|_| {});
    let mut new = definition(|o| o["spec"]["versions"][0]["name"] = json!("v2"));
    new["status"]["storedVersions"] = json!(["v1", "v2"]);
    let found = CUSTOM_RESOURCE_DEFINITION.strategy.validate_update(&new, &old, crate::Update::Main);
    assert!(
        found[0].to_string().starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions")
    );
}
