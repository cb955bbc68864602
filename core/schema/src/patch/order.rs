//! `$setElementOrder`: puts a merged list into the order that the patch's author saw, keeping what the author did not
//! know of where it was.

use serde_json::Value;

use super::{PatchError, go_print};

/// Orders `merged`. `original` is the list before the patch, `named` the patch's own elements, `wanted` the order.
pub(super) fn arrange(
    merged: Vec<Value>,
    original: &[Value],
    named: &[Value],
    wanted: &[Value],
    key: &str,
) -> Result<Vec<Value>, PatchError> {
    let place = |list: &[Value], item: &Value| list.iter().position(|other| same(other, item, key));
    let places: Option<Vec<usize>> = named.iter().map(|item| place(wanted, item)).collect();
    if !places.is_some_and(|places| places.is_sorted()) {
        let (named, wanted) = (go_print(&Value::from(named)), go_print(&Value::from(wanted)));
        let text = format!("The order in patch list:\n{named}\n doesn't match $setElementOrder list:\n{wanted}\n");
        return Err(PatchError::unexplained(text));
    }
    let (mut ordered, unknown): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| place(wanted, item).is_some());
    ordered.sort_by_key(|item| place(wanted, item));
    let mut result = Vec::with_capacity(ordered.len() + unknown.len());
    let mut unknown = unknown.into_iter().peekable();
    for item in ordered {
        if let Some(at) = place(original, &item) {
            while let Some(other) = unknown.next_if(|other| place(original, other).is_some_and(|o| o < at)) {
                result.push(other);
            }
        }
        result.push(item);
    }
    result.extend(unknown);
    Ok(result)
}

fn same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() { a == b } else { a.get(key).is_some() && a.get(key) == b.get(key) }
}
