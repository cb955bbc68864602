//! Whether a schema is structural, and says nothing that cannot be held.

use gantry_schema::structural::{self, Node};
use serde_json::{Map, Value};

use crate::custom::{KNOWN_FORMATS, check_value};
use crate::field::{ErrorList, FieldError, Path};
use crate::tree::{list_at, str_at};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const UNSUPPORTED: [&str; 4] = ["id", "patternProperties", "definitions", "dependencies"];
/// What alternatives may not say.
const WHOLE: [&str; 8] = [
    "additionalProperties",
    "default",
    "description",
    "nullable",
    "title",
    "type",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-preserve-unknown-fields",
];

/// All that is wrong with an `openAPIV3Schema`.
pub(super) fn validate(schema: &Value, path: &Path, errors: &mut ErrorList) {
    match str_at(schema, "/type") {
        "object" => {}
        "" => {}
        other => {
            errors.push(FieldError::invalid(&path.child("type"), other, "must be object at the root"));
            return;
        }
    }
    properties(schema, true, path, errors);
    node(schema, path, errors, structural::MAX_DEPTH);
    if str_at(schema, "/type").is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must not be empty at the root"));
    }
}

/// Formats that nobody checks.
pub(super) fn warnings(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    visit(schema, &mut |node| {
        let format = str_at(node, "/format");
        if !format.is_empty() && !KNOWN_FORMATS.contains(&format) {
            found.push(format!("unrecognized format {format:?}"));
        }
    });
    found
}

/// Calls `look` for the schema and all that are in it.
fn visit(schema: &Value, look: &mut impl FnMut(&Value)) {
    look(schema);
    for of in schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::values) {
        visit(of, look);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(of) = schema.get(key).filter(|of| of.is_object()) {
            visit(of, look);
        }
    }
}

/// The fields that say what a whole object is.
fn properties(schema: &Value, whole: bool, path: &Path, errors: &mut ErrorList) {
    if !whole {
        return;
    }
    let at = path.child("properties");
    for name in ["apiVersion", "kind"] {
        let kind = schema["properties"][name].get("type").and_then(Value::as_str).unwrap_or("string");
        if kind != "string" {
            errors.push(FieldError::invalid(&at.key(name).child("type"), kind, "must be string"));
        }
    }
    let Some(metadata) = schema["properties"].get("metadata") else { return };
    let at = at.key("metadata");
    if metadata.get("default").is_some() {
        errors.push(FieldError::forbidden(&at.child("default"), "must not be set in top-level metadata"));
    }
    let kind = str_at(metadata, "/type");
    if kind != "object" {
        errors.push(FieldError::invalid(&at.child("type"), kind, "must be object"));
    }
    let others = metadata.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    if others.into_iter().any(|name| name != "name" && name != "generateName") {
        let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
        errors.push(FieldError::forbidden(&at, why));
    }
}

fn node(schema: &Value, path: &Path, errors: &mut ErrorList, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    forbidden(schema, path, errors);
    extensions(schema, path, errors);
    lists(schema, path, errors);
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        defaults(schema, default, &path.child("default"), errors);
    }
    if let Some(text) = schema.get("pattern").and_then(Value::as_str)
        && let Err(error) = structural::pattern(text)
    {
        let why = format!("must be a valid regular expression, but isn't: {}", in_go_words(text, &error));
        errors.push(FieldError::invalid(&path.child("pattern"), text, why));
    }
    for (name, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let at = path.child("properties").key(name);
        node(of, &at, errors, depth);
        typed(of, &at, "must not be empty for specified object fields", errors);
    }
    if let Some(of) = schema.get("additionalProperties").filter(|of| of.is_object()) {
        let at = path.child("additionalProperties");
        typed(of, &at, "must not be empty for specified object fields", errors);
        node(of, &at, errors, depth);
    }
    if let Some(of) = schema.get("items").filter(|of| of.is_object()) {
        let at = path.child("items");
        typed(of, &at, "must not be empty for specified array items", errors);
        node(of, &at, errors, depth);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, of) in list_at(schema, &format!("/{key}")).iter().enumerate() {
            alternative(of, &path.child(key).index(index), errors);
        }
    }
    if let Some(of) = schema.get("not").filter(|of| of.is_object()) {
        alternative(of, &path.child("not"), errors);
    }
}

