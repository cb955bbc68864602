//! Conditions of objects: finding one, and saying one more.

use gantry_kinds::tree::{list_at, str_at};
use serde_json::{Value, json};

/// The condition of that type.
pub(crate) fn find<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list_at(object, "/status/conditions").iter().find(|condition| str_at(condition, "/type") == kind)
}

/// All conditions of an object and one more, which is true.
pub(crate) fn with(object: &Value, kind: &str, reason: &str, message: &str) -> Value {
    let mut conditions = list_at(object, "/status/conditions").to_vec();
    conditions.push(json!({"type": kind, "status": "True", "reason": reason, "message": message}));
    conditions.into()
}
