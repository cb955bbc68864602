//! Nodes are cordoned and tainted, and let go again.

use gantry_cluster::Reply;
use gantry_kinds::NODE;
use gantry_kinds::tree::{list_at, str_at};
use gantry_registry::DeleteOptions;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::RETRY;
use crate::api::Client;

/// The taint that users put on nodes.
const TAINT: &str = "maintenance";

pub(super) async fn run(client: Client) {
    let world = client.world.clone();
    while !world.is_calm() {
        world.pause(1000, 15_000).await;
        let machines = world.machines.all();
        let Some(machine) = world.rng.pick(&machines) else { continue };
        match world.rng.below(4) {
            0 => drop(patch(&client, &machine.name, json!({"spec": {"unschedulable": true}})).await),
            1 => drop(patch(&client, &machine.name, json!({"spec": {"unschedulable": false}})).await),
            2 => {
                let effect = if world.rng.chance(0.5) { "NoExecute" } else { "NoSchedule" };
                set_taint(&client, &machine.name, Some(effect)).await;
            }
            _ => set_taint(&client, &machine.name, None).await,
        }
    }
}

/// Uncordons and untaints all nodes, and takes away those that have no machine.
pub(super) async fn tidy(client: &Client) {
    let world = &client.world;
    loop {
        let nodes: Vec<_> = world.history.look(|view| view.list(&NODE, None).cloned().collect());
        let mut left = false;
        for node in nodes {
            let value = node.value();
            let marked = value["spec"]["unschedulable"] == true;
            let tainted = list_at(&value, "/spec/taints").iter().any(|taint| taint["key"] == TAINT);
            left |= marked || tainted;
            if world.machines.get(node.name()).is_none() {
                left = true;
                let options = DeleteOptions::default();
                drop(client.delete(client.any_server(), &NODE, "", node.name(), options).await);
            } else {
                if marked {
                    drop(patch(client, node.name(), json!({"spec": {"unschedulable": false}})).await);
                }
                if tainted {
                    set_taint(client, node.name(), None).await;
                }
            }
        }
        if !left {
            return;
        }
        sleep(RETRY).await;
    }
}

async fn patch(client: &Client, node: &str, patch: Value) -> Option<Reply> {
    client.patch(client.any_server(), (&NODE, "", node, ""), patch).await.ok()
}

/// Sets our taint on a node or takes it off, on what was read of the others.
async fn set_taint(client: &Client, name: &str, effect: Option<&str>) {
    let server = client.any_server();
    let Ok(Some(node)) = client.get(server, &NODE, "", name).await else { return };
    let value = node.value();
    let mut taints = list_at(&value, "/spec/taints").to_vec();
    taints.retain(|taint| taint["key"] != TAINT);
    taints.extend(effect.map(|effect| json!({"key": TAINT, "effect": effect})));
    let revision = str_at(&value, "/metadata/resourceVersion");
    let body = json!({"metadata": {"resourceVersion": revision}, "spec": {"taints": taints}});
    drop(client.patch(server, (&NODE, "", name, ""), body).await);
}
