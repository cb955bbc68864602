//! The three plain patches: JSON patch, merge patch and strategic merge patch, with upstream's refusals.
//!
//! A patch never fails half-way: the answer is a whole new tree, or an error that says why there is none.

mod operations;
mod order;
mod strategic;
#[cfg(test)]
mod strategic_tests;

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::decode::go_kind;

pub use operations::{Misfit, json, operate};
pub use strategic::strategic;

/// Why a patch cannot be applied, in the shape of the refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatchError {
    /// HTTP status code.
    pub code: u16,
    /// Upstream's reason.
    pub reason: &'static str,
    /// Text.
    pub message: String,
}

impl PatchError {
    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        PatchError { code: 400, reason: "BadRequest", message: message.into() }
    }
    /// 422 without saying why, as upstream does when a JSON patch does not fit.
    pub(crate) fn does_not_fit() -> Self {
        let message = "the server rejected our request due to an error in our request".to_owned();
        PatchError { code: 422, reason: "Invalid", message }
    }
}

/// Applies an RFC 7396 merge patch.
pub fn merge(live: &Value, patch: &Value) -> Result<Value, PatchError> {
    match patch {
        Value::Object(_) => {
            let mut merged = live.clone();
            merge_into(&mut merged, patch);
            Ok(merged)
        }
        Value::Null => Err(PatchError::bad_request("Invalid JSON Patch")),
        other => Err(PatchError::bad_request(format!("error decoding patch: {}", not_a_map(other)))),
    }
}

fn not_a_map(value: &Value) -> String {
    format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", go_kind(value))
}

/// RFC 7396 in place: null removes, objects merge, the rest replaces.
pub fn merge_into(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, change) in changes {
        if change.is_null() {
            fields.remove(key);
        } else {
            merge_into(fields.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// A tree as Go prints it with `%v`: `map[a:1 b:[x y]]`.
pub fn go_print(value: &Value) -> String {
    let mut text = String::new();
    print(value, &mut text);
    text
}

/// wire: the type that a decoded value has inside the upstream server, as texts name it.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::String(text) => out.push_str(text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                print(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push_str("map[");
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                print(field, out);
            }
            out.push(']');
        }
        scalar => {
            let written = write!(out, "{scalar}");
            debug_assert!(written.is_ok(), "writing to a String");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merge_patches_follow_the_standard_and_refuse_as_upstream() {
        let live = json!({"a": {"b": 1, "c": 2}, "l": [1]});
        let patch = json!({"a": {"b": null, "d": {"e": null, "f": 1}}, "l": [2]});
        assert_eq!(merge(&live, &patch).expect("merged"), json!({"a": {"c": 2, "d": {"f": 1}}, "l": [2]}));
        let refusal = |patch: Value| merge(&live, &patch).expect_err("refused").message;
        assert_eq!(refusal(Value::Null), "Invalid JSON Patch");
        let text = "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(refusal(json!([])), text);
    }

    #[test]
    fn trees_print_as_in_go() {
        assert_eq!(
            go_print(&json!({"b": ["x", 1, null], "a": {"$patch": true}})),
            "map[a:map[$patch:true] b:[x 1 <nil>]]"
        );
    }
}
