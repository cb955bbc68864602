//! Reading and filling JSON trees by field.

use serde_json::{Map, Value};

/// The scalar at a JSON pointer as text; empty where absent.
pub fn text(object: &Value, pointer: &str) -> String {
    text_or(object, pointer, "")
}

/// The scalar at a JSON pointer as text, or `absent`.
pub fn text_or(object: &Value, pointer: &str, absent: &str) -> String {
    match object.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(yes)) => yes.to_string(),
        Some(Value::Number(number)) => number.to_string(),
        _ => absent.to_owned(),
    }
}

/// The string at a JSON pointer; empty where absent.
pub fn str_at<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number at a JSON pointer.
pub fn int_at(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The elements of the list at a JSON pointer; none where absent.
pub fn list_at<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The entries of the map at a JSON pointer; none where absent.
pub fn map_at<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    object.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

/// Whether a map has a value under `key` that is not null.
pub fn has(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key).is_some_and(|v| !v.is_null())
}

/// Puts `value` under `key` where nothing or null is there.
pub fn set_default(map: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    if !has(map, key) {
        map.insert(key.to_owned(), value.into());
    }
}

/// Puts `value` under `key` where nothing, null or the empty text is.
pub fn fill(map: &mut Map<String, Value>, key: &str, value: &str) {
    if map.get(key).and_then(Value::as_str).is_none_or(str::is_empty) {
        map.insert(key.to_owned(), Value::from(value));
    }
}

/// The map under `key`, if there is one.
pub fn child<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.get_mut(key).and_then(Value::as_object_mut)
}

/// The map under `key`, made where there is none.
pub fn child_or_new<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = map.entry(key).or_insert(Value::Null);
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was made an object")
}

/// The maps in the list under `key`.
pub fn children<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> + use<'a> {
    map.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Gives `new` the field `key` of `old`, or takes it away where `old` has none.
pub fn keep(new: &mut Value, old: &Value, key: &str) {
    let Some(map) = new.as_object_mut() else { return };
    match old.get(key) {
        Some(before) => map.insert(key.to_owned(), before.clone()),
        None => map.remove(key),
    };
}

/// Takes a field away.
pub fn remove(object: &mut Value, key: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(key);
    }
}
