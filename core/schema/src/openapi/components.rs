//! `components.schemas`: every type that a document's roots reach.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{prose, reference};
use crate::types::{Field, Schema, Shape, Topology, Type};

pub(super) const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
pub(super) const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
pub(super) const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";
const TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Time";
const MICRO_TIME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime";
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
const FIELDS_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";

/// The type of lists of that type.
pub(super) fn list_type(type_name: &str) -> String {
    format!("{type_name}List")
}

/// All components that `roots` reach, by name.
pub(super) fn schemas(schema: &Schema, group: &str, version: &str, roots: &BTreeSet<String>) -> Map<String, Value> {
    let mut reached = BTreeMap::new();
    for root in roots {
        reach(schema, root, &mut reached);
    }
    let prose = prose::of(reached.keys().copied());
    let mut schemas: Map<String, Value> = scalars();
    for (name, ty) in reached {
        let mut component = of_type(schema, ty, prose.get(name));
        if name == DELETE_OPTIONS {
            let kind = json!([{"group": group, "kind": "DeleteOptions", "version": version}]);
            component["x-kubernetes-group-version-kind"] = kind;
        }
        schemas.insert(name.to_owned(), component);
    }
    schemas
}

fn reach<'a>(schema: &'a Schema, name: &str, reached: &mut BTreeMap<&'a str, &'a Type>) {
    let Some(ty) = schema.get(name) else { return };
    if reached.insert(&ty.name, ty).is_some() {
        return;
    }
    for field in ty.fields.values() {
        let mut shape = &field.shape;
        while let Shape::List(inner) | Shape::Map(inner) = shape {
            shape = inner;
        }
        if let Shape::Object(id) = shape {
            reach(schema, &schema.at(*id).name, reached);
        }
    }
}

/// Components that are not structs.
fn scalars() -> Map<String, Value> {
    let time = |what: &str| json!({"type": "string", "format": "date-time", "description": what});
    let mut all = Map::new();
    all.insert(TIME.to_owned(), time("A time in RFC 3339 with whole seconds."));
    all.insert(MICRO_TIME.to_owned(), time("A time in RFC 3339 with microseconds."));
    let quantity = json!({
        "description": "A number with an optional suffix: m, k, M, G, T, P, E, Ki, Mi, Gi, Ti, Pi, Ei, or a decimal exponent.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    });
    all.insert(QUANTITY.to_owned(), quantity);
    let int_or_string = json!({
        "description": "An integer or a string.", "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    });
    all.insert(INT_OR_STRING.to_owned(), int_or_string);
    let fields = json!({"type": "object", "description": "A set of fields as a tree in JSON: a step to a field or an element is a key."});
    all.insert(FIELDS_V1.to_owned(), fields);
    let patch =
        json!({"type": "object", "description": "The body of a patch request; its content type says of which kind."});
    all.insert(PATCH.to_owned(), patch);
    all
}

fn of_type(schema: &Schema, ty: &Type, prose: Option<&Value>) -> Value {
    let mut properties = Map::new();
    for (name, field) in &ty.fields {
        let description = prose.and_then(|p| p["properties"][name]["description"].as_str());
        properties.insert(name.clone(), of_field(schema, field, description));
    }
    let required: Vec<&String> = ty.fields.iter().filter(|(_, f)| f.required).map(|(name, _)| name).collect();
    let mut component = json!({"type": "object", "properties": properties});
    let description = match prose.and_then(|p| p["description"].as_str()) {
        Some(text) => text.to_owned(),
        None => format!("{}.", ty.short_name()),
    };
    component["description"] = Value::String(description);
    if !required.is_empty() {
        component["required"] = json!(required);
    }
    if ty.atomic {
        component["x-kubernetes-map-type"] = json!("atomic");
    }
    if !ty.kinds.is_empty() {
        let kinds = ty.kinds.iter().map(|k| json!({"group": k.group, "kind": k.kind, "version": k.version}));
        component["x-kubernetes-group-version-kind"] = kinds.collect();
    }
    component
}

fn of_field(schema: &Schema, field: &Field, description: Option<&str>) -> Value {
    let mut property = match field.go.as_str() {
        "v1.FieldsV1" => reference(FIELDS_V1),
        _ => of_shape(schema, &field.shape),
    };
    if property.get("$ref").is_some() {
        property = json!({ "allOf": [property] });
    }
    if let Some(text) = description {
        property["description"] = json!(text);
    }
    if let Some(default) = &field.default {
        property["default"] = default.clone();
    }
    if !field.values.is_empty() {
        property["enum"] = json!(field.values);
    }
    let is_list = matches!(field.shape, Shape::List(_));
    match &field.topology {
        Topology::Unsaid => {}
        Topology::Atomic if is_list => property["x-kubernetes-list-type"] = json!("atomic"),
        Topology::Atomic => property["x-kubernetes-map-type"] = json!("atomic"),
        Topology::Set => property["x-kubernetes-list-type"] = json!("set"),
        Topology::Keyed(keys) => {
            property["x-kubernetes-list-type"] = json!("map");
            property["x-kubernetes-list-map-keys"] = json!(keys);
        }
    }
    let strategies: Vec<&str> = [(field.patch.merge, "merge"), (field.patch.retain_keys, "retainKeys")]
        .iter()
        .filter_map(|(set, name)| set.then_some(*name))
        .collect();
    if !strategies.is_empty() {
        property["x-kubernetes-patch-strategy"] = json!(strategies.join(","));
    }
    if !field.patch.key.is_empty() {
        property["x-kubernetes-patch-merge-key"] = json!(field.patch.key);
    }
    property
}

fn of_shape(schema: &Schema, shape: &Shape) -> Value {
    match shape {
        Shape::String => json!({"type": "string"}),
        Shape::Int32 => json!({"type": "integer", "format": "int32"}),
        Shape::Int64 => json!({"type": "integer", "format": "int64"}),
        Shape::Double => json!({"type": "number", "format": "double"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Bytes => json!({"type": "string", "format": "byte"}),
        Shape::Time => reference(TIME),
        Shape::MicroTime => reference(MICRO_TIME),
        Shape::Quantity => reference(QUANTITY),
        Shape::IntOrString => reference(INT_OR_STRING),
        Shape::Any | Shape::Deduced => json!({"type": "object"}),
        Shape::Object(id) => reference(&schema.at(*id).name),
        Shape::List(inner) => json!({"type": "array", "items": of_shape(schema, inner)}),
        Shape::Map(inner) => json!({"type": "object", "additionalProperties": of_shape(schema, inner)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_object_has_is_described_where_no_built_in_kind_is() {
        let roots = BTreeSet::from([super::super::custom::OBJECT_META.to_owned()]);
        let all = schemas(Schema::builtin(), "example.com", "v1", &roots);
        let created = &all[super::super::custom::OBJECT_META]["properties"]["creationTimestamp"]["description"];
        assert!(created.as_str().is_some_and(|told| told.starts_with("CreationTimestamp is a timestamp")), "{created}");
    }

    #[test]
    fn managed_fields_have_a_type_of_their_own() {
        let schema = Schema::builtin();
        let entry = schema.id("io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry").expect("a type");
        let fields = of_field(schema, &schema.at(entry).fields["fieldsV1"], None);
        assert_eq!(fields, json!({ "allOf": [reference(FIELDS_V1)] }));
    }
}
