//! Pods without an owner come and go.

use gantry_kinds::POD;
use gantry_registry::DeleteOptions;

use super::{PLACE, manifest};
use crate::api::Client;

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    while !world.is_calm() {
        let name = format!("pod{}", world.rng.below(5));
        let server = client.any_server();
        if world.rng.chance(0.6) {
            drop(client.create(server, &POD, PLACE, manifest::pod(&name, &world.rng)).await);
        } else {
            drop(client.delete(server, &POD, PLACE, &name, DeleteOptions::default()).await);
        }
        world.pause(100, 8000).await;
    }
}
