//! Objects as typed structures, for rules that read many fields.
//!
//! wire: Go writes null for times, lists and maps that are not set, also where the API says that they are required.

use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
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
/// null is not there. Managed fields are left out: no rule reads them, and they are as large as the rest.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(Unmanaged(value)).or_else(|_| T::deserialize(Unmanaged(&without_nulls(value))))
}

/// A value whose objects show no managed fields. These are a list: a label of that name is none.
struct Unmanaged<'a>(&'a Value);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Unmanaged<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Unmanaged<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let Value::Object(fields) = self.0 else { return self.0.deserialize_any(visitor) };
        let kept = fields.iter().filter(|(name, value)| *name != "managedFields" || !value.is_array());
        visitor.visit_map(MapDeserializer::new(kept.map(|(name, value)| (name.as_str(), Unmanaged(value)))))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct enum map struct identifier ignored_any
    }
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

    #[test]
    fn managed_fields_are_left_out_and_labels_of_that_name_are_not() {
        let metadata = json!({"labels": {"managedFields": "x"}, "managedFields": [{"manager": "m"}]});
        let service: Service = whole(&json!({"metadata": metadata})).expect("a service");
        assert_eq!(service.metadata.managed_fields, None);
        assert_eq!(service.metadata.labels.map(|labels| labels.len()), Some(1));
    }
}
