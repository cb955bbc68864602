//! Label selectors inside objects that are read as trees.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::field::{ErrorList, Path, shown};
use crate::rules;
use crate::typed;

/// Checks the label selector under `key`, where there is one.
pub fn check(object: &Value, key: &str, path: &Path, errors: &mut ErrorList) {
    let path = path.child(key);
    match typed::part::<LabelSelector>(object, key, &path) {
        Ok(selector) => rules::label_selector(&selector, &path, errors),
        Err(error) => errors.push(error),
    }
}

/// A term of a node selector as error messages show it.
// wire: terms are told of under the names of the fields in memory.
pub(super) fn show_term(term: &Value) -> String {
    let one = |requirement: &Value| {
        let text =
            |field: &str| shown(&Value::from(requirement.get(field).and_then(Value::as_str).unwrap_or_default()));
        let values = shown(requirement.get("values").unwrap_or(&Value::Null));
        format!("{{\"Key\":{},\"Operator\":{},\"Values\":{values}}}", text("key"), text("operator"))
    };
    let list = |field: &str| match term.get(field).and_then(Value::as_array) {
        None => "null".to_owned(),
        Some(all) => format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(",")),
    };
    format!("{{\"MatchExpressions\":{},\"MatchFields\":{}}}", list("matchExpressions"), list("matchFields"))
}

/// The terms of a node selector as error messages show them.
pub(super) fn show_terms(terms: &[Value]) -> String {
    format!("[{}]", terms.iter().map(show_term).collect::<Vec<_>>().join(","))
}
