//! Objects as typed structures, for rules that read many fields.

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
    T::deserialize(value).map_err(|error| FieldError {
        path: path.clone(),
        reason: "FieldValueTypeInvalid",
        message: format!("Invalid value: {error}"),
    })
}
