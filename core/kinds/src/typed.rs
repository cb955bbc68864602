//! Objects as typed structures, for rules that read many fields.
//!
//! wire: Go writes null for times, lists and maps that are not set, also where the API says that they are required.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::field::{FieldError, Path};

/// The object as its type.
pub fn whole<T: DeserializeOwned>(object: &Value) -> Result<T, FieldError> {
    read(object, &Path::default())
}

/// The field `name` of the object as its type; the type's empty value where it is absent.
pub fn part<T: DeserializeOwned + Default>(object: &Value, name: &str, path: &Path) -> Result<T, FieldError> {
    object.get(name).filter(|v| !v.is_null()).map_or_else(|| Ok(T::default()), |value| read(value, path))
}

fn read<T: DeserializeOwned>(value: &Value, path: &Path) -> Result<T, FieldError> {
    // The schema has checked every type before: this says what it missed.
    decode(value).map_err(|error| FieldError {
        path: path.clone(),
        reason: "FieldValueTypeInvalid",
        message: format!("Invalid value: {error}"),
    })
}

/// The value as its type, with null as Go means it: a time that is null is the zero time, everything else that is
/// null is not there.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(value).or_else(|_| T::deserialize(without_nulls(value)))
}

/// Go's zero time.
const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().filter_map(|(name, value)| set(name, value)).collect()),
        Value::Array(items) => Value::Array(items.iter().map(without_nulls).collect()),
        other => other.clone(),
    }
}

fn set(name: &str, value: &Value) -> Option<(String, Value)> {
    let time = name.ends_with("Time") || name.ends_with("Timestamp");
    match value {
        Value::Null if time => Some((name.to_owned(), Value::from(ZERO_TIME))),
        Value::Null => None,
        other => Some((name.to_owned(), without_nulls(other))),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use serde_json::json;

    use super::*;

    #[test]
    fn null_is_what_is_not_set() {
        let condition =
            json!({"type": "Ok", "status": "True", "lastTransitionTime": null, "reason": "r", "message": ""});
        let service = json!({"metadata": {"name": "a", "labels": null}, "spec": {"ports": null}, "status": {"conditions": [condition]}});
        let read: Service = whole(&service).expect("a service");
        assert_eq!(read.status.and_then(|s| s.conditions).map(|c| c.len()), Some(1));
        assert!(whole::<Service>(&json!({"metadata": {"name": 1}})).is_err());
    }
}
