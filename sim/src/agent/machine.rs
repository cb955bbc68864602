//! The machines: which have power, which containers run on them, and from which addresses.
//!
//! Invariant, checked at every start of a container: no other container of that namespace and name runs anywhere,
//! and none has its address.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{SimClock, measured};
use crate::plan::Plan;
use crate::rng::Rng;
use crate::world::{World, skew};

/// What a machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// It runs, and its agent with it.
    On,
    /// Its agent does not run; its containers do.
    Unattended,
    /// It has no power.
    Off,
}

/// A container that runs.
#[derive(Clone, Debug)]
pub struct Container {
    /// Namespace and name of its pod.
    pub pod: String,
    /// Its address.
    pub ip: String,
    /// How often it was started anew.
    pub restarts: u64,
    /// How long it may run without contact to a server, if it is fenced.
    pub stop_after: Option<Duration>,
}

/// One machine.
pub struct Machine {
    /// Name of its node.
    pub name: String,
    /// Its clock.
    pub clock: Arc<SimClock>,
    power: watch::Sender<Power>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the pod's uid.
    running: BTreeMap<String, Container>,
    next_address: u64,
    /// When a server last confirmed the node's lease, by when that was asked for; kept on the machine's disk.
    confirmed: Option<Instant>,
    /// It was taken away for good.
    retired: bool,
}

/// All machines.
pub struct Machines {
    start: Instant,
    all: Mutex<BTreeMap<String, Arc<Machine>>>,
}

impl Machines {
    /// The machines of the beginning.
    pub fn new(plan: &Plan, start: Instant, rng: &Rng) -> Self {
        let machines = Machines { start, all: Mutex::default() };
        for at in 0..plan.nodes {
            machines.add(&format!("node{at}"), skew(plan, rng));
        }
        machines
    }

    /// A new machine, with power.
    pub fn add(&self, name: &str, skew: i64) -> Arc<Machine> {
        let machine = Arc::new(Machine {
            name: name.to_owned(),
            clock: Arc::new(SimClock::new(self.start, skew)),
            power: watch::channel(Power::On).0,
            state: Mutex::default(),
        });
        self.all.lock().insert(name.to_owned(), machine.clone());
        machine
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Arc<Machine>> {
        self.all.lock().values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<Arc<Machine>> {
        self.all.lock().get(name).cloned()
    }

    /// Takes a machine away for good.
    pub fn remove(&self, name: &str) {
        if let Some(machine) = self.all.lock().remove(name) {
            machine.switch(Power::Off);
            machine.state.lock().retired = true;
        }
    }
}

impl Machine {
    /// What it does now, and hears of.
    pub fn power(&self) -> watch::Receiver<Power> {
        self.power.subscribe()
    }

    /// Switches it on or off; without power nothing runs.
    pub fn switch(&self, power: Power) {
        if self.state.lock().retired {
            return;
        }
        if power == Power::Off {
            self.state.lock().running.clear();
        }
        self.power.send_replace(power);
    }

    /// Starts a container; with the same address if it ran before.
    pub fn start(&self, world: &World, uid: &str, pod: &str, cidr: &str, stop_after: Option<Duration>) -> Container {
        let ip = self.address(cidr);
        let container = Container { pod: pod.to_owned(), ip, restarts: 0, stop_after };
        for other in world.machines.all() {
            for (theirs, running) in &other.state.lock().running {
                if running.pod == pod {
                    world.violated(format!(
                        "two containers of {pod} run: {theirs} on {}, and now {uid} on {}",
                        other.name, self.name
                    ));
                }
                if running.ip == container.ip {
                    world.violated(format!(
                        "{pod} on {} gets the address of {}: {}",
                        self.name, running.pod, running.ip
                    ));
                }
            }
        }
        world.say(format_args!("{}: {pod} {uid} runs at {}", self.name, container.ip));
        self.state.lock().running.insert(uid.to_owned(), container.clone());
        container
    }

    /// The next free address of the node's network.
    fn address(&self, cidr: &str) -> String {
        let mut state = self.state.lock();
        let stem = cidr.rsplit_once('.').map_or(cidr, |(stem, _)| stem).to_owned();
        loop {
            state.next_address = state.next_address % 250 + 1;
            let ip = format!("{stem}.{}", state.next_address + 1);
            if !state.running.values().any(|container| container.ip == ip) {
                return ip;
            }
        }
    }

    /// Starts a container of the pod anew.
    pub fn restart(&self, uid: &str) -> Option<Container> {
        let mut state = self.state.lock();
        let container = state.running.get_mut(uid)?;
        container.restarts += 1;
        Some(container.clone())
    }

    /// A server has confirmed the node's lease, which was asked for then.
    pub fn is_confirmed(&self, asked: Instant) {
        self.state.lock().confirmed = Some(asked);
    }

    /// Stops what may not go on without contact to a server.
    pub fn fence(&self, world: &World) {
        let state = self.state.lock();
        let silent = state.confirmed.map(|since| measured(since.elapsed(), self.clock.rate()));
        let due =
            |container: &Container| container.stop_after.is_some_and(|most| silent.is_none_or(|silent| silent >= most));
        let over: Vec<String> =
            state.running.iter().filter(|(_, container)| due(container)).map(|(uid, _)| uid.clone()).collect();
        drop(state);
        for uid in over {
            world.say(format_args!("{}: {uid} is fenced", self.name));
            self.stop(world, &uid);
        }
    }

    /// Stops the containers of a pod.
    pub fn stop(&self, world: &World, uid: &str) {
        if let Some(container) = self.state.lock().running.remove(uid) {
            world.say(format_args!("{}: {} {uid} is stopped", self.name, container.pod));
        }
    }

    /// The container of a pod, if it runs.
    pub fn container(&self, uid: &str) -> Option<Container> {
        self.state.lock().running.get(uid).cloned()
    }

    /// The uids of all pods that run.
    pub fn running(&self) -> Vec<String> {
        self.state.lock().running.keys().cloned().collect()
    }
}
