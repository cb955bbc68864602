//! What is wrong with a tree as a value of its type: fields nobody knows, and values of the wrong kind, in Go's words.
//!
//! The walk is by sorted keys, which is document order for every client that sorts.

use serde_json::{Map, Number, Value};

use crate::decode::go_kind;
use crate::patch::go_type;
use crate::scalar;
use crate::types::{Field, Schema, Shape, TypeId};

/// What `check` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Paths of unknown fields, such as `spec.containers[0].foo`.
    pub unknown: Vec<String>,
    /// The first value of a wrong kind, in Go's words.
    pub wrong_type: Option<String>,
    /// The same in the words of strategic patches, whose results are never JSON in the upstream server.
    pub unrestored: Option<String>,
}

impl Checked {
    /// One text for each unknown or duplicate field, as warnings say it.
    pub fn warnings(&self, duplicates: &[String]) -> Vec<String> {
        // The YAML decoder's words have a line each after the first, which says what they are.
        self.texts(duplicates, |words| words.lines().skip(1).map(|line| line.trim().to_owned()).collect())
    }

    fn texts(&self, duplicates: &[String], of_yaml: impl Fn(&String) -> Vec<String>) -> Vec<String> {
        let (own_words, paths): (Vec<_>, Vec<_>) = duplicates.iter().partition(|d| d.starts_with("yaml: "));
        let beneath = |path: &str, field: &str| {
            path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let known = paths.into_iter().filter(|path| !self.unknown.iter().any(|field| beneath(path, field)));
        own_words
            .into_iter()
            .flat_map(of_yaml)
            .chain(self.unknown.iter().map(|path| format!("unknown field {path:?}")))
            .chain(known.map(|path| format!("duplicate field {path:?}")))
            .collect()
    }

    /// The text of a strict refusal, when anything is unknown or duplicate.
    pub fn strict_error(&self, duplicates: &[String]) -> Option<String> {
        let texts = self.texts(duplicates, |words| vec![words.clone()]);
        (!texts.is_empty()).then(|| format!("strict decoding error: {}", texts.join(", ")))
    }
}

/// Walks `value` as a value of the type of that name. A type that the schema does not have is not checked.
pub fn check(schema: &Schema, type_name: &str, value: &Value) -> Checked {
    let mut walk = Walk { schema, path: String::new(), go_path: String::new(), found: Checked::default() };
    if let (Some(id), Value::Object(fields)) = (schema.id(type_name), value) {
        walk.fields(id, fields);
    }
    walk.found
}

struct Walk<'a> {
    schema: &'a Schema,
    /// The path with indexes and keys.
    path: String,
    /// The path of Go's struct fields alone, embedded ones included.
    go_path: String,
    found: Checked,
}

/// The field that values are being read for, as a wrong one is reported.
#[derive(Clone, Copy)]
struct At<'a> {
    struct_name: &'a str,
    field: &'a Field,
}

impl<'a> Walk<'a> {
    fn fields(&mut self, id: TypeId, fields: &Map<String, Value>) {
        let schema = self.schema;
        let ty = schema.at(id);
        for (name, value) in fields {
            let (length, go_length) = (self.path.len(), self.go_path.len());
            push(&mut self.path, name);
            match ty.fields.get(name) {
                None => self.found.unknown.push(self.path.clone()),
                Some(field) => {
                    if !field.embedded.is_empty() {
                        push(&mut self.go_path, &field.embedded);
                    }
                    push(&mut self.go_path, name);
                    let at = At { struct_name: ty.short_name(), field };
                    self.value(&field.shape, value, at, 0);
                }
            }
            self.path.truncate(length);
            self.go_path.truncate(go_length);
        }
    }

