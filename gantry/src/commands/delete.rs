//! `gantry delete`: objects by name or by file, waiting until they are gone.

use anyhow::{Context, Result, bail};
use gantry_client::{Client, Event};
use serde_json::Value;

use super::apply::read_objects;
use super::resources::{discover, find, of_object, split};
use super::target;
use crate::cli::Delete;
use crate::output::say;

/// Deletes everything that was named; what is not there is an error, but does not stop the rest.
pub async fn delete(flags: Delete) -> Result<u8> {
    let client = target::client(&flags.target)?;
    let resources = discover(&client).await?;
    let mut doomed = Vec::new();
    for object in read_objects(&flags.files)? {
        let resource = of_object(&resources, &object)?;
        let name = object["metadata"]["name"].as_str().context("metadata.name: Required value")?;
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(&flags.target.namespace);
        doomed.push((resource, namespace.to_owned(), name.to_owned()));
    }
    if let Some(word) = &flags.resource {
        let (word, inner) = split(word, None)?;
        let resource = find(&resources, word)?;
        let names: Vec<_> = inner.map(str::to_owned).into_iter().chain(flags.names.iter().cloned()).collect();
        if names.is_empty() {
            bail!("name what is to be deleted: gantry delete {word} NAME");
        }
        doomed.extend(names.into_iter().map(|name| (resource, flags.target.namespace.clone(), name)));
    }
    let mut failed = false;
    let mut going = Vec::new();
    for (resource, namespace, name) in doomed {
        match client.delete(&resource.path(Some(&namespace), Some(&name)), None).await {
            Ok(answer) => {
                say!("{}/{name} deleted", resource.kind.to_lowercase());
                going.push((resource.path(Some(&namespace), None), name, answer));
            }
            Err(error) => {
                eprintln!("error: {error}");
                failed = true;
            }
        }
    }
    if !flags.no_wait {
        for (collection, name, answer) in going {
            wait_until_gone(&client, &collection, &name, &answer).await?;
        }
    }
    Ok(u8::from(failed))
}

/// Follows the object until no one of its uid is there.
async fn wait_until_gone(client: &Client, collection: &str, name: &str, answer: &Value) -> Result<()> {
    let uid = answer["metadata"]["uid"].as_str().or_else(|| answer["details"]["uid"].as_str()).unwrap_or_default();
    let mut watch = client.watch(collection, &format!("fieldSelector=metadata.name={name}"));
    loop {
        let gone = match watch.next().await {
            Event::Restarted(objects) => !objects.iter().any(|o| o["metadata"]["uid"] == uid),
            Event::Applied(object) => object["metadata"]["uid"] != uid,
            Event::Deleted(object) => object["metadata"]["uid"] == uid,
        };
        if gone {
            return Ok(());
        }
    }
}
