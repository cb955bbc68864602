//! Strategic merge: lists of structs are merged by key, and directives say what plain JSON cannot.
//!
//! Directives: `$patch: replace|delete|merge`, `$retainKeys`, `$setElementOrder/FIELD`,
//! `$deleteFromPrimitiveList/FIELD`. None of them survives into the result.

use serde_json::{Map, Value};

use super::{PatchError, go_print, go_type, not_a_map, order};
use crate::types::{Field, PatchRule, Schema, Shape};

pub(super) const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

type Merged<T> = Result<T, PatchError>;

/// Applies a strategic merge patch to a value of the type of that name.
pub fn strategic(schema: &Schema, type_name: &str, live: &Value, patch: &Value) -> Merged<Value> {
    let changes = match patch {
        Value::Object(changes) => changes,
        Value::Null => return Ok(live.clone()),
        other => return Err(PatchError::bad_request(not_a_map(other))),
    };
    let shape = schema.id(type_name).map(Shape::Object);
    let original = live.as_object().cloned().unwrap_or_default();
    Merger { schema }.map(shape.as_ref(), original, changes).map(Value::Object)
}

struct Merger<'a> {
    schema: &'a Schema,
}

impl<'a> Merger<'a> {
    fn map(
        &self,
        shape: Option<&'a Shape>,
        mut original: Map<String, Value>,
        patch: &Map<String, Value>,
    ) -> Merged<Map<String, Value>> {
        match patch.get(PATCH) {
            None => {}
            Some(Value::String(word)) if word == "delete" => return Ok(Map::new()),
            Some(Value::String(word)) if word == "replace" => {
                return Ok(patch
                    .iter()
                    .filter(|(key, _)| *key != PATCH)
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect());
            }
            Some(_) => return Err(unknown_directive(patch)),
        }
        if let Some(keys) = patch.get(RETAIN_KEYS) {
            retain(&mut original, keys, patch)?;
        }
        for (key, wanted) in patch {
            if let Some(name) = key.strip_prefix(SET_ELEMENT_ORDER) {
                self.refuse_wrong_order(shape, &original, name, wanted, patch)?;
            }
        }
        for (key, change) in patch {
            if key == PATCH || key == RETAIN_KEYS {
                continue;
            }
            if key.starts_with(DELETE_FROM_LIST) {
                continue;
            }
            if let Some(name) = key.strip_prefix(SET_ELEMENT_ORDER) {
                if !patch.contains_key(name) {
                    self.list_field(shape, &mut original, name, &[], patch)?;
                }
            } else {
                self.field(shape, &mut original, key, change, patch)?;
            }
        }
        for (key, unwanted) in patch {
            if let Some(name) = key.strip_prefix(DELETE_FROM_LIST) {
                delete_from_list(&mut original, name, unwanted)?;
            }
        }
        Ok(original)
    }

    fn field(
        &self,
        shape: Option<&'a Shape>,
        original: &mut Map<String, Value>,
        key: &str,
        change: &Value,
        patch: &Map<String, Value>,
    ) -> Merged<()> {
        if change.is_null() {
            original.remove(key);
            return Ok(());
        }
        match (original.get_mut(key), change) {
            (Some(Value::Object(fields)), Value::Object(changes)) => {
                let fields = std::mem::take(fields);
                let merged = self.map(self.below(shape, key), fields, changes)?;
                original.insert(key.to_owned(), Value::Object(merged));
            }
            (Some(Value::Array(_)), Value::Array(items)) => self.list_field(shape, original, key, items, patch)?,
            (_, plain) => {
                original.insert(key.to_owned(), without_directives(plain));
            }
        }
        Ok(())
    }

    /// Merges `items` into the list `name` of `original`, which has such a list.
    fn list_field(
        &self,
        shape: Option<&'a Shape>,
        original: &mut Map<String, Value>,
        name: &str,
        items: &[Value],
        patch: &Map<String, Value>,
    ) -> Merged<()> {
        let rule = self.declared(shape, name).map(|f| &f.patch).cloned().unwrap_or_default();
        let wanted = patch.get(&format!("{SET_ELEMENT_ORDER}{name}")).and_then(Value::as_array).map(Vec::as_slice);
        let Some(Value::Array(existing)) = original.get_mut(name) else { return Ok(()) };
        let existing = std::mem::take(existing);
        let merged = if rule.merge {
            let element = match self.below(shape, name) {
                Some(Shape::List(inner)) => Some(&**inner),
                _ => None,
            };
            self.list(element, existing, items, wanted, &rule)?
        } else {
            items.to_vec()
        };
        original.insert(name.to_owned(), Value::Array(merged));
        Ok(())
    }

    fn list(
        &self,
        element: Option<&'a Shape>,
        original: Vec<Value>,
        items: &[Value],
        wanted: Option<&[Value]>,
        rule: &PatchRule,
    ) -> Merged<Vec<Value>> {
        let all = || original.iter().chain(items);
        let (maps, scalars) = (all().any(Value::is_object), all().any(|v| !v.is_object()));
        if maps && scalars {
            let both = Value::Array(vec![Value::Array(original), Value::Array(items.to_vec())]);
            return Err(PatchError::bad_request(format!("list element types are not identical: {}", go_print(&both))));
        }
        let mut key = rule.key.as_str();
        let mut merged = original.clone();
        let mut named = Vec::new();
        if maps && !key.is_empty() {
            if items.iter().any(|item| item[PATCH] == "merge") {
                return Err(PatchError::bad_request("merging lists cannot yet be specified in the patch"));
            }
            if items.iter().any(|item| item[PATCH] == "replace") {
                return Ok(items.iter().filter(|item| item.get(PATCH).is_none()).cloned().collect());
            }
            for item in items {
                self.element(element, &mut merged, item, key, &mut named)?;
            }
        } else {
            key = "";
            for item in items {
                if !merged.contains(item) {
                    merged.push(item.clone());
                }
                named.push(item.clone());
            }
        }
        // Without a wanted order the patch's own is meant. With one, upstream looks places up in the list as it is
        // after removals and additions, cut to its old length.
        let Some(wanted) = wanted else { return Ok(order::arrange(merged, &original, &named, key)) };
        let places = merged[..merged.len().min(original.len())].to_vec();
        Ok(order::arrange(merged, &places, wanted, key))
    }

