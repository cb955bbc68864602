//! Columns that many kinds share, and how cells are made.

use jiff::Timestamp;
use serde_json::Value;

use crate::age;
use crate::row::Column;
use crate::tree::str_at;

/// The name column.
pub const NAME: Column =
    Column { format: "name", ..Column::field("Name", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.name") };
/// The age column.
pub const AGE: Column = Column::field("Age", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta.creationTimestamp");

/// The columns of a kind with nothing else to show.
pub static NAME_AND_AGE: &[Column] = &[NAME, AGE];

/// The cells for `NAME_AND_AGE`.
pub fn name_and_age(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age_of(object, now)]
}

/// The name cell.
pub fn name(object: &Value) -> Value {
    Value::from(str_at(object, "/metadata/name"))
}

/// The age cell.
pub fn age_of(object: &Value, now: Timestamp) -> Value {
    Value::from(age::since(object, "/metadata/creationTimestamp", now))
}

/// `text`, or `<none>` where it is empty.
pub fn or_none(text: impl Into<String>) -> Value {
    let text = text.into();
    Value::from(if text.is_empty() { "<none>".to_owned() } else { text })
}