    fn value(&mut self, shape: &'a Shape, value: &Value, at: At<'a>, level: usize) {
        match (shape, value) {
            (Shape::Quantity, Value::String(text)) => self.grammar(scalar::quantity(text).err()),
            (Shape::Quantity, Value::Number(number)) => self.grammar(scalar::quantity(&number.to_string()).err()),
            (_, Value::Null) | (Shape::Any | Shape::Deduced, _) => {}
            (Shape::Quantity, other) => self.grammar(scalar::quantity(&other.to_string()).err()),
            (Shape::Object(id), Value::Object(fields)) => self.fields(*id, fields),
            (Shape::List(inner), Value::Array(items)) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.path.len();
                    self.path.push_str(&format!("[{index}]"));
                    self.value(inner, item, at, level + 1);
                    self.path.truncate(length);
                }
            }
            (Shape::Map(inner), Value::Object(entries)) => {
                for (key, entry) in entries {
                    let length = self.path.len();
                    push(&mut self.path, key);
                    self.value(inner, entry, at, level + 1);
                    self.path.truncate(length);
                }
            }
            (Shape::Time | Shape::MicroTime, Value::String(text)) => {
                self.grammar(scalar::time(text, *shape == Shape::MicroTime).err());
            }
            (Shape::Bytes, Value::String(text)) => self.grammar(scalar::base64_error(text)),
            (Shape::String | Shape::IntOrString, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => {}
            (Shape::Double, Value::Number(_)) => {}
            (Shape::Int32 | Shape::IntOrString, Value::Number(n)) if is_int32(n) => {}
            (Shape::Int64, Value::Number(n)) if n.is_i64() => {}
            (Shape::Int32 | Shape::Int64 | Shape::IntOrString, Value::Number(n)) => {
                self.wrong(&format!("number {}", literal(n)), (shape, value), at, level);
            }
            (_, other) => self.wrong(go_kind(other), (shape, value), at, level),
        }
    }

    fn grammar(&mut self, error: Option<String>) {
        if self.found.wrong_type.is_none() {
            self.found.unrestored.clone_from(&error);
            self.found.wrong_type = error;
        }
    }

    fn wrong(&mut self, what: &str, (shape, value): (&Shape, &Value), at: At<'_>, level: usize) {
        if self.found.wrong_type.is_some() {
            return;
        }
        let mut elements = at.field.go_element.split('|');
        let go = match level {
            0 => at.field.go.as_str(),
            deep => elements.nth(deep - 1).unwrap_or_default(),
        };
        let go = if go.is_empty() { go_fallback(&at.field.shape, level) } else { go };
        let text = format!(
            "json: cannot unmarshal {what} into Go struct field {}.{} of type {go}",
            at.struct_name, self.go_path
        );
        self.found.wrong_type = Some(text);
        self.found.unrestored = Some(unrestored(shape, value, what, go));
    }
}

/// Why a tree does not become a Go value of that type. `what` is the value in the words of JSON.
fn unrestored(shape: &Shape, value: &Value, what: &str, go: &str) -> String {
    let kind = match value {
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
        scalar => go_type(scalar),
    };
    match shape {
        Shape::Object(_) => format!("cannot restore struct from: {kind}"),
        Shape::Map(_) => format!("cannot restore map from {kind}"),
        Shape::List(_) | Shape::Bytes => format!("cannot restore slice from {kind}"),
        Shape::Time | Shape::MicroTime => format!("json: cannot unmarshal {what} into Go value of type string"),
        Shape::IntOrString => format!("json: cannot unmarshal {what} into Go value of type int32"),
        // wire: Go converts whole numbers to strings, and never fractions.
        Shape::String if value.is_f64() => "unrecognized type: string".to_owned(),
        _ if value.is_number() && *shape != Shape::Bool => format!("cannot convert {kind} to {go}"),
        plain => format!("unrecognized type: {}", go_fallback(plain, 0)),
    }
}

/// Go's type of a plain field whose name was not measured.
fn go_fallback(shape: &Shape, level: usize) -> &'static str {
    match shape {
        Shape::List(inner) | Shape::Map(inner) if level > 0 => go_fallback(inner, level - 1),
        Shape::Int32 | Shape::IntOrString => "int32",
        Shape::Int64 => "int64",
        Shape::Double => "float64",
        Shape::Bool => "bool",
        Shape::Bytes => "[]uint8",
        Shape::List(_) => "[]interface {}",
        Shape::Map(_) | Shape::Object(_) => "map[string]interface {}",
        _ => "string",
    }
}

fn is_int32(number: &Number) -> bool {
    number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
}

