//! What is done to a valid object before it is sent, and the patches of one.

use serde_json::{Value, json};

use super::Seeded;

/// An object with one thing wrong, or none; as text, as some faults are not JSON values.
pub fn mutated(object: &Value, seeded: &mut Seeded) -> String {
    let mut object = object.clone();
    let mut paths = Vec::new();
    collect(&object, String::new(), &mut paths);
    let path = seeded.pick(&paths).clone();
    match seeded.below(12) {
        0 => {}
        1 | 2 => remove(&mut object, &path),
        3 | 4 => set(&mut object, &path, seeded.pick(&wrong()).clone()),
        5 => set(&mut object, &path, Value::Null),
        6 => add(&mut object, &path, ("unknownField", json!(1))),
        7 => return doubled(&object, &path),
        8 => set(&mut object, "/metadata/name", json!(seeded.pick(&["", "Bad_Name", "a/b", "..", "-a", "a.b", "Ü"]))),
        9 => generated(&mut object),
        10 => metadata(&mut object, seeded),
        _ => return (*seeded.pick(&["", "{", "[]", "null", "\"a\"", "{}", "{\"kind\":1}"])).to_owned(),
    }
    object.to_string()
}

/// The object with one value changed to another of its type.
pub fn changed(object: &Value, seeded: &mut Seeded) -> Value {
    let mut object = object.clone();
    let mut paths = Vec::new();
    collect(&object, String::new(), &mut paths);
    paths.retain(|path| !["/metadata", "/kind", "/apiVersion"].iter().any(|start| path.starts_with(start)));
    paths.retain(|path| object.pointer(path).is_some_and(|value| !value.is_object() && !value.is_array()));
    if paths.is_empty() {
        return object;
    }
    let path = seeded.pick(&paths).clone();
    let other = match object.pointer(&path) {
        Some(Value::Bool(truth)) => Value::Bool(!truth),
        Some(Value::Number(number)) => json!(number.as_i64().unwrap_or_default() + 1),
        Some(Value::String(text)) => json!(format!("{text}2")),
        _ => Value::Null,
    };
    set(&mut object, &path, other);
    object
}

/// A patch's type and text.
pub fn patch(object: &Value, seeded: &mut Seeded) -> (&'static str, String) {
    let mut paths = Vec::new();
    collect(object, String::new(), &mut paths);
    let path = seeded.pick(&paths).clone();
    let value = seeded.pick(&wrong()).clone();
    match seeded.below(4) {
        0 => {
            let operation = *seeded.pick(&["add", "remove", "replace", "test", "move", "bad"]);
            let place = if seeded.below(4) == 0 { "/metadata/labels/none".to_owned() } else { path };
            ("application/json-patch+json", json!([{"op": operation, "path": place, "value": value}]).to_string())
        }
        1 => ("application/merge-patch+json", nested(&path, value).to_string()),
        2 => ("application/strategic-merge-patch+json", nested(&path, value).to_string()),
        _ => {
            let mut applied = object.clone();
            if seeded.below(2) == 0 {
                set(&mut applied, &path, value);
            }
            ("application/apply-patch+yaml", applied.to_string())
        }
    }
}

fn wrong() -> [Value; 14] {
    [
        json!("text"),
        json!(""),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(2_147_483_648_i64),
        json!(i64::MAX),
        json!(true),
        json!([]),
        json!({}),
        json!([1]),
        json!({"a": 1}),
        json!("a\u{0}b"),
        Value::Null,
    ]
}

fn collect(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, below) in fields {
                collect(below, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), paths);
            }
        }
        Value::Array(items) => {
            for (number, below) in items.iter().enumerate() {
                collect(below, format!("{path}/{number}"), paths);
            }
        }
        _ => {}
    }
    if !path.is_empty() {
        paths.push(path);
    }
}

fn set(object: &mut Value, path: &str, value: Value) {
    if let Some(place) = object.pointer_mut(path) {
        *place = value;
    }
}

fn remove(object: &mut Value, path: &str) {
    let (parent, name) = path.rsplit_once('/').unwrap_or_default();
    match object.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(&name.replace("~1", "/"))),
        Some(Value::Array(items)) => drop(name.parse().map(|number: usize| items.remove(number))),
        _ => {}
    }
}

fn add(object: &mut Value, path: &str, (name, value): (&str, Value)) {
    let parent = path.rsplit_once('/').unwrap_or_default().0;
    if let Some(Value::Object(fields)) = object.pointer_mut(parent) {
        fields.insert(name.to_owned(), value);
    }
}

/// One field twice, which no JSON value can hold.
fn doubled(object: &Value, path: &str) -> String {
    let mut object = object.clone();
    add(&mut object, path, ("doubled\u{1}", json!(1)));
    let name = path.rsplit('/').next().unwrap_or_default().replace("~1", "/");
    object.to_string().replace("doubled\\u0001", &name)
}

fn generated(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("name");
        metadata.insert("generateName".to_owned(), json!("made-"));
    }
}

fn metadata(object: &mut Value, seeded: &mut Seeded) {
    let bits = [
        ("labels", json!({"a b": "c"})),
        ("labels", json!({"a": "-"})),
        ("annotations", json!({"UPPER/x": "", "": "y"})),
        ("finalizers", json!(["none", "example.com/a"])),
        ("ownerReferences", json!([{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": ""}])),
        ("ownerReferences", json!([{"apiVersion": "v1", "kind": "Event", "name": "a", "uid": "b"}])),
        ("resourceVersion", json!("1")),
        ("uid", json!("mine")),
        ("creationTimestamp", json!("yesterday")),
        ("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        ("generation", json!(-1)),
        ("namespace", json!("another")),
        ("managedFields", json!([{"operation": "None"}])),
        ("generateName", json!("Bad_")),
    ];
    let (name, value) = seeded.pick(&bits).clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.insert(name.to_owned(), value);
    }
}

/// A merge patch that sets one place; in a list it sets the whole list.
fn nested(path: &str, value: Value) -> Value {
    let names = path.split('/').skip(1).take_while(|name| name.parse::<usize>().is_err());
    let names: Vec<String> = names.map(|name| name.replace("~1", "/")).collect();
    names.iter().rev().fold(value, |below, name| json!({ name: below }))
}
