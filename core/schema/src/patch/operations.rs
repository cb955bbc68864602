//! JSON patch (RFC 6902), with what upstream allows beyond it: a `replace` or `copy` of nothing, negative indexes,
//! a missing value as null.

use serde_json::Value;

use super::PatchError;
use crate::decode::go_kind;

/// Most operations in one patch.
const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch.
pub fn json(live: &Value, patch: &Value) -> Result<Value, PatchError> {
    let wrong = |value: &Value, go: &str| {
        let kind = go_kind(value);
        Err(PatchError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type {go}"
        )))
    };
    let operations = match patch {
        Value::Array(operations) => operations.as_slice(),
        Value::Null => &[],
        other => return wrong(other, "[]handlers.jsonPatchOp"),
    };
    if let Some(other) = operations.iter().find(|o| !o.is_object() && !o.is_null()) {
        return wrong(other, "handlers.jsonPatchOp");
    }
    if operations.len() > MAX_OPERATIONS {
        let count = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}");
        return Err(PatchError { code: 413, reason: "RequestEntityTooLarge", message });
    }
    operate(live, operations).map_err(|_| PatchError::does_not_fit())
}

/// Why an operation does not fit the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A test found another value.
    #[error("testing value failed")]
    Test,
    /// What it names is not there, or it is no operation.
    #[error("{0}")]
    Other(String),
}

/// Applies operations one after the other; the first that does not fit ends it.
pub fn operate(live: &Value, operations: &[Value]) -> Result<Value, Misfit> {
    let mut document = live.clone();
    operations.iter().try_for_each(|operation| apply(&mut document, operation))?;
    Ok(document)
}

fn apply(document: &mut Value, operation: &Value) -> Result<(), Misfit> {
    let other = |why: String| Misfit::Other(format!("{why}: missing value"));
    let text = |key: &str| operation[key].as_str();
    let (name, path) = (text("op").unwrap_or_default(), text("path").unwrap_or_default());
    let value = || operation.get("value").cloned().unwrap_or(Value::Null);
    let from = text("from").unwrap_or_default();
    let missing = |path: &str| other(format!("{name} operation does not apply: doc is missing path: {path:?}"));
    let gone = |document: &mut Value, path: &str, shown: &str| {
        let key = steps(path).pop().unwrap_or_default();
        let way = find(document, path).is_some();
        let nonexistent =
            other(format!("error in {name} for path: '{shown}': Unable to remove nonexistent key: {key}"));
        take(document, path).ok_or(if way { nonexistent } else { missing(path) })
    };
    if text("path").is_none() {
        return Err(missing(""));
    }
    match name {
        "add" => put(document, path, value(), true).ok_or_else(|| missing(path)),
        "replace" => put(document, path, value(), false).ok_or_else(|| missing(path)),
        "remove" => gone(document, path, path).map(drop),
        "move" => {
            // wire: the last step of where it comes from is told, not the path.
            let shown = steps(from).pop().unwrap_or_default();
            let moved = gone(document, from, &shown)?;
            put(document, path, moved, true).ok_or_else(|| missing(path))
        }
        "copy" => {
            let copied = find(document, from).ok_or_else(|| missing(from))?;
            put(document, path, copied, true).ok_or_else(|| missing(path))
        }
        "test" => match find(document, path) {
            Some(found) if found == value() => Ok(()),
            Some(_) => Err(Misfit::Test),
            None => Err(other(format!("test operation does not apply: is missing path: {path}"))),
        },
        unknown => Err(Misfit::Other(format!("Unexpected kind: {unknown}"))),
    }
}

/// The steps of a pointer. What precedes the first slash is passed over, as upstream does.
fn steps(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
}

/// The container that holds the last step, and that step; `None` for the whole document or a missing container.
fn holder<'a>(document: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut steps = steps(path);
    let last = steps.pop()?;
    let mut at = document;
    for step in steps {
        at = match at {
            Value::Object(fields) => fields.get_mut(&step)?,
            Value::Array(items) => {
                let index = index(&step, items.len())?;
                items.get_mut(index)?
            }
            _ => return None,
        };
    }
    Some((at, last))
}

fn index(step: &str, length: usize) -> Option<usize> {
    match step.strip_prefix('-') {
        Some(back) => length.checked_sub(back.parse().ok()?),
        None => step.parse().ok(),
    }
}

