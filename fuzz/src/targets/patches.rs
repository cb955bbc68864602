//! The three plain patches. An input is `{"live": ..., "patch": ...}`.

use gantry_schema::{Schema, patch};
use serde_json::{Value, json};

use super::hold;
use crate::trees;

/// The types that strategic patches are read by.
const TYPES: [&str; 3] = ["io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment", "io.k8s.api.core.v1.Service"];

fn parts(input: &[u8]) -> Option<(Value, Value)> {
    let mut tree: Value = serde_json::from_slice(input).ok()?;
    let live = tree.get_mut("live")?.take();
    Some((live, tree.get_mut("patch")?.take()))
}

/// Operations one after the other are the operations together; a refusal has a code of its own.
pub fn operations(input: &[u8]) -> Result<bool, String> {
    let Some((live, patch)) = parts(input) else { return Ok(false) };
    let together = patch::json(&live, &patch);
    if let Some(operations) = patch.as_array().filter(|all| all.iter().all(Value::is_object)) {
        let mut document = Ok(live.clone());
        for operation in operations {
            document = document.and_then(|now| patch::json(&now, &json!([operation])));
        }
        hold(document == together, || format!("together {together:?}, one by one {document:?}"))?;
    }
    let Err(refused) = together else { return Ok(true) };
    hold(matches!(refused.code, 400 | 413 | 422), || format!("{refused:?}"))?;
    Ok(false)
}

/// Twice is once, and the result is no larger than both.
pub fn merge(input: &[u8]) -> Result<bool, String> {
    let Some((live, patch)) = parts(input) else { return Ok(false) };
    let Ok(once) = patch::merge(&live, &patch) else { return Ok(false) };
    let twice = patch::merge(&once, &patch).map_err(|refused| format!("refused the second time: {refused}"))?;
    hold(twice == once, || format!("once {once}, twice {twice}"))?;
    hold(trees::size(&once) <= trees::size(&live) + trees::size(&patch), || "it grew".to_owned())?;
    Ok(true)
}

/// The result is no larger than both, and what the patch does not speak of is as it was; refusals are 400 or 500.
pub fn strategic(input: &[u8]) -> Result<bool, String> {
    let Some((live, patch)) = parts(input) else { return Ok(false) };
    let mut accepted = false;
    for name in TYPES {
        match patch::strategic(Schema::builtin(), name, &live, &patch) {
            Err(refused) => hold(matches!(refused.code, 400 | 500), || format!("{refused:?}"))?,
            Ok(merged) => {
                accepted = true;
                hold(trees::size(&merged) <= trees::size(&live) + trees::size(&patch), || "it grew".to_owned())?;
                untouched(&live, &patch, &merged)?;
            }
        }
    }
    Ok(accepted)
}

/// Fields on top that the patch does not name.
fn untouched(live: &Value, patch: &Value, merged: &Value) -> Result<(), String> {
    let (Some(live), Some(patch)) = (live.as_object(), patch.as_object()) else { return Ok(()) };
    if patch.keys().any(|name| name == "$patch" || name == "$retainKeys") {
        return Ok(());
    }
    for (name, field) in live {
        let named = patch.keys().any(|key| key == name || (key.starts_with('$') && key.ends_with(name.as_str())));
        hold(named || merged.get(name) == Some(field), || format!("{name} was not named, and is {merged}"))?;
    }
    Ok(())
}
