//! Inputs that are JSON trees, changed as trees: so that what comes out is still JSON, and gets past the decoder.

use serde_json::{Map, Number, Value, json};

use crate::Random;

/// Deepest nesting that is made.
const DEPTH: usize = 60;
const TEXTS: [&str; 22] = [
    "",
    "a",
    "b",
    "0",
    "-1",
    "é",
    "🦀",
    "\u{0}",
    "a/b",
    "~",
    "true",
    "null",
    "10Mi",
    "1.5",
    "50%",
    "delete",
    "replace",
    "merge",
    "2026-01-01T00:00:00Z",
    "AA==",
    "name",
    "a.b.c/d",
];
const NAMES: [&str; 24] = [
    "a",
    "b",
    "name",
    "kind",
    "apiVersion",
    "metadata",
    "spec",
    "status",
    "items",
    "labels",
    "$patch",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    "containers",
    "env",
    "managedFields",
    "f:a",
    "k:{}",
    "",
    ".",
    "type",
    "properties",
    "default",
];
const NUMBERS: [i64; 10] = [0, 1, -1, 2, i64::MAX, i64::MIN, i32::MAX as i64, i32::MIN as i64 - 1, 65_536, 1 << 53];

/// A tree like `base`, with parts of `other` at times.
pub fn tree(random: &mut Random, base: &Value, other: &Value) -> Value {
    let mut value = base.clone();
    for _ in 0..=random.below(3) {
        let count = size(&value);
        let at = random.below(count);
        change(random, &mut value, at, other);
    }
    value
}

/// How many values a tree is of.
pub fn size(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(size).sum(),
        Value::Array(items) => items.iter().map(size).sum(),
        _ => 0,
    }
}

/// How deep a tree is.
pub fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The value at that place of the walk from the root.
pub fn nth(value: &mut Value, at: usize) -> Option<&mut Value> {
    fn find<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
        if *at == 0 {
            return Some(value);
        }
        *at -= 1;
        match value {
            Value::Object(fields) => fields.values_mut().find_map(|field| find(field, at)),
            Value::Array(items) => items.iter_mut().find_map(|item| find(item, at)),
            _ => None,
        }
    }
    find(value, &mut { at })
}

fn change(random: &mut Random, root: &mut Value, at: usize, other: &Value) {
    let from_other = {
        let mut other = other.clone();
        let place = random.below(size(&other));
        nth(&mut other, place).map(Value::take).unwrap_or_default()
    };
    let room = DEPTH.saturating_sub(depth(root));
    let Some(value) = nth(root, at) else { return };
    match random.below(9) {
        0 => *value = scalar(random),
        1 => *value = from_other,
        2 => {
            let levels = random.below(room.min(8) + 1);
            for _ in 0..levels {
                *value = if random.once_in(2) { json!([value.take()]) } else { json!({"a": value.take()}) };
            }
        }
        3 => *value = Value::Null,
        _ => match value {
            Value::Object(fields) => change_fields(random, fields, from_other),
            Value::Array(items) => change_items(random, items, from_other),
            scalar_there => *scalar_there = scalar(random),
        },
    }
}

fn change_fields(random: &mut Random, fields: &mut Map<String, Value>, from_other: Value) {
    let key = |random: &mut Random, fields: &Map<String, Value>| {
        let at = random.below(fields.len());
        fields.keys().nth(at).cloned().unwrap_or_default()
    };
    match random.below(4) {
        0 => {
            let name = key(random, fields);
            fields.remove(&name);
        }
        1 => {
            let name = key(random, fields);
            let moved = fields.remove(&name).unwrap_or_default();
            fields.insert((*random.pick(&NAMES)).to_owned(), moved);
        }
        2 => drop(fields.insert((*random.pick(&NAMES)).to_owned(), from_other)),
        _ => drop(fields.insert((*random.pick(&NAMES)).to_owned(), scalar(random))),
    }
}

fn change_items(random: &mut Random, items: &mut Vec<Value>, from_other: Value) {
    let at = random.below(items.len());
    match random.below(4) {
        0 if !items.is_empty() => drop(items.remove(at)),
        1 if !items.is_empty() => items.push(items[at].clone()),
        2 if !items.is_empty() => {
            let to = random.below(items.len());
            items.swap(at, to);
        }
        _ => items.push(from_other),
    }
}

/// Some scalar.
pub fn scalar(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::Null,
        1 => Value::Bool(random.once_in(2)),
        2 => Value::from(*random.pick(&NUMBERS)),
        3 => Number::from_f64(*random.pick(&[0.5, -0.0, 1e300, 1e-300, 3.0])).map_or(Value::Null, Value::Number),
        4 => Value::from("x".repeat(random.below(300))),
        _ => Value::from(*random.pick(&TEXTS)),
    }
}
