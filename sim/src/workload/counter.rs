//! A number that several count up at once, each replacing what it has read: none of what was acknowledged is lost.

use gantry_kinds::CONFIG_MAP;
use gantry_kinds::tree::str_at;
use serde_json::json;
use tokio::task::JoinSet;

use super::{PLACE, insist, manifest};
use crate::api::Client;

const NAME: &str = "counter";
/// How many count.
const COUNTERS: usize = 3;

pub(super) async fn run(client: Client) {
    insist(|| client.create(client.any_server(), &CONFIG_MAP, PLACE, manifest::register(NAME, 0))).await;
    let mut counting = JoinSet::new();
    for _ in 0..COUNTERS {
        counting.spawn(count(client.clone()));
    }
    let (mut least, mut most) = (0, 0);
    while let Some(Ok((sure, unsure))) = counting.join_next().await {
        least += sure;
        most += sure + unsure;
    }
    let there = client.world.history.look(|view| view.get(&CONFIG_MAP, PLACE, NAME).map(|object| object.value()));
    let Some(there) = there else { return };
    let value: u64 = str_at(&there, "/data/value").parse().unwrap_or(0);
    if !(least..=most).contains(&value) {
        client.world.violated(format!("the counter is {value} after {least} to {most} steps"));
    }
}

/// How many steps were acknowledged, and of how many nothing is known.
async fn count(client: Client) -> (u64, u64) {
    let (mut sure, mut unsure) = (0, 0);
    while !client.world.is_calm() {
        client.world.pause(10, 3000).await;
        let server = client.any_server();
        let Ok(Some(object)) = client.get(server, &CONFIG_MAP, PLACE, NAME).await else { continue };
        let value = object.value();
        let number: u64 = str_at(&value, "/data/value").parse().unwrap_or(0);
        let mut body = manifest::register(NAME, number + 1);
        body["metadata"]["resourceVersion"] = json!(str_at(&value, "/metadata/resourceVersion"));
        match client.update(server, &CONFIG_MAP, PLACE, NAME, body).await {
            Ok(_) => sure += 1,
            Err(refusal) if !refusal.is_final() => unsure += 1,
            Err(_) => {}
        }
    }
    (sure, unsure)
}
