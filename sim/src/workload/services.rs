//! Services come and go; some ask for an address or a port that another may have.

use gantry_kinds::SERVICE;
use gantry_registry::DeleteOptions;
use serde_json::{Value, json};

use super::PLACE;
use crate::api::Client;
use crate::rng::Rng;

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    while !world.is_calm() {
        let name = format!("a{}", world.rng.below(4));
        let other = format!("pod{}", world.rng.below(4));
        let (one, two) = (client.any_server(), client.any_server());
        if world.rng.chance(0.6) {
            // Two at once, who may want the same.
            let (first, second) = (service(&name, &world.rng), service(&other, &world.rng));
            tokio::join!(
                biased;
                async { drop(client.create(one, &SERVICE, PLACE, first).await) },
                async { drop(client.create(two, &SERVICE, PLACE, second).await) },
            );
        } else {
            drop(client.delete(one, &SERVICE, PLACE, &name, DeleteOptions::default()).await);
        }
        world.pause(100, 6000).await;
    }
}

fn service(name: &str, rng: &Rng) -> Value {
    let kind = if rng.chance(0.5) { "ClusterIP" } else { "NodePort" };
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"type": kind, "selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    if rng.chance(0.4) {
        service["spec"]["clusterIP"] = json!(format!("10.43.7.{}", rng.between(1, 3)));
    }
    if kind == "NodePort" && rng.chance(0.5) {
        service["spec"]["ports"][0]["nodePort"] = json!(rng.between(30_500, 30_502));
    }
    service
}
