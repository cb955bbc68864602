//! `gantry secrets-encryption`: asks a server about the keys of its store, or for a new one.

use anyhow::Result;
use serde_json::{Value, json};

use super::target;
use crate::cli::SecretsEncryption;
use crate::output::say;

const PATH: &str = "/gantry/v1/encryption";

/// Does what is asked. Exit code 1: values are still to be encrypted, or cannot be read.
pub async fn encryption(command: SecretsEncryption) -> Result<u8> {
    let answer = match command {
        SecretsEncryption::Status(target) => target::client(&target)?.get(PATH).await?,
        SecretsEncryption::Rotate(target) => {
            let client = target::client(&target)?;
            let made = client.create(&format!("{PATH}/rotate"), &json!({})).await?;
            say!("new key {}; everything is encrypted with it from now on", made["key"].as_str().unwrap_or("?"));
            client.get(PATH).await?
        }
    };
    for line in describe(&answer) {
        say!("{line}");
    }
    Ok(u8::from(answer["stale"].as_u64() != Some(0)))
}

fn describe(answer: &Value) -> Vec<String> {
    let names = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (keys, stale) = (names(&answer["keys"]), answer["stale"].as_u64().unwrap_or(0));
    let mut lines = vec![format!("encrypted values: {}", answer["encrypted"])];
    match keys.split_first() {
        Some((first, old)) => {
            lines.push(format!("key: {first}"));
            lines.extend(old.iter().map(|name| format!("older key, until nothing needs it: {name}")));
        }
        None => lines.push("key: none of the cluster's own".to_owned()),
    }
    lines.push(match stale {
        0 => "everything is stored as it should be".to_owned(),
        count => format!("still to be written anew: {count}"),
    });
    lines
}
