//! Namespaces are made, filled, and deleted with what is in them, while others go on filling them.

use gantry_kinds::{CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD};
use gantry_registry::DeleteOptions;
use serde_json::json;

use super::manifest;
use crate::api::Client;

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    while !world.is_calm() {
        let name = format!("space{}", world.rng.below(2));
        let server = client.any_server();
        match world.rng.below(8) {
            0 => drop(client.delete(server, &NAMESPACE, "", &name, DeleteOptions::default()).await),
            1 | 2 => {
                let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                drop(client.create(server, &NAMESPACE, "", body).await);
            }
            3 => {
                let body = manifest::deployment("inside", world.rng.between(1, 3), &world.rng);
                drop(client.create(server, &DEPLOYMENT, &name, body).await);
            }
            4 => drop(client.create(server, &POD, &name, manifest::pod("inside-pod", &world.rng)).await),
            at => drop(client.create(server, &CONFIG_MAP, &name, manifest::register(&format!("map{at}"), at)).await),
        }
        world.pause(100, 4000).await;
    }
}
