//! `$setElementOrder`: puts a merged list into the order that the patch's author saw, keeping what the author did not
//! know of where it was.

use serde_json::Value;

use super::strategic::PATCH;
use super::{PatchError, go_print};

/// The elements that a patch names must come in the order that it wants.
pub(super) fn refuse_contradiction(named: &[Value], wanted: &[Value], key: &str) -> Result<(), PatchError> {
    let kept = named.iter().filter(|item| item.get(PATCH).is_none());
    let places: Option<Vec<usize>> = kept.map(|item| place(wanted, item, key)).collect();
    if places.is_some_and(|places| places.is_sorted()) {
        return Ok(());
    }
    let (named, wanted) = (go_print(&Value::from(named)), go_print(&Value::from(wanted)));
    let text = format!("The order in patch list:\n{named}\n doesn't match $setElementOrder list:\n{wanted}\n");
    Err(PatchError::bad_request(text))
}

/// Orders `merged` as `wanted`; `original` says where elements that `wanted` does not have belong among the others.
pub(super) fn arrange(merged: Vec<Value>, original: &[Value], wanted: &[Value], key: &str) -> Vec<Value> {
    let place = |list: &[Value], item: &Value| place(list, item, key);
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
    result
}

fn place(list: &[Value], item: &Value, key: &str) -> Option<usize> {
    list.iter().position(|other| same(other, item, key))
}

fn same(a: &Value, b: &Value, key: &str) -> bool {
    if key.is_empty() { a == b } else { a.get(key).is_some() && a.get(key) == b.get(key) }
}
