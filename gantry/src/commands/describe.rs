//! `gantry describe`: an object and what happened to it.

use anyhow::{Context, Result};
use serde_json::Value;

use super::resources::{discover, find, split};
use super::target;
use crate::cli::Describe;
use crate::output::say;

/// Prints an object without its bookkeeping, then its events.
pub async fn describe(flags: Describe) -> Result<u8> {
    let client = target::client(&flags.target)?;
    let resources = discover(&client).await?;
    let (word, name) = split(&flags.resource, flags.name.as_deref())?;
    let resource = find(&resources, word)?;
    let name = name.context("name the object to describe")?;
    let mut object = client.get(&resource.path(Some(&flags.target.namespace), Some(name))).await?;
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("managedFields");
    }
    crate::output::write(format_args!("{}", serde_saphyr::to_string(&object)?))?;
    let events = client.list("/api/v1/events", &format!("fieldSelector=involvedObject.uid={uid}")).await?;
    print_events(&events)?;
    Ok(0)
}

fn print_events(events: &Value) -> Result<()> {
    let mut events: Vec<_> = events["items"].as_array().into_iter().flatten().collect();
    events.sort_by_key(|e| e["lastTimestamp"].as_str().unwrap_or_default().to_owned());
    say!("\nEvents:{}", if events.is_empty() { "  <none>" } else { "" });
    for event in events {
        let text = |field: &str| event[field].as_str().unwrap_or_default();
        let count = event["count"].as_i64().unwrap_or(1);
        let times = if count > 1 { format!(" (x{count})") } else { String::new() };
        say!("  {} {:<8} {:<20} {}{times}", text("lastTimestamp"), text("type"), text("reason"), text("message"));
    }
    Ok(())
}
