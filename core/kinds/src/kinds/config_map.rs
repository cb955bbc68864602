//! ConfigMaps, and the rules of keyed data that Secrets share.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::tree::map_at;

/// The row of `ConfigMap`.
pub static CONFIG_MAP: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    version_of: None,
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.ConfigMap",
    strategy: &ConfigMapStrategy,
    columns: &[NAME, Column::field("Data", "io.k8s.api.core.v1.ConfigMap.data"), AGE],
    cells,
    selectable: &[],
};

/// All the data of a ConfigMap or a Secret together may have this many bytes.
pub const DATA_MAX: usize = 1024 * 1024;
const FROZEN: &str = "field is immutable when `immutable` is set";

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = map_at(o, "/data").count() + map_at(o, "/binaryData").count();
    vec![name(o), Value::from(count), age_of(o, now)]
}

struct ConfigMapStrategy;

impl Strategy for ConfigMapStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let (data, binary) = (Path::new("data"), Path::new("binaryData"));
        let mut size = 0;
        for (key, value) in map_at(object, "/data") {
            errors.extend(FieldError::each(&data.key(key), key, names::config_map_key(key)));
            if object.get("binaryData").is_some_and(|b| b.get(key).is_some()) {
                let detail = "duplicate of key present in binaryData";
                errors.push(FieldError::invalid(&data.key(key), key.as_str(), detail));
            }
            size += value.as_str().map_or(0, str::len);
        }
        for (key, value) in map_at(object, "/binaryData") {
            errors.extend(FieldError::each(&binary.key(key), key, names::config_map_key(key)));
            size += decoded_len(value);
        }
        if size > DATA_MAX {
            // wire: the path of the whole object prints so.
            errors.push(FieldError::too_long(&Path::new("[]"), DATA_MAX));
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = check_frozen(new, old, &["data", "binaryData"]);
        errors.extend(self.validate(new));
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

/// Checks that an object marked `immutable` stays so, with `fields` as they are.
pub fn check_frozen(new: &Value, old: &Value, fields: &[&str]) -> ErrorList {
    let is_true = |object: &Value| object.get("immutable") == Some(&Value::Bool(true));
    let mut errors = ErrorList::new();
    if is_true(old) {
        if !is_true(new) {
            errors.push(FieldError::forbidden(&Path::new("immutable"), FROZEN));
        }
        for field in fields {
            if new.get(field) != old.get(field) {
                errors.push(FieldError::forbidden(&Path::new(field), FROZEN));
            }
        }
    }
    errors
}

/// How many bytes a base64 text stands for.
pub fn decoded_len(text: &Value) -> usize {
    let text = text.as_str().unwrap_or_default().trim_end_matches('=');
    text.len() * 3 / 4
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_and_size() {
        let check = |object: Value, expected: &[&str]| {
            let errors: Vec<_> = ConfigMapStrategy.validate(&object).iter().map(|e| e.path.to_string()).collect();
            assert_eq!(errors, expected);
        };
        check(json!({"data": {"a": "x"}, "binaryData": {"b": "eA=="}}), &[]);
        check(json!({"data": {"a": "x", "b/": ""}, "binaryData": {"a": "eA=="}}), &["data[a]", "data[b/]"]);
        check(json!({"data": {"a": "x".repeat(DATA_MAX + 1)}}), &["[]"]);
    }

    #[test]
    fn an_immutable_map_stays() {
        let old = json!({"immutable": true, "data": {"a": "b"}});
        let check = |new: Value, expected: &[&str]| {
            let errors = ConfigMapStrategy.validate_update(&new, &old, Update::Main);
            assert_eq!(errors.iter().map(|e| e.path.to_string()).collect::<Vec<_>>(), expected);
        };
        check(json!({"immutable": true, "data": {"a": "b"}}), &[]);
        check(json!({"data": {"a": "c"}}), &["immutable", "data"]);
    }
}
