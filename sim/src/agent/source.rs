//! What an agent hears of its pods: everything once, as it is for certain, then every change, until the connection
//! breaks.

use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::{Feed, Topic};
use gantry_kinds::{NODE, POD};
use gantry_view::{Change, Object, View};
use tokio::time::sleep;

use super::process::Context;

const RETRY: Duration = Duration::from_secs(1);

/// What is told.
pub(super) enum Told {
    /// All pods of the node.
    All(Vec<Arc<Object>>),
    /// A pod as it is now.
    Pod(Arc<Object>),
    /// The pod of that uid is gone.
    Gone(String),
    /// The node's own object is gone.
    NodeGone,
}

/// A connection to a server, and a new one when it breaks.
pub(super) struct Source {
    context: Context,
    open: Option<Open>,
}

struct Open {
    server: usize,
    life: u64,
    feed: Feed,
}

impl Source {
    pub(super) fn new(context: Context) -> Self {
        Source { context, open: None }
    }

    pub(super) async fn next(&mut self) -> Told {
        loop {
            let Some(open) = &mut self.open else {
                let (open, told) = connect(&self.context).await;
                self.open = Some(open);
                return told;
            };
            let world = self.context.world().clone();
            let change = tokio::select! {
                biased;
                () = world.servers[open.server].life.wait(|now| *now != open.life) => None,
                change = open.feed.next() => change.ok(),
            };
            let Some(told) = change.map(|change| told(&self.context.machine.name, &change)) else {
                self.open = None;
                self.context.turn_away();
                continue;
            };
            let Some(told) = told else { continue };
            world.pause(0, 5).await;
            world.net.awake(open.server).await;
            if world.net.is_parted(&self.context.machine.name, open.server) {
                // What was told is lost with the connection.
                self.open = None;
                sleep(RETRY).await;
                self.context.turn_away();
                continue;
            }
            return told;
        }
    }
}

async fn connect(context: &Context) -> (Open, Told) {
    loop {
        let server = context.server();
        let slot = &context.world().servers[server];
        let life = slot.life.get();
        // The view may only be used once it is sure to show what was acknowledged before.
        let confirmed = context.client.read(server, |_| ()).await;
        if let (Ok(()), Some(cluster)) = (confirmed, slot.cluster()) {
            let name = &context.machine.name;
            let (pods, feed) = cluster.watch_snapshot(Topic::Kind(&POD), |view| pods(view, name));
            return (Open { server, life, feed }, Told::All(pods));
        }
        sleep(RETRY).await;
        context.turn_away();
    }
}

fn pods(view: &View, node: &str) -> Vec<Arc<Object>> {
    view.by_field(&POD, "spec.nodeName", node).cloned().collect()
}

/// What of a change concerns the node.
fn told(node: &str, change: &Change) -> Option<Told> {
    if change.key.kind == &NODE && &*change.key.name == node && change.after.is_none() {
        return Some(Told::NodeGone);
    }
    let object = change.object();
    if change.key.kind != &POD || object.field("spec.nodeName") != Some(node) {
        return None;
    }
    Some(match &change.after {
        Some(pod) => Told::Pod(pod.clone()),
        None => Told::Gone(object.uid().to_owned()),
    })
}
