//! Structural schemas. An input is `{"schema": ..., "object": ...}`.

use gantry_kinds::custom;
use gantry_schema::GroupVersionKind;
use gantry_schema::structural::{Node, default, drop_null, prune, types};
use serde_json::Value;

use super::hold;
use crate::trees;

/// Most errors of one object for each of its values and each value of the schema.
const ERRORS: usize = 16;

/// Pruning is the same when it is done again; what is made of a schema does not outgrow it; checks come to an end.
pub fn schema(input: &[u8]) -> Result<bool, String> {
    let Ok(tree) = serde_json::from_slice::<Value>(input) else { return Ok(false) };
    let (Some(schema), Some(object)) = (tree.get("schema"), tree.get("object")) else { return Ok(false) };
    let node = Node::read(schema);
    let kind = GroupVersionKind { group: "g.example".into(), version: "v1".into(), kind: "K".into() };
    let made = types(&node, "example.K", kind).types().count();
    hold(made <= 64 + 2 * trees::size(schema), || format!("{made} types"))?;
    let mut pruned = object.clone();
    prune(&node, true, &mut pruned);
    let mut twice = pruned.clone();
    let gone = prune(&node, true, &mut twice);
    hold(twice == pruned && gone.is_empty(), || format!("pruned again: {gone:?}"))?;
    let mut filled = pruned;
    default(&node, &mut filled);
    drop_null(&node, &mut filled);
    let errors = custom::validate(&node, &filled, Some(object)).len();
    hold(errors <= ERRORS * (1 + trees::size(&filled)) * trees::size(schema), || format!("{errors} errors"))?;
    Ok(errors == 0)
}
