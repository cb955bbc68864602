//! The agent's process: registers the node, renews its lease, and gives each pod a worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::Clock;
use gantry_kinds::NODE;
use gantry_view::Object;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::lease;
use super::machine::{Machine, Power};
use super::pod;
use super::source::{Source, Told};
use crate::api::Client;
use crate::world::World;

/// Pause between two attempts.
const RETRY: Duration = Duration::from_secs(1);

/// What all parts of an agent share.
#[derive(Clone)]
pub struct Context {
    /// How it asks servers.
    pub client: Client,
    /// Where it runs.
    pub machine: Arc<Machine>,
    /// The server it talks to.
    server: Arc<Mutex<usize>>,
}

impl Context {
    /// The server that is asked now.
    pub fn server(&self) -> usize {
        *self.server.lock()
    }

    /// That server did not answer: another is asked from now on.
    pub fn turn_away(&self) {
        *self.server.lock() = self.client.any_server();
    }

    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.client.world
    }

    /// The time of day, as this machine has it.
    pub fn stamp(&self) -> String {
        self.machine.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Keeps the agent of a machine running for as long as the machine is there.
pub async fn keep(world: Arc<World>, machine: Arc<Machine>) {
    let mut power = machine.power();
    loop {
        if power.wait_for(|power| *power == Power::On).await.is_err() {
            return;
        }
        world.say(format_args!("the agent of {} starts", machine.name));
        tokio::select! {
            biased;
            _ = power.wait_for(|power| *power != Power::On) => {}
            () = live(&world, &machine) => {}
        }
        world.say(format_args!("the agent of {} has ended", machine.name));
    }
}

/// From the start of the process to its end.
async fn live(world: &Arc<World>, machine: &Arc<Machine>) {
    let client = Client::node(world, &machine.name);
    let server = Arc::new(Mutex::new(client.any_server()));
    let context = Context { client, machine: machine.clone(), server };
    let mut parts = JoinSet::new();
    // Before anything else: what runs may have been out of touch for long.
    parts.spawn(fence(context.clone()));
    let node = register(&context).await;
    let uid = watch::channel(node.uid().to_owned()).0;
    parts.spawn(lease::renew(context.clone(), uid.subscribe()));
    let mut source = Source::new(context.clone());
    let mut workers = Workers { context: context.clone(), all: BTreeMap::new(), tasks: JoinSet::new() };
    loop {
        match source.next().await {
            Told::All(pods) => workers.all(pods),
            Told::Pod(pod) => workers.pod(pod),
            Told::Gone(uid) => workers.gone(&uid),
            Told::NodeGone => {
                let node = register(&context).await;
                uid.send_replace(node.uid().to_owned());
            }
        }
        while workers.tasks.try_join_next().is_some() {}
    }
}

/// Stops by itself what may not outlive the contact to servers.
async fn fence(context: Context) {
    loop {
        sleep(RETRY).await;
        context.machine.fence(context.world());
    }
}

/// Makes the node's object, and says that the node is ready.
async fn register(context: &Context) -> Arc<Object> {
    loop {
        let (client, name) = (&context.client, &context.machine.name);
        match client.get(context.server(), &NODE, "", name).await {
            Ok(Some(node)) => match say_ready(context, &node).await {
                Ok(()) => return node,
                Err(code) => context.world().say(format_args!("{name} cannot say that it is ready: {code}")),
            },
            Ok(None) => drop(client.create(context.server(), &NODE, "", object(name)).await),
            Err(_) => context.turn_away(),
        }
        sleep(RETRY).await;
    }
}

/// Says that the node is ready, if the API does not have it so.
pub(super) async fn say_ready(context: &Context, node: &Object) -> Result<(), u16> {
    let status = node.value()["status"].clone();
    let is_ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
    if status["conditions"].as_array().is_some_and(|conditions| conditions.iter().any(is_ready)) {
        return Ok(());
    }
    let now = context.stamp();
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "Known", "message": "",
            "lastHeartbeatTime": now, "lastTransitionTime": now})
    };
    let conditions = [
        condition("MemoryPressure", "False"),
        condition("DiskPressure", "False"),
        condition("PIDPressure", "False"),
        condition("Ready", "True"),
    ];
    let patch = json!({"status": {"conditions": conditions}});
    let at = (&NODE, "", &*context.machine.name, "status");
    context.client.patch(context.server(), at, patch).await.map(drop).map_err(|refusal| refusal.code())
}

fn object(name: &str) -> Value {
    let room = json!({"cpu": "4", "memory": "8Gi", "pods": "40"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {},
        "status": {
            "capacity": room, "allocatable": room,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.9"}, {"type": "Hostname", "address": name}],
        },
    })
}

/// The workers of the pods that the agent knows of.
struct Workers {
    context: Context,
    /// By the pods' uid.
    all: BTreeMap<String, watch::Sender<Option<Arc<Object>>>>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// These are all pods of this node: what else runs, or has a worker, is over.
    fn all(&mut self, pods: Vec<Arc<Object>>) {
        let there: Vec<String> = pods.iter().map(|pod| pod.uid().to_owned()).collect();
        let known: Vec<String> = self.all.keys().cloned().collect();
        for uid in known.iter().filter(|uid| !there.contains(uid)) {
            self.gone(uid);
        }
        for uid in self.context.machine.running().iter().filter(|uid| !there.contains(uid)) {
            self.context.machine.stop(self.context.world(), uid);
        }
        pods.into_iter().for_each(|pod| self.pod(pod));
    }

    fn pod(&mut self, pod: Arc<Object>) {
        let uid = pod.uid().to_owned();
        match self.all.get(&uid) {
            Some(worker) => drop(worker.send_replace(Some(pod))),
            None => {
                let (tell, told) = watch::channel(Some(pod));
                self.all.insert(uid, tell);
                self.tasks.spawn(pod::work(self.context.clone(), told));
            }
        }
    }

    fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.all.remove(uid) {
            worker.send_replace(None);
        }
    }
}
