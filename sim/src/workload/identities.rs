//! One name of which there is to be exactly one pod: made again whenever it is gone. That no two containers of it
//! ever run is what machines check.

use gantry_kinds::{POD, fencing};
use gantry_registry::DeleteOptions;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{PLACE, RETRY, manifest};
use crate::api::Client;
use crate::rng::Rng;

pub(super) async fn run(client: Client, at: u64) {
    let world = client.world.clone();
    let name = format!("identity{at}");
    while !world.is_calm() {
        let server = client.any_server();
        match client.get(server, &POD, PLACE, &name).await {
            Ok(None) => drop(client.create(server, &POD, PLACE, fenced(&name, &world.rng)).await),
            Ok(Some(_)) if world.rng.chance(0.1) => {
                drop(client.delete(server, &POD, PLACE, &name, DeleteOptions::default()).await);
            }
            _ => {}
        }
        sleep(RETRY).await;
    }
}

/// A pod that its node stops after some seconds without contact, so that another may take its place.
fn fenced(name: &str, rng: &Rng) -> Value {
    let mut pod = manifest::pod(name, rng);
    let seconds = rng.between(fencing::SECONDS_MIN, 3 * fencing::SECONDS_MIN);
    pod["metadata"]["annotations"] = json!({fencing::STOP_AFTER_DISCONNECT: seconds.to_string()});
    pod
}