fn typed(schema: &Value, path: &Path, why: &str, errors: &mut ErrorList) {
    let open = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"];
    let said = !str_at(schema, "/type").is_empty();
    let refers = schema.get("$ref").is_some_and(|value| !value.is_null());
    if !said && !refers && !open.iter().any(|key| schema[*key] == true) {
        errors.push(FieldError::required(&path.child("type"), why));
    }
}

fn forbidden(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for key in UNSUPPORTED {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(FieldError::forbidden(&path.child(key), format!("{key} is not supported")));
        }
    }
    if schema.get("$ref").is_some_and(|value| !value.is_null()) {
        errors.push(FieldError::forbidden(&path.child("$ref"), "$ref is not supported"));
    }
    if schema["uniqueItems"] == true {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(&path.child("uniqueItems"), why));
    }
    let kind = str_at(schema, "/type");
    if !kind.is_empty() && !TYPES.contains(&kind) {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &TYPES));
    }
    if kind == "array" && schema.get("items").is_none_or(Value::is_null) {
        errors.push(FieldError::required(&path.child("items"), "must be specified"));
    }
    let has_properties = schema.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    let additional = schema.get("additionalProperties");
    if has_properties && additional.is_some_and(|of| of.is_object() || *of == true) {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(&path.child("additionalProperties"), why));
    }
}

fn extensions(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let preserve = "x-kubernetes-preserve-unknown-fields";
    if schema.get(preserve) == Some(&Value::Bool(false)) {
        errors.push(FieldError::invalid(&path.child(preserve), false, "must be true or undefined"));
    }
    if schema["x-kubernetes-embedded-resource"] != true {
        return;
    }
    let kind = str_at(schema, "/type");
    let has_properties = schema.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty());
    if !has_properties && schema[preserve] != true {
        let why = format!("must not be empty if x-kubernetes-embedded-resource is true without {preserve}");
        errors.push(FieldError::required(&path.child("properties"), &why));
    }
    if kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(FieldError::invalid(&path.child("type"), kind, why));
    }
    properties(schema, true, path, errors);
}

fn lists(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let (list, kind) = (schema.get("x-kubernetes-list-type").and_then(Value::as_str), str_at(schema, "/type"));
    let at = path.child("x-kubernetes-list-type");
    let keys = list_at(schema, "/x-kubernetes-list-map-keys");
    let keys_at = path.child("x-kubernetes-list-map-keys");
    match list {
        Some(name) if !["atomic", "set", "map"].contains(&name) => {
            errors.push(FieldError::not_supported(&at, name, &["atomic", "set", "map"]));
        }
        Some(_) if kind != "array" => {
            let why = "must be array if x-kubernetes-list-type is specified";
            errors.push(FieldError::invalid(&path.child("type"), kind, why));
        }
        Some("map") if keys.is_empty() => {
            errors.push(FieldError::required(&keys_at, "must not be empty if x-kubernetes-list-type is map"));
        }
        Some("map") => map_keys(schema, keys, path, errors),
        Some("set") => {
            let items = &schema["items"];
            let compound = ["object", "array"].contains(&str_at(items, "/type"));
            let (extension, key) = match str_at(items, "/type") {
                "array" => ("x-kubernetes-list-type", "x-kubernetes-list-type"),
                _ => ("x-kubernetes-map-type", "x-kubernetes-map-type"),
            };
            if compound && items[key] != "atomic" {
                let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
                let found = items.get(key).cloned().unwrap_or_default();
                errors.push(FieldError::invalid(&path.child("items").child(extension), found, why));
            }
        }
        _ => {}
    }
    if !keys.is_empty() && list != Some("map") {
        errors.push(FieldError::required(&at, "must be map if x-kubernetes-list-map-keys is non-empty"));
    }
    if let Some(name) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) {
        let at = path.child("x-kubernetes-map-type");
        if !["atomic", "granular"].contains(&name) {
            errors.push(FieldError::not_supported(&at, name, &["atomic", "granular"]));
        }
    }
}

