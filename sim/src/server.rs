//! One server: a cluster and a runner on its own way to the store; killed and started by the nemesis.

use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::{Cluster, OpenError, Setup};
use gantry_registry::Settings;
use gantry_runner::Parts;
use gantry_scheduler::Scheduler;
use gantry_store::Store;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::check::feeds;
use crate::clock::SimClock;
use crate::signal::Signal;
use crate::store::Link;
use crate::world::World;

/// Pause before a process that ended by itself is started again.
const RESTART: Duration = Duration::from_secs(1);

/// The place of one server.
pub struct Slot {
    /// Its name in the election.
    pub name: String,
    /// Its clock.
    pub clock: Arc<SimClock>,
    wanted: watch::Sender<bool>,
    /// Counts the starts; who holds an older number is dead.
    pub life: Signal<u64>,
    running: Mutex<Option<Running>>,
}

struct Running {
    cluster: Arc<Cluster>,
    runner: JoinHandle<()>,
    tap: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

impl Slot {
    /// A place with nothing in it.
    pub fn new(at: usize, start: Instant, skew: i64) -> Self {
        Slot {
            name: format!("server{at}"),
            clock: Arc::new(SimClock::new(start, skew)),
            wanted: watch::channel(true).0,
            life: Signal::new(0),
            running: Mutex::new(None),
        }
    }

    /// The cluster, while the server is up.
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.running.lock().as_ref().map(|running| running.cluster.clone())
    }

    /// Kills the server, or starts it.
    pub fn want(&self, up: bool) {
        self.wanted.send_replace(up);
        if !up {
            self.kill();
        }
    }

    /// Ends the process as it is; while the server is wanted, another is started.
    pub fn kill(&self) {
        self.life.set(self.life.get() + 1);
        if let Some(running) = self.running.lock().take() {
            running.runner.abort();
            running.tap.abort();
        }
    }
}

/// Keeps server number `at` running for as long as it is wanted.
pub async fn keep(world: Arc<World>, at: usize) {
    let slot = &world.servers[at];
    let mut wanted = slot.wanted.subscribe();
    loop {
        let _ = wanted.wait_for(|wanted| *wanted).await;
        slot.kill();
        tokio::select! {
            biased;
            _ = wanted.wait_for(|wanted| !*wanted) => {}
            () = live(&world, at) => {}
        }
        slot.kill();
        world.say(format_args!("{} is down", slot.name));
        sleep(RESTART).await;
    }
}

/// From the start of the process to its end.
async fn live(world: &Arc<World>, at: usize) {
    let slot = &world.servers[at];
    let cluster = match open(world, at).await {
        Ok(cluster) => cluster,
        Err(error) => {
            world.say(format_args!("{} does not start: {error:?}", slot.name));
            return;
        }
    };
    world.say(format_args!("{} starts at {}", slot.name, cluster.view().revision()));
    let (stop, stopped) = watch::channel(false);
    let settings = controllers();
    let parts = move || Parts { controllers: gantry_controllers::all(&settings), scheduler: Scheduler::new() };
    let running = Running {
        runner: tokio::spawn(gantry_runner::run(cluster.clone(), parts, stopped)),
        tap: tokio::spawn(feeds::tap(world.clone(), at, cluster.clone())),
        cluster: cluster.clone(),
        _stop: stop,
    };
    *slot.running.lock() = Some(running);
    let life = slot.life.get();
    tokio::select! {
        biased;
        () = slot.life.wait(|now| *now != life) => world.say(format_args!("{} is killed", slot.name)),
        error = cluster.ended() => world.say(format_args!("{} ends: {error}", slot.name)),
    }
}

async fn open(world: &Arc<World>, at: usize) -> Result<Arc<Cluster>, OpenError> {
    let slot = &world.servers[at];
    let store: Arc<dyn Store> = Link::open(world, at).await.map_err(OpenError::Read)?;
    let setup = Setup {
        settings: Settings::default(),
        seed: world.rng.next(),
        clock: slot.clock.clone(),
        identity: format!("{}-{}", slot.name, slot.life.get()),
    };
    Cluster::open(store, setup).await
}

/// What the controllers are told of the cluster.
pub fn controllers() -> gantry_controllers::Settings {
    gantry_controllers::Settings::new("a certificate", vec![std::net::Ipv4Addr::new(10, 0, 0, 1)], 6443)
}
