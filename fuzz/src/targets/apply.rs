//! Server-side apply: an input is `{"type": ..., "writes": [{"manager", "object", "force", "update"}]}`.

use gantry_schema::ssa::{Actor, apply, update};
use gantry_schema::{Schema, check};
use serde_json::Value;

use super::hold;

/// Most writes of an input.
const WRITES: usize = 8;

/// What somebody applied, he may apply again, and that changes nothing, not even a time.
pub fn sequence(input: &[u8]) -> Result<bool, String> {
    let Ok(tree) = serde_json::from_slice::<Value>(input) else { return Ok(false) };
    let (Some(name), Some(writes)) = (tree["type"].as_str(), tree["writes"].as_array()) else { return Ok(false) };
    let schema = Schema::builtin();
    if schema.get(name).is_none() {
        return Ok(false);
    }
    let (mut live, mut accepted): (Option<Value>, bool) = (None, false);
    for (second, write) in writes.iter().take(WRITES).enumerate() {
        let now = format!("2026-01-01T00:00:{second:02}Z");
        let config = &write["object"];
        let found = check(schema, name, config);
        if !config.is_object() || found.wrong_type.is_some() || !found.unknown.is_empty() {
            continue;
        }
        // Nothing is applied that does not say of what version it is.
        if config.get("apiVersion").is_some_and(|version| version.as_str().is_none_or(str::is_empty)) {
            continue;
        }
        let manager = write["manager"].as_str().unwrap_or("m");
        let api_version = config["apiVersion"].as_str().unwrap_or("v1");
        let actor = Actor { manager, subresource: "", api_version, now: &now };
        if write["update"] == true {
            let mut new = config.clone();
            update(schema, name, live.as_ref(), &mut new, &actor);
            live = Some(new);
            continue;
        }
        let Ok(applied) = apply(schema, name, live.as_ref(), config, &actor, write["force"] == true) else { continue };
        // An element without its key is owned as null and stored as zero; no such object gets past the checks.
        if applied["metadata"]["managedFields"].to_string().contains(":null") {
            return Ok(false);
        }
        accepted = true;
        let later = Actor { now: "2027-01-01T00:00:00Z", ..actor };
        let again = apply(schema, name, Some(&applied), config, &later, false).map_err(|e| format!("again: {e}"))?;
        hold(again == applied, || format!("applied {applied}, again {again}"))?;
        live = Some(applied);
    }
    Ok(accepted)
}
