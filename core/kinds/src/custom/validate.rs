//! Values against a structural schema, in the words of upstream's validator.

use std::collections::BTreeSet;

use gantry_schema::structural::{Limits, Node};
use gantry_schema::types::Topology;
use serde_json::{Map, Value};

use super::formats;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;

/// Wrong types keep rules from being checked; other invalid values do not.
const WRONG_TYPE: &str = "FieldValueTypeInvalid";

/// All that is wrong with an object of the type. What was wrong in `old` and did not change is let be.
pub fn validate(node: &Node, object: &Value, old: Option<&Value>) -> ErrorList {
    let mut errors = ErrorList::new();
    fields_of(node, object, old, &Path::default(), true, &mut errors);
    let root = Node { limits: Limits { required: Vec::new(), ..node.limits.clone() }, ..node.clone() };
    required(&node.limits, object.as_object(), &Path::default(), &mut errors);
    combined(&root, object, &Path::default(), &mut errors);
    structure(node, object, &Path::default(), true, &mut errors);
    errors
}

/// All that is wrong with one value, which is not a whole object.
pub fn check_value(node: &Node, value: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    walk(node, value, None, path, &mut errors);
    structure(node, value, path, false, &mut errors);
    errors
}

/// Whether an error keeps rules from being checked.
pub(super) fn blocks_rules(error: &FieldError) -> bool {
    matches!(
        error.reason,
        WRONG_TYPE | "FieldValueRequired" | "FieldValueTooLong" | "FieldValueTooMany" | "FieldValueNotSupported"
    )
}

/// The name of a value's type.
pub(super) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() && number.as_f64().is_some_and(|n| n.fract() != 0.0) => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn walk(node: &Node, value: &Value, old: Option<&Value>, path: &Path, errors: &mut ErrorList) {
    if old == Some(value) || (value.is_null() && node.nullable) {
        return;
    }
    if let Value::String(text) = value
        && node.kind == "string"
        && !formats::fits(&node.limits.format, text)
    {
        let why = format!("{path} in body must be of type {}: {text:?}", node.limits.format);
        errors.push(FieldError { reason: WRONG_TYPE, ..FieldError::invalid(path, text.as_str(), why) });
        return;
    }
    if let Some(wanted) = wrong_type(node, value) {
        let formatted = node.kind == "integer" && !node.limits.format.is_empty();
        let found = if formatted && value.is_f64() { "float64" } else { json_type(value) };
        let mut error = FieldError::invalid(path, found, format!("{path} in body must be of type {wanted}: {found:?}"));
        error.reason = WRONG_TYPE;
        errors.push(error);
        return;
    }
    combined(node, value, path, errors);
    match value {
        Value::String(text) => text_limits(&node.limits, text, path, errors),
        Value::Number(number) => {
            if node.limits.format == "int32" && number.as_i64().is_none_or(|n| i32::try_from(n).is_err()) {
                let why = format!("Checked value must be of type integer with format int32 in {path}");
                errors.push(FieldError::invalid_shown(&Path::new("<nil>"), "\"\"", why));
            }
            number_limits(&node.limits, number, path, errors);
        }
        Value::Array(items) => {
            count(items.len(), (node.limits.min_items, node.limits.max_items), "items", path, errors);
            for (index, item) in items.iter().enumerate() {
                if let Some(of) = &node.items {
                    walk(of, item, counterpart(node, old, item, index), &path.index(index), errors);
                }
            }
        }
        Value::Object(fields) => {
            let limits = (node.limits.min_properties, node.limits.max_properties);
            count(fields.len(), limits, "properties", path, errors);
            fields_of(node, value, old, path, node.embedded, errors);
            required(&node.limits, Some(fields), path, errors);
        }
        _ => {}
    }
    values(&node.limits, value, path, errors);
}

/// The element of the old list that an element of the new one stands for.
fn counterpart<'a>(node: &Node, old: Option<&'a Value>, item: &Value, _index: usize) -> Option<&'a Value> {
    let items = old?.as_array()?;
    match &node.topology {
        Topology::Keyed(keys) => items.iter().find(|old| keys.iter().all(|key| old.get(key) == item.get(key))),
        _ => None,
    }
}

fn fields_of(node: &Node, value: &Value, old: Option<&Value>, path: &Path, whole: bool, errors: &mut ErrorList) {
    for (name, field) in value.as_object().into_iter().flatten() {
        if whole && matches!(name.as_str(), "metadata" | "apiVersion" | "kind") && path.as_str().is_empty() {
            continue;
        }
        if let Some(of) = node.field(name) {
            walk(of, field, old.and_then(|old| old.get(name)), &path.child(name), errors);
        }
    }
}

fn required(limits: &Limits, fields: Option<&Map<String, Value>>, path: &Path, errors: &mut ErrorList) {
    let missing = limits.required.iter().filter(|name| fields.is_none_or(|fields| !fields.contains_key(*name)));
    errors.extend(missing.map(|name| FieldError::required(&path.child(name), "")));
}