fn map_keys(schema: &Value, keys: &[Value], path: &Path, errors: &mut ErrorList) {
    let at = path.child("x-kubernetes-list-map-keys");
    let all = || Value::from(keys.to_vec());
    if (1..keys.len()).any(|index| keys[..index].contains(&keys[index])) {
        errors.push(FieldError::invalid(&at, all(), "must not contain duplicate entries"));
    }
    let items = &schema["items"];
    let named = |key: &Value| key.as_str().and_then(|key| items["properties"].get(key));
    if keys.iter().any(|key| named(key).is_none()) {
        errors.push(FieldError::invalid(&at, all(), "entries must all be names of item properties"));
    }
    let mut seen = Vec::new();
    for key in keys.iter().filter_map(Value::as_str) {
        let Some(property) = items["properties"].get(key).filter(|_| !seen.contains(&key)) else { continue };
        seen.push(key);
        let required = list_at(items, "/required").iter().any(|name| name == key);
        if !required && property.get("default").is_none() {
            let at = path.child("items").child("properties").key(key).child("default");
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(FieldError::required(&at, why));
        }
    }
}

fn alternative(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for key in WHOLE {
        let Some(value) = schema.get(key).filter(|value| !value.is_null()) else { continue };
        let why = match key {
            "default" | "additionalProperties" => "must be undefined to be structural",
            "nullable" | "x-kubernetes-embedded-resource" if *value == true => "must be false to be structural",
            "nullable" | "x-kubernetes-embedded-resource" => continue,
            "x-kubernetes-preserve-unknown-fields" => "must be false to be structural",
            "type" if schema.get("x-kubernetes-int-or-string").is_some() => continue,
            _ => "must be empty to be structural",
        };
        if key == "type" && is_int_or_string_part(path, value) {
            continue;
        }
        errors.push(FieldError::forbidden(&path.child(key), why));
    }
    for (name, of) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        alternative(of, &path.child("properties").key(name), errors);
    }
    if let Some(of) = schema.get("items").filter(|of| of.is_object()) {
        alternative(of, &path.child("items"), errors);
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        for (index, of) in list_at(schema, &format!("/{key}")).iter().enumerate() {
            alternative(of, &path.child(key).index(index), errors);
        }
    }
}

/// The two alternatives by which `x-kubernetes-int-or-string` may be spelled out.
fn is_int_or_string_part(path: &Path, kind: &Value) -> bool {
    let place = path.as_str();
    (place.ends_with("anyOf[0]") && *kind == "integer") || (place.ends_with("anyOf[1]") && *kind == "string")
}

fn defaults(schema: &Value, default: &Value, path: &Path, errors: &mut ErrorList) {
    let node = Node::read(schema);
    let mut pruned = default.clone();
    if !structural::prune(&node, false, &mut pruned).is_empty() {
        errors.push(FieldError::invalid(path, default.clone(), "must not have unknown fields"));
    }
    for mut error in check_value(&node, default, path) {
        // The words do not name the place a second time.
        error.message = error.message.replace(&format!("{path} in body"), " in body");
        errors.push(error);
    }
}

fn in_go_words(text: &str, error: &regex::Error) -> String {
    let what = error.to_string();
    if what.contains("unclosed group") {
        format!("error parsing regexp: missing closing ): `{text}`")
    } else if what.contains("unopened group") {
        format!("error parsing regexp: unexpected ): `{text}`")
    } else if what.contains("unclosed character class") {
        format!("error parsing regexp: missing closing ]: `{}`", &text[text.find('[').unwrap_or(0)..])
    } else if what.contains("repetition operator missing") {
        let operator = text.find(['*', '+', '?']).map_or("", |at| &text[at..=at]);
        format!("error parsing regexp: missing argument to repetition operator: `{operator}`")
    } else {
        format!("error parsing regexp: {}: `{text}`", what.lines().last().unwrap_or_default().trim())
    }
}
