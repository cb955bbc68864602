//! What a round trip through upstream's typed objects leaves of a tree.
//!
//! Unknown fields and nulls go, zero values go where Go omits them, what Go always writes appears, and scalars with
//! several spellings get their canonical one. Pruning twice changes nothing more.

use serde_json::{Map, Value};

use crate::scalar;
use crate::types::{Schema, Shape, TypeId, Zero};

/// Normalises `value` as a value of the type of that name; values of wrong kinds are left alone (see `check`).
pub fn prune(schema: &Schema, type_name: &str, value: &mut Value) {
    if schema.structural {
        return drop_nulls(value);
    }
    if let Some(id) = schema.id(type_name) {
        if value.is_null() {
            *value = Value::Object(Map::new());
        }
        normalise(schema, &Shape::Object(id), value);
    }
}

/// Objects without Go types keep everything but what says nothing.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn normalise(schema: &Schema, shape: &Shape, value: &mut Value) {
    match (shape, value) {
        (Shape::Object(id), Value::Object(fields)) => normalise_fields(schema, *id, fields),
        (Shape::List(inner), Value::Array(items)) => {
            for item in items {
                normalise_element(schema, inner, item);
            }
        }
        (Shape::Map(inner), Value::Object(entries)) => {
            for entry in entries.values_mut() {
                normalise_element(schema, inner, entry);
            }
        }
        (_, scalar) => normalise_scalar(shape, scalar),
    }
}

fn normalise_fields(schema: &Schema, id: TypeId, fields: &mut Map<String, Value>) {
    let ty = schema.at(id);
    fields.retain(|name, value| ty.fields.contains_key(name) && !value.is_null());
    for (name, field) in &ty.fields {
        if let Some(value) = fields.get_mut(name) {
            normalise(schema, &field.shape, value);
            match &field.zero {
                Zero::Drop if is_zero(&field.shape, value) => {
                    fields.remove(name);
                }
                // An empty list and none are the same once stored.
                Zero::Always(Value::Null) if is_zero(&field.shape, value) => *value = Value::Null,
                _ => {}
            }
        } else if let Zero::Always(zero) = &field.zero {
            let mut value = zero.clone();
            normalise(schema, &field.shape, &mut value);
            fields.insert(name.clone(), value);
        }
    }
}

/// An element that is null is its type's zero value.
fn normalise_element(schema: &Schema, shape: &Shape, value: &mut Value) {
    if value.is_null() {
        *value = match shape {
            Shape::Object(_) => Value::Object(Map::new()),
            Shape::String => Value::String(String::new()),
            Shape::Int32 | Shape::Int64 | Shape::Double | Shape::IntOrString => Value::from(0),
            Shape::Bool => Value::Bool(false),
            Shape::Quantity => Value::from("0"),
            _ => return,
        };
    }
    normalise(schema, shape, value);
}

fn normalise_scalar(shape: &Shape, value: &mut Value) {
    let canonical = match (shape, &*value) {
        (Shape::Quantity, Value::String(text)) => scalar::quantity(text).ok(),
        (Shape::Quantity, Value::Number(number)) => scalar::quantity(&number.to_string()).ok(),
        (Shape::Time, Value::String(text)) => scalar::time(text, false).ok(),
        (Shape::MicroTime, Value::String(text)) => scalar::time(text, true).ok(),
        (Shape::Bytes, Value::String(text)) if text.contains(['\r', '\n']) => Some(text.replace(['\r', '\n'], "")),
        _ => None,
    };
    if let Some(text) = canonical {
        *value = Value::String(text);
    }
}

/// Whether Go's `omitempty` leaves the value out: structs are never empty.
fn is_zero(shape: &Shape, value: &Value) -> bool {
    match value {
        Value::Null => true,
        _ if *shape == Shape::Any => false,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => matches!(shape, Shape::Map(_)) && entries.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(type_name: &str, mut value: Value, expected: Value) {
        prune(Schema::builtin(), type_name, &mut value);
        assert_eq!(value, expected);
        prune(Schema::builtin(), type_name, &mut value);
        assert_eq!(value, expected, "twice");
    }

    #[test]
    fn what_go_always_writes_appears() {
        check(
            "io.k8s.api.apps.v1.Deployment",
            json!({}),
            json!({"metadata": {}, "status": {}, "spec": {
                "selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}}}),
        );
        check(
            "io.k8s.api.core.v1.Service",
            Value::Null,
            json!({"metadata": {}, "spec": {}, "status": {"loadBalancer": {}}}),
        );
    }

    #[test]
    fn zero_values_go_unless_they_are_told_apart() {
        check(
            "io.k8s.api.apps.v1.DeploymentSpec",
            json!({"replicas": 0, "minReadySeconds": 0, "paused": false, "selector": {"matchLabels": {}}, "strategy": null,
                "template": {"metadata": {"labels": {}, "annotations": null, "creationTimestamp": null},
                    "spec": {"containers": [{"name": "c", "command": [], "securityContext": {}, "unknown": 1}, null],
                        "hostNetwork": false, "automountServiceAccountToken": false, "nodeName": ""}}}),
            json!({"replicas": 0, "selector": {}, "strategy": {},
                "template": {"metadata": {}, "spec": {
                    "containers": [{"name": "c", "securityContext": {}, "resources": {}}, {"name": "", "resources": {}}],
                    "automountServiceAccountToken": false}}}),
        );
    }

    #[test]
    fn scalars_become_canonical() {
        check(
            "io.k8s.api.core.v1.ResourceRequirements",
            json!({"limits": {"cpu": 1, "memory": "1024Mi"}, "requests": {"cpu": "1000m", "x": null}}),
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "x": "0"}}),
        );
        check(
            "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
            json!({"creationTimestamp": "2020-01-01T00:00:00.9+01:00"}),
            json!({"creationTimestamp": "2019-12-31T23:00:00Z"}),
        );
        check(
            "io.k8s.api.core.v1.Secret",
            json!({"data": {"a": "YW\nJj"}}),
            json!({"data": {"a": "YWJj"}, "metadata": {}}),
        );
    }
}
