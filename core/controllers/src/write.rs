//! Making intents: guarded patches, deletions and events.

use std::sync::Arc;

use gantry_view::{Intent, Object, ObjectKey};
use serde_json::{Map, Value, json};

/// A merge patch of `object` that holds only for the revision that was looked at.
pub(crate) fn patch(object: &Object, subresource: &'static str, mut body: Value) -> Intent {
    let meta = &mut body["metadata"];
    meta["uid"] = Value::from(object.uid());
    meta["resourceVersion"] = Value::from(object.header.revision.to_string());
    Intent::Patch { key: object.key().clone(), subresource, patch: body }
}

/// A merge patch of `object` that holds for any revision of this very object.
pub(crate) fn patch_any(object: &Object, subresource: &'static str, mut body: Value) -> Intent {
    body["metadata"]["uid"] = Value::from(object.uid());
    Intent::Patch { key: object.key().clone(), subresource, patch: body }
}

/// What turns the status of `object` from `old` into `new`; `None` when they are the same.
pub(crate) fn status(object: &Object, old: &Value, new: &Value) -> Option<Intent> {
    difference(old, new).map(|change| patch(object, "status", json!({"status": change})))
}

/// A deletion with the kind's own propagation and grace, of this very object.
pub(crate) fn delete(object: &Object) -> Intent {
    Intent::Delete {
        key: object.key().clone(),
        uid: object.uid().to_owned(),
        revision: None,
        propagation: None,
        grace_seconds: None,
    }
}

/// A deletion without grace, of this very object.
pub(crate) fn delete_now(object: &Object) -> Intent {
    let (key, uid) = (object.key().clone(), object.uid().to_owned());
    Intent::Delete { key, uid, revision: None, propagation: None, grace_seconds: Some(0) }
}

/// An ordinary event.
pub(crate) fn normal(about: &ObjectKey, reason: &'static str, message: String) -> Intent {
    Intent::Event { about: about.clone(), kind: "Normal", reason, message }
}

/// An event that somebody should look at.
pub(crate) fn warning(about: &ObjectKey, reason: &'static str, message: String) -> Intent {
    Intent::Event { about: about.clone(), kind: "Warning", reason, message }
}

/// The RFC 7396 merge patch that turns `old` into `new`; `None` when they are the same.
pub(crate) fn difference(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(new), empty) = (new, Map::new()) else { return Some(new.clone()) };
    let old = old.as_object().unwrap_or(&empty);
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            Some(before) => {
                if let Some(change) = difference(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Puts `number` under `key` unless it is zero, as fields that are left out when empty are written.
pub(crate) fn count(map: &mut Map<String, Value>, key: &str, number: i64) {
    if number == 0 {
        map.remove(key);
    } else {
        map.insert(key.to_owned(), Value::from(number));
    }
}

/// The oldest first; by name among those of one second.
pub(crate) fn by_age(a: &Arc<Object>, b: &Arc<Object>) -> std::cmp::Ordering {
    a.header.created.cmp(&b.header.created).then_with(|| a.cmp_key(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(old: Value, new: Value, expected: Option<Value>) {
        assert_eq!(difference(&old, &new), expected);
    }

    #[test]
    fn a_difference_says_what_changed_and_no_more() {
        check(json!({"a": 1}), json!({"a": 1}), None);
        check(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), Some(json!({"b": 3})));
        check(json!({"a": 1, "b": 2}), json!({"b": 2}), Some(json!({"a": null})));
        check(json!({"a": {"x": 1, "y": 1}}), json!({"a": {"x": 2, "y": 1}}), Some(json!({"a": {"x": 2}})));
        check(json!({"a": [1, 2]}), json!({"a": [2]}), Some(json!({"a": [2]})));
        check(Value::Null, json!({"a": 1}), Some(json!({"a": 1})));
        check(Value::Null, json!({}), None);
    }
}
