//! Components of custom resources: the schema of the definition, with what every object has.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{Served, prose, reference};

/// A built-in kind that has nothing but what every object has, and its data.
const MODEL: &str = "io.k8s.api.core.v1.ConfigMap";

pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
pub(super) const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The name of the component of a custom resource: `com.example.v1.Foo`.
pub fn component_name(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

/// Adds the component of a custom resource and that of its lists.
pub(super) fn add(schemas: &mut Map<String, Value>, resource: &Served<'_>, schema: &Value) {
    let mut component = if schema.is_object() { schema.clone() } else { json!({"type": "object"}) };
    let properties = &mut component["properties"];
    if !properties.is_object() {
        *properties = json!({});
    }
    for (name, property) in type_meta() {
        properties[name] = property;
    }
    properties["metadata"] = json!({"description": described("metadata"), "allOf": [reference(OBJECT_META)]});
    if component.get("type").is_none() {
        component["type"] = json!("object");
    }
    mark(&mut component, resource, resource.kind);
    let mut properties: Map<String, Value> = type_meta().into_iter().map(|(n, p)| (n.to_owned(), p)).collect();
    let items = json!({"description": format!("The {} of this page.", resource.plural), "type": "array",
        "items": reference(resource.schema)});
    properties.insert("items".to_owned(), items);
    let metadata = json!({"description": "Of the list: its revision, and where the next page begins.",
        "allOf": [reference(LIST_META)]});
    properties.insert("metadata".to_owned(), metadata);
    let kind = format!("{}List", resource.kind);
    let mut list = json!({"description": format!("{kind} is a list of {}", resource.kind), "type": "object",
        "required": ["items"], "properties": properties});
    mark(&mut list, resource, &kind);
    schemas.insert(resource.schema.to_owned(), component);
    schemas.insert(format!("{}List", resource.schema), list);
}

fn type_meta() -> [(&'static str, Value); 2] {
    ["apiVersion", "kind"].map(|name| (name, json!({"description": described(name), "type": "string"})))
}

/// What is said of a field that every object has, in the words of the built-in kinds.
fn described(field: &str) -> &'static str {
    static WORDS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| prose::of([MODEL].into_iter()));
    let of_model = |model: &'static Value| model["properties"][field]["description"].as_str();
    WORDS.get(MODEL).and_then(of_model).unwrap_or_default()
}

fn mark(component: &mut Value, resource: &Served<'_>, kind: &str) {
    let names = json!([{"group": resource.group, "kind": kind, "version": resource.version}]);
    component["x-kubernetes-group-version-kind"] = names;
    if !resource.selectable.is_empty() {
        let fields = resource.selectable.iter().map(|path| json!({"fieldPath": path}));
        component["x-kubernetes-selectable-fields"] = fields.collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_gets_what_every_object_has() {
        let schema = json!({"type": "object", "description": "A foo.", "properties": {"spec": {"type": "object"}}});
        let selectable = vec!["spec.a".to_owned()];
        let served = Served {
            plural: "foos",
            kind: "Foo",
            group: "front.example.com",
            version: "v1",
            namespaced: true,
            verbs: &["get"],
            schema: "com.example.front.v1.Foo",
            custom: Some(&schema),
            selectable,
            subresources: Vec::new(),
        };
        assert_eq!(component_name(served.group, "v1", "Foo"), served.schema);
        let mut all = Map::new();
        add(&mut all, &served, &schema);
        let foo = &all["com.example.front.v1.Foo"];
        assert_eq!(foo["properties"].as_object().unwrap().len(), 4);
        let told = foo["properties"]["apiVersion"]["description"].as_str();
        assert!(told.is_some_and(|told| told.starts_with("APIVersion defines")));
        assert_eq!(foo["x-kubernetes-selectable-fields"], json!([{"fieldPath": "spec.a"}]));
        assert_eq!(all["com.example.front.v1.FooList"]["required"], json!(["items"]));
        add(&mut all, &served, &json!({"x-kubernetes-preserve-unknown-fields": true}));
        assert_eq!(all["com.example.front.v1.Foo"]["properties"].as_object().unwrap().len(), 3);
    }
}