/// The type that was wanted, where the value has another.
fn wrong_type(node: &Node, value: &Value) -> Option<String> {
    let found = json_type(value);
    if node.int_or_string {
        return (!matches!(found, "integer" | "string")).then(|| "integer,string".to_owned());
    }
    let wanted = node.kind.as_str();
    let format = node.limits.format.as_str();
    match (wanted, found) {
        ("", _) | ("number", "integer") => None,
        (wanted, found) if wanted == found => None,
        ("integer", "number") if !format.is_empty() => Some(format.to_owned()),
        _ => Some(wanted.to_owned()),
    }
}

fn text_limits(limits: &Limits, text: &str, path: &Path, errors: &mut ErrorList) {
    let length = text.chars().count();
    if let Some(max) = limits.max_length.filter(|max| length > *max) {
        errors.push(FieldError::too_long(path, max));
    }
    if let Some(min) = limits.min_length.filter(|min| length < *min) {
        errors.push(FieldError::invalid(path, text, format!("{path} in body should be at least {min} chars long")));
    }
    if let Some((written, _)) = limits.pattern.as_ref().filter(|(_, regex)| !regex.is_match(text)) {
        errors.push(FieldError::invalid(path, text, format!("{path} in body should match '{written}'")));
    }
}

fn number_limits(limits: &Limits, number: &serde_json::Number, path: &Path, errors: &mut ErrorList) {
    let given = number.as_f64().unwrap_or_default();
    let mut wrong = |what: String| {
        errors.push(FieldError::invalid(
            path,
            Value::Number(number.clone()),
            format!("{path} in body should be {what}"),
        ));
    };
    if let Some(of) = limits.multiple_of.filter(|of| (given / of).fract() != 0.0) {
        wrong(format!("a multiple of {of}"));
    }
    if let Some((max, exclusive)) =
        limits.maximum.filter(|(max, exclusive)| given > *max || (*exclusive && given == *max))
    {
        wrong(format!("less than {}{max}", if exclusive { "" } else { "or equal to " }));
    }
    if let Some((min, exclusive)) =
        limits.minimum.filter(|(min, exclusive)| given < *min || (*exclusive && given == *min))
    {
        wrong(format!("greater than {}{min}", if exclusive { "" } else { "or equal to " }));
    }
}

fn count(found: usize, (min, max): (Option<usize>, Option<usize>), what: &str, path: &Path, errors: &mut ErrorList) {
    if let Some(min) = min.filter(|min| found < *min) {
        errors.push(FieldError::invalid(path, found, format!("{path} in body should have at least {min} {what}")));
    }
    if let Some(max) = max.filter(|max| found > *max) {
        errors.push(FieldError::too_many(path, found, max));
    }
}

fn values(limits: &Limits, value: &Value, path: &Path, errors: &mut ErrorList) {
    let same = |one: &Value| one == value || (one.is_number() && one.as_f64() == value.as_f64());
    if limits.values.is_empty() || limits.values.iter().any(same) {
        return;
    }
    let texts: Vec<String> =
        limits.values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    errors.push(FieldError::not_supported(path, value.clone(), &texts));
}

fn combined(node: &Node, value: &Value, path: &Path, errors: &mut ErrorList) {
    let limits = &node.limits;
    let wrong_with = |of: &Node| {
        let mut errors = ErrorList::new();
        walk(of, value, None, path, &mut errors);
        errors
    };
    let said = |text: String| FieldError::invalid(&Path::new("<nil>"), "", text);
    let quoted = shown(&Value::from(path.as_str()));
    if !limits.any_of.is_empty() {
        let all: Vec<ErrorList> = limits.any_of.iter().map(wrong_with).collect();
        if all.iter().all(|wrong| !wrong.is_empty()) {
            errors.push(said(format!("{quoted} must validate at least one schema (anyOf)")));
            errors.extend(all.into_iter().min_by_key(Vec::len).unwrap_or_default());
        }
    }
    if !limits.one_of.is_empty() {
        let all: Vec<ErrorList> = limits.one_of.iter().map(wrong_with).collect();
        let valid = all.iter().filter(|wrong| wrong.is_empty()).count();
        let found =
            if valid == 0 { "Found none valid".to_owned() } else { format!("Found {valid} valid alternatives") };
        if valid != 1 {
            errors.push(said(format!("{quoted} must validate one and only one schema (oneOf). {found}")));
            errors.extend(all.into_iter().filter(|_| valid == 0).min_by_key(Vec::len).unwrap_or_default());
        }
    }
    if !limits.all_of.is_empty() {
        let all: Vec<ErrorList> = limits.all_of.iter().map(wrong_with).collect();
        let valid = all.iter().filter(|wrong| wrong.is_empty()).count();
        if valid != all.len() {
            errors.extend(all.into_iter().flatten());
            let none = if valid == 0 { ". None validated" } else { "" };
            errors.push(said(format!("{quoted} must validate all the schemas (allOf){none}")));
        }
    }
    if limits.not.as_ref().is_some_and(|not| wrong_with(not).is_empty()) {
        errors.push(said(format!("{quoted} must not validate the schema (not)")));
    }
}

