//! ConfigMaps as registers: written, read and swapped by several at once, at any server; whether an order explains
//! it all is checked at the end.

use gantry_kinds::CONFIG_MAP;
use gantry_kinds::tree::str_at;
use serde_json::json;

use super::{PLACE, manifest};
use crate::api::{Client, Refusal};
use crate::check::linear::Act;

/// How many registers there are.
const REGISTERS: u64 = 2;

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    let mut written = 0;
    while !world.is_calm() {
        let name = format!("register{}", world.rng.below(REGISTERS));
        written += 1;
        // No value is written twice: names of writers end in a digit.
        let writer = client.name.bytes().last().map_or(0, u64::from);
        let value = written * 1000 + writer;
        match world.rng.below(3) {
            0 => write(&client, &name, value).await,
            1 => drop(read(&client, &name).await),
            _ => swap(&client, &name, value).await,
        }
        world.pause(10, 4000).await;
    }
}

/// Runs one operation between its two marks.
async fn note<T>(
    client: &Client,
    name: &str,
    act: Act,
    operation: impl Future<Output = Result<T, Refusal>>,
    seen: impl FnOnce(&T) -> Option<u64>,
) -> Option<T> {
    let checker = &client.world.checker;
    let number = checker.lock().registers.begin(name, act)?;
    match operation.await {
        Ok(done) => {
            checker.lock().registers.end(name, number, seen(&done));
            Some(done)
        }
        Err(refusal) => {
            if refusal.is_final() {
                checker.lock().registers.refused(name, number);
            }
            None
        }
    }
}

async fn write(client: &Client, name: &str, value: u64) {
    let server = client.any_server();
    let there = client.world.history.look(|view| view.get(&CONFIG_MAP, PLACE, name).is_some());
    let body = manifest::register(name, value);
    // A register that is not there holds 0; who creates it writes.
    if there {
        note(client, name, Act::Write(value), client.update(server, &CONFIG_MAP, PLACE, name, body), |_| None).await;
    } else {
        note(client, name, Act::Write(value), client.create(server, &CONFIG_MAP, PLACE, body), |_| None).await;
    }
}

/// The value with the revision of the object.
async fn read(client: &Client, name: &str) -> Option<(u64, String)> {
    let server = client.any_server();
    let read = async {
        let object = client.get(server, &CONFIG_MAP, PLACE, name).await?;
        let value = object.map(|object| object.value()).unwrap_or_default();
        let number = str_at(&value, "/data/value").parse().unwrap_or(0);
        Ok((number, str_at(&value, "/metadata/resourceVersion").to_owned()))
    };
    note(client, name, Act::Read(None), read, |(value, _)| Some(*value)).await
}

async fn swap(client: &Client, name: &str, value: u64) {
    let Some((seen, revision)) = read(client, name).await.filter(|(_, revision)| !revision.is_empty()) else { return };
    client.world.pause(0, 1000).await;
    let mut body = manifest::register(name, value);
    body["metadata"]["resourceVersion"] = json!(revision);
    let server = client.any_server();
    note(client, name, Act::Swap(seen, value), client.update(server, &CONFIG_MAP, PLACE, name, body), |_| None).await;
}