/// The number as the client most likely wrote it.
fn literal(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() >= 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

fn push(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(containers: Value, rest: Value) -> Checked {
        let mut value = json!({"spec": {"template": {"spec": {"containers": containers}}}});
        crate::patch::merge_into(&mut value, &rest);
        check(Schema::builtin(), "io.k8s.api.apps.v1.Deployment", &value)
    }

    #[test]
    fn unknown_fields_have_paths_with_indexes() {
        let found = deployment(
            json!([{"name": "c", "zed": 1}]),
            json!({"metadata": {"xx": 1, "labels": {"any": "x"}}, "spec": {"foo": 1, "Replicas": 1}}),
        );
        let expected = ["metadata.xx", "spec.Replicas", "spec.foo", "spec.template.spec.containers[0].zed"];
        assert_eq!(found.unknown, expected);
        let duplicates = ["spec.foo.bar".to_owned(), "spec.replicas".to_owned()];
        let yaml =
            "yaml: unmarshal errors:\n  line 3: key \"a\" already set in map\n  line 5: key \"b\" already set in map";
        let lines = Checked::default().warnings(&[yaml.to_owned()]);
        assert_eq!(lines, ["line 3: key \"a\" already set in map", "line 5: key \"b\" already set in map"]);
        assert_eq!(Checked::default().strict_error(&[yaml.to_owned()]), Some(format!("strict decoding error: {yaml}")));
        let text = found.strict_error(&duplicates).expect("an error");
        assert!(text.starts_with("strict decoding error: unknown field \"metadata.xx\", unknown field"), "{text}");
        assert!(text.ends_with(", duplicate field \"spec.replicas\"") && !text.contains("spec.foo.bar"), "{text}");
    }

    #[test]
    fn wrong_types_are_told_as_go_tells_them() {
        let check = |containers: Value, rest: Value, expected: &str| {
            let found = deployment(containers, rest).wrong_type.unwrap_or_default();
            let short = found.replace("json: cannot unmarshal ", "").replace("into Go struct field ", "");
            assert_eq!(short, expected);
        };
        let spec = |spec: Value| json!({ "spec": spec });
        check(Value::Null, spec(json!({"replicas": "3"})), "string DeploymentSpec.spec.replicas of type int32");
        check(Value::Null, spec(json!({"replicas": 1.5})), "number 1.5 DeploymentSpec.spec.replicas of type int32");
        let restored = |spec: Value| deployment(Value::Null, json!({ "spec": spec })).unrestored.unwrap_or_default();
        assert_eq!(restored(json!({"replicas": "3"})), "unrecognized type: int32");
        assert_eq!(restored(json!({"replicas": 1.5})), "cannot convert float64 to int32");
        assert_eq!(restored(json!({"paused": 1})), "unrecognized type: bool");
        assert_eq!(restored(json!({"selector": []})), "cannot restore struct from: slice");
        assert_eq!(restored(json!({"selector": {"matchLabels": 1}})), "cannot restore map from int64");
        assert_eq!(restored(json!({"selector": {"matchLabels": {"a": 1}}})), "cannot convert int64 to string");
        assert_eq!(restored(json!({"selector": {"matchLabels": {"a": 1.5}}})), "unrecognized type: string");
        assert_eq!(restored(json!({"selector": {"matchExpressions": {}}})), "cannot restore slice from map");
        let big = "number 3000000000 DeploymentSpec.spec.replicas of type int32";
        check(Value::Null, spec(json!({"replicas": 3_000_000_000_i64})), big);
        check(Value::Null, spec(json!({"paused": 1})), "number DeploymentSpec.spec.paused of type bool");
        check(Value::Null, json!({"spec": "x"}), "string Deployment.spec of type v1.DeploymentSpec");
        let labels = json!({"metadata": {"labels": {"a": 1}}});
        check(Value::Null, labels, "number ObjectMeta.metadata.labels of type string");
        let all = json!({"metadata": {"labels": "x"}});
        check(Value::Null, all, "string ObjectMeta.metadata.labels of type map[string]string");
        let time = json!({"metadata": {"creationTimestamp": 1}});
        check(Value::Null, time, "number ObjectMeta.metadata.creationTimestamp of type string");
        check(json!({}), json!({}), "object PodSpec.spec.template.spec.containers of type []v1.Container");
        check(json!(["x"]), json!({}), "string PodSpec.spec.template.spec.containers of type v1.Container");
        let prefix = "Container.spec.template.spec.containers";
        check(json!([{"image": 1}]), json!({}), &format!("number {prefix}.image of type string"));
        check(json!([{"command": [1]}]), json!({}), &format!("number {prefix}.command of type string"));
        check(
            json!([{"imagePullPolicy": 1}]),
            json!({}),
            &format!("number {prefix}.imagePullPolicy of type v1.PullPolicy"),
        );
        let port =
            "bool HTTPGetAction.spec.template.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32";
        check(json!([{"livenessProbe": {"httpGet": {"port": true}}}]), json!({}), port);
        let quantity = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        check(json!([{"resources": {"limits": {"cpu": true}}}]), json!({}), quantity);
        check(json!([{"resources": {"limits": {"cpu": 1}}}, null]), json!({}), "");
    }
}