/// Lists whose elements must differ, and objects within objects that must say what they are.
fn structure(node: &Node, value: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    match value {
        Value::Array(items) => {
            duplicates(node, items, path, errors);
            for (index, item) in items.iter().enumerate() {
                if let Some(of) = &node.items {
                    structure(of, item, &path.index(index), false, errors);
                }
            }
        }
        Value::Object(fields) => {
            if node.embedded && !root {
                embedded(fields, path, errors);
            }
            for (name, field) in fields {
                if let Some(of) = node.field(name) {
                    structure(of, field, &path.child(name), false, errors);
                }
            }
        }
        _ => {}
    }
}

fn duplicates(node: &Node, items: &[Value], path: &Path, errors: &mut ErrorList) {
    let identity = |item: &Value| match &node.topology {
        Topology::Set => Some(item.clone()),
        Topology::Keyed(keys) => {
            let found = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
            Some(Value::Object(found.collect()))
        }
        _ => None,
    };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let Some(key) = identity(item) else { return };
        if !seen.insert(key.to_string()) {
            errors.push(FieldError::duplicate(&path.index(index), key));
        }
    }
}

fn embedded(fields: &Map<String, Value>, path: &Path, errors: &mut ErrorList) {
    let text = |key: &str| fields.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion").is_empty() {
        errors.push(FieldError::required(&path.child("apiVersion"), ""));
    }
    match text("kind") {
        "" => errors.push(FieldError::required(&path.child("kind"), "")),
        kind => {
            let wrong = names::dns_1035_label(&kind.to_lowercase());
            let wrong = wrong.into_iter().map(|why| format!("may have mixed case, but should otherwise match: {why}"));
            errors.extend(FieldError::each(&path.child("kind"), kind, wrong.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: Value, value: Value, expected: &[&str]) {
        let node = Node::read(&json!({"type": "object", "properties": {"a": schema}}));
        let found: Vec<String> = validate(&node, &json!({ "a": value }), None).iter().map(|e| e.to_string()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_refused_in_upstreams_words() {
        check(
            json!({"type": "string"}),
            json!(1),
            &["a: Invalid value: \"integer\": a in body must be of type string: \"integer\""],
        );
        check(json!({"type": "string", "maxLength": 1}), json!("ab"), &["a: Too long: may not be more than 1 bytes"]);
        check(
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            &["a: Invalid value: \"b\": a in body should match '^a+$'"],
        );
        check(
            json!({"type": "string", "enum": ["x", "y"]}),
            json!("z"),
            &["a: Unsupported value: \"z\": supported values: \"x\", \"y\""],
        );
        check(
            json!({"type": "integer", "minimum": 2}),
            json!(1),
            &["a: Invalid value: 1: a in body should be greater than or equal to 2"],
        );
        check(
            json!({"type": "integer", "maximum": 2, "exclusiveMaximum": true}),
            json!(2),
            &["a: Invalid value: 2: a in body should be less than 2"],
        );
        check(
            json!({"type": "number", "multipleOf": 2}),
            json!(3),
            &["a: Invalid value: 3: a in body should be a multiple of 2"],
        );
        check(
            json!({"type": "array", "items": {}, "maxItems": 1}),
            json!([1, 2]),
            &["a: Too many: 2: must have at most 1 items"],
        );
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &["a: Invalid value: \"boolean\": a in body must be of type integer,string: \"boolean\""],
        );
        check(
            json!({"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": 3}]}),
            json!(5),
            &[
                "<nil>: Invalid value: \"\": \"a\" must validate at least one schema (anyOf)",
                "a: Invalid value: 5: a in body should be greater than or equal to 10",
            ],
        );
        check(
            json!({"type": "integer", "oneOf": [{"minimum": 1}, {"minimum": 2}]}),
            json!(3),
            &[
                "<nil>: Invalid value: \"\": \"a\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            ],
        );
        check(json!({"type": "object", "required": ["k"]}), json!({}), &["a.k: Required value"]);
        let list =
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": {}});
        check(list, json!([{"k": "a"}, {"k": "a", "v": 1}]), &["a[1]: Duplicate value: {\"k\":\"a\"}"]);
        check(json!({"type": "string", "nullable": true}), json!(null), &[]);
    }

    #[test]
    fn what_was_wrong_before_and_did_not_change_is_let_be() {
        let node = Node::read(&json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 2}}}));
        let old = json!({"a": 1});
        assert_eq!(validate(&node, &json!({"a": 1}), Some(&old)), []);
        assert_eq!(validate(&node, &json!({"a": 0}), Some(&old)).len(), 1);
    }
}
