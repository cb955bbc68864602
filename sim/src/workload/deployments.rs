//! Deployments are created, scaled, changed, rolled back, paused and deleted, by several users at once.

use gantry_kinds::DEPLOYMENT;
use gantry_registry::DeleteOptions;
use serde_json::{Value, json};

use super::{PLACE, insist, manifest};
use crate::api::Client;

/// How many names there are.
const NAMES: u64 = 3;

pub(super) async fn run(client: Client, stem: &'static str) {
    let world = client.world.clone();
    while !world.is_calm() {
        let name = format!("{stem}{}", world.rng.below(NAMES));
        act(&client, &name).await;
        let busy = world.rng.chance(0.3);
        world.pause(100, if busy { 1000 } else { 15_000 }).await;
    }
    for at in 0..NAMES {
        let name = format!("{stem}{at}");
        insist(|| patch(&client, &name, json!({"spec": {"paused": false}}))).await;
    }
}

async fn act(client: &Client, name: &str) {
    let rng = &client.world.rng;
    let server = client.any_server();
    match rng.below(10) {
        0 | 1 => {
            let body = manifest::deployment(name, rng.between(1, 6), rng);
            drop(client.create(server, &DEPLOYMENT, PLACE, body).await);
        }
        2..=4 => drop(patch(client, name, json!({"spec": {"replicas": rng.below(8)}})).await),
        // Few images, so that a change is often a way back.
        5..=7 => drop(patch(client, name, image(rng.between(1, 4))).await),
        8 => drop(patch(client, name, json!({"spec": {"paused": rng.chance(0.5)}})).await),
        _ if rng.chance(0.5) => {
            drop(client.delete(server, &DEPLOYMENT, PLACE, name, DeleteOptions::default()).await);
        }
        _ => {}
    }
}

async fn patch(client: &Client, name: &str, patch: Value) -> Result<(), crate::api::Refusal> {
    client.patch(client.any_server(), (&DEPLOYMENT, PLACE, name, ""), patch).await.map(drop)
}

fn image(version: u64) -> Value {
    let spec = &manifest::pod_spec(version, 20)["containers"];
    json!({"spec": {"template": {"spec": {"containers": spec}}}})
}