    fn element(
        &self,
        shape: Option<&'a Shape>,
        merged: &mut Vec<Value>,
        item: &Value,
        key: &str,
        named: &mut Vec<Value>,
    ) -> Merged<()> {
        let Value::Object(changes) = item else { return Ok(()) };
        let Some(identity) = changes.get(key) else {
            let text = format!("map: {} does not contain declared merge key: {key}", go_print(item));
            return Err(PatchError::bad_request(text));
        };
        match changes.get(PATCH) {
            Some(word) if word == "delete" => {
                merged.retain(|existing| existing.get(key) != Some(identity));
                return Ok(());
            }
            Some(_) => return Err(unknown_directive(changes)),
            None => {}
        }
        named.push(item.clone());
        match merged.iter_mut().find(|existing| existing.get(key) == Some(identity)) {
            Some(Value::Object(existing)) => {
                let taken = std::mem::take(existing);
                *existing = self.map(shape, taken, changes)?;
            }
            _ => merged.push(item.clone()),
        }
        Ok(())
    }

    /// `$setElementOrder/NAME` must be a list that the patch's own list does not contradict.
    fn refuse_wrong_order(
        &self,
        shape: Option<&'a Shape>,
        original: &Map<String, Value>,
        name: &str,
        wanted: &Value,
        patch: &Map<String, Value>,
    ) -> Merged<()> {
        let Value::Array(wanted) = wanted else { return Err(not_a_list(wanted)) };
        let items = match patch.get(name) {
            None => return Ok(()),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(not_a_list(other)),
        };
        if items.is_empty() && original.get(name).and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(PatchError::bad_request("no elements in any of the given slices"));
        }
        let key = self.declared(shape, name).map_or("", |field| field.patch.key.as_str());
        if let Some(other) = items.iter().find(|item| !key.is_empty() && !item.is_object()) {
            let text = format!("expected a map[string]interface {{}}, but received a {}", go_type(other));
            return Err(PatchError::bad_request(text));
        }
        order::refuse_contradiction(items, wanted, key)
    }

    fn declared(&self, shape: Option<&Shape>, key: &str) -> Option<&'a Field> {
        match shape {
            Some(Shape::Object(id)) => self.schema.at(*id).fields.get(key),
            _ => None,
        }
    }

    fn below(&self, shape: Option<&'a Shape>, key: &str) -> Option<&'a Shape> {
        match shape {
            Some(Shape::Map(inner)) => Some(inner),
            _ => self.declared(shape, key).map(|field| &field.shape),
        }
    }
}

fn unknown_directive(patch: &Map<String, Value>) -> PatchError {
    let word = match patch.get(PATCH) {
        Some(Value::String(word)) => word.clone(),
        Some(other) => format!("%!s({}={})", go_type(other), go_print(other)),
        None => String::new(),
    };
    let whole = go_print(&Value::Object(patch.clone()));
    PatchError::bad_request(format!("unknown patch type: {word} in map: {whole}"))
}

fn not_a_list(value: &Value) -> PatchError {
    let got = if value.is_null() { "%!s(<nil>)" } else { go_type(value) };
    PatchError::bad_request(format!("expected a []interface {{}}, but received a {got}"))
}

fn retain(original: &mut Map<String, Value>, keys: &Value, patch: &Map<String, Value>) -> Merged<()> {
    let kept: Option<Vec<&str>> = keys.as_array().and_then(|keys| keys.iter().map(Value::as_str).collect());
    let fits = |kept: &[&str]| {
        let mut plain = patch.iter().filter(|(key, change)| !key.starts_with('$') && !change.is_null());
        plain.all(|(key, _)| kept.contains(&key.as_str()))
    };
    match kept {
        Some(kept) if fits(&kept) => {
            original.retain(|key, _| kept.contains(&key.as_str()));
            Ok(())
        }
        _ => Err(PatchError::bad_request("invalid patch format of retainKeys")),
    }
}

fn delete_from_list(original: &mut Map<String, Value>, name: &str, change: &Value) -> Merged<()> {
    let Some(Value::Array(items)) = original.get_mut(name) else { return Ok(()) };
    let Value::Array(unwanted) = change else {
        return Err(not_a_list(change));
    };
    items.retain(|item| !unwanted.contains(item));
    Ok(())
}

/// What a value that is new to the object leaves: no directive, no null.
fn without_directives(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(key, field)| !field.is_null() && !is_directive(key))
                .map(|(key, field)| (key.clone(), without_directives(field)))
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.iter().filter(|item| item.get(PATCH).is_none()).map(without_directives).collect())
        }
        scalar => scalar.clone(),
    }
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(SET_ELEMENT_ORDER) || key.starts_with(DELETE_FROM_LIST)
}