fn put(document: &mut Value, path: &str, value: Value, insert: bool) -> Option<()> {
    let (holder, step) = holder(document, path)?;
    match holder {
        Value::Object(fields) => {
            fields.insert(step, value);
        }
        Value::Array(items) if insert && step == "-" => items.push(value),
        Value::Array(items) if insert => {
            // A negative index counts from behind the new element.
            let at = index(&step, items.len() + usize::from(step.starts_with('-'))).filter(|at| *at <= items.len())?;
            items.insert(at, value);
        }
        Value::Array(items) => {
            let at = index(&step, items.len())?;
            *items.get_mut(at)? = value;
        }
        _ => return None,
    }
    Some(())
}

fn take(document: &mut Value, path: &str) -> Option<Value> {
    let (holder, step) = holder(document, path)?;
    match holder {
        Value::Object(fields) => fields.remove(&step),
        Value::Array(items) => {
            let at = index(&step, items.len()).filter(|at| *at < items.len())?;
            Some(items.remove(at))
        }
        _ => None,
    }
}

/// The value at a path: null for a field that is not there, `None` where the way to it is missing.
fn find(document: &mut Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return Some(document.clone());
    }
    let (holder, step) = holder(document, path)?;
    match holder {
        Value::Object(fields) => Some(fields.get(&step).cloned().unwrap_or_default()),
        Value::Array(items) => items.get(index(&step, items.len())?).cloned(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_what_they_name() {
        let check = |patch: Value, expected: Value| {
            let live = json!({"a": {"b": 1}, "l": ["x", "y"], "s/t": 0});
            let message = |e: PatchError| json!(e.message.split(": ").next());
            assert_eq!(super::json(&live, &patch).unwrap_or_else(message), expected, "{patch}");
        };
        let whole = |a: Value, l: Value, s: Value| json!({"a": a, "l": l, "s/t": s});
        let (a, l, s) = (json!({"b": 1}), json!(["x", "y"]), json!(0));
        check(json!([]), whole(a.clone(), l.clone(), s.clone()));
        check(json!([{"op": "add", "path": "/a/c"}]), whole(json!({"b": 1, "c": null}), l.clone(), s.clone()));
        check(
            json!([{"op": "replace", "path": "/a/c", "value": 2}]),
            whole(json!({"b": 1, "c": 2}), l.clone(), s.clone()),
        );
        check(
            json!([{"op": "add", "path": "/l/1", "value": "z"}]),
            whole(a.clone(), json!(["x", "z", "y"]), s.clone()),
        );
        check(
            json!([{"op": "add", "path": "/l/-", "value": "z"}]),
            whole(a.clone(), json!(["x", "y", "z"]), s.clone()),
        );
        check(
            json!([{"op": "replace", "path": "/l/-1", "value": "z"}]),
            whole(a.clone(), json!(["x", "z"]), s.clone()),
        );
        check(json!([{"op": "remove", "path": "/l/0"}]), whole(a.clone(), json!(["y"]), s.clone()));
        check(json!([{"op": "move", "from": "/a/b", "path": "/s~1t"}]), whole(json!({}), l.clone(), json!(1)));
        check(json!([{"op": "test", "path": "/a/b", "value": 1}]), whole(a.clone(), l.clone(), s.clone()));
        check(json!([{"op": "test", "path": "/a/none", "value": null}]), whole(a, l, s));
        let refused = json!("the server rejected our request due to an error in our request");
        for operation in [
            json!({"op": "frob", "path": "/a"}),
            json!({"op": "add", "value": 1}),
            json!({"op": "test", "path": "/a/b", "value": 2}),
            json!({"op": "remove", "path": "/a/c"}),
            json!({"op": "remove", "path": ""}),
            json!({"op": "replace", "path": "", "value": {}}),
            json!({"op": "add", "path": "/x/y", "value": 1}),
            json!({"op": "add", "path": "/l/7", "value": 1}),
            json!({"op": "remove", "path": "/l/foo"}),
            json!({"op": "replace", "path": "/l/-", "value": 1}),
            json!({"op": "move", "from": "/a/c", "path": "/d"}),
        ] {
            check(json!([operation]), refused.clone());
        }
        check(json!({}), json!("error decoding patch"));
        check(json!([1]), json!("error decoding patch"));
    }
}
