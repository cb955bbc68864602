//! Deployments are deleted in the three ways: with their pods, after their pods, and without them.

use gantry_kinds::{DEPLOYMENT, REPLICA_SET};
use gantry_registry::DeleteOptions;
use gantry_view::Object;

use super::{PLACE, manifest};
use crate::api::Client;

const WAYS: [&str; 3] = ["Background", "Foreground", "Orphan"];

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    while !world.is_calm() {
        let name = format!("b{}", world.rng.below(2));
        let server = client.any_server();
        let options = || DeleteOptions {
            propagation: world.rng.pick(&WAYS).map(|way| (*way).to_owned()),
            ..DeleteOptions::default()
        };
        match world.rng.below(5) {
            0..=2 => {
                let body = manifest::deployment(&name, world.rng.between(1, 4), &world.rng);
                drop(client.create(server, &DEPLOYMENT, PLACE, body).await);
            }
            3 => drop(client.delete(server, &DEPLOYMENT, PLACE, &name, options()).await),
            _ => {
                // Somebody goes for what is below.
                let of = |set: &Object| set.header.labels.get("app").is_some_and(|app| *app == name);
                let set = world.history.look(|view| {
                    view.list(&REPLICA_SET, Some(PLACE)).find(|set| of(set)).map(|set| set.name().to_owned())
                });
                if let Some(set) = set {
                    drop(client.delete(server, &REPLICA_SET, PLACE, &set, options()).await);
                }
            }
        }
        world.pause(500, 8000).await;
    }
}
