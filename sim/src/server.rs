//! One server: a cluster and a runner on its own way to the store; killed and started by the nemesis.

use std::sync::Arc;
use std::time::Duration;

use gantry_cluster::{Cluster, OpenError, Setup};
use gantry_registry::Settings;
use gantry_runner::Parts;
use gantry_scheduler::Scheduler;
use gantry_store::SimulatedStore;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::check::feeds;
use crate::clock::SimClock;
use crate::signal::Signal;
use crate::store;
use crate::world::World;

/// Pause before a process that ended by itself is started again.
const RESTART: Duration = Duration::from_secs(1);

/// How often the engine syncs what nobody waits for.
const FLUSH: Duration = Duration::from_secs(2);

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
    /// The engine of its own store, if it has one.
    pub store: Mutex<Option<SimulatedStore>>,
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
            store: Mutex::new(None),
        }
    }

    /// The cluster, while the server is up.
    pub fn cluster(&self) -> Option<Arc<Cluster>> {
        self.running.lock().as_ref().map(|running| running.cluster.clone())
    }

    /// Starts the server, or says that it is to be down once it is killed.
    pub fn want(&self, up: bool) {
        self.wanted.send_replace(up);
    }

    /// Ends the process as it is, at times with its machine's power; while the server is wanted, another is started.
    pub fn kill(&self, world: &World) {
        self.life.set(self.life.get() + 1);
        if let Some(running) = self.running.lock().take() {
            running.runner.abort();
            running.tap.abort();
        }
        let engine = self.store.lock().take();
        match engine {
            Some(engine) if world.rng.chance(0.7) => engine.crash(world.rng.next()),
            Some(engine) => engine.kill(),
            None => {}
        }
        if world.plan.embedded && !world.plan.has_engine() {
            world.history.lose_what_was_not_synced();
        }
    }
}

/// Keeps server number `at` running for as long as it is wanted.
pub async fn keep(world: Arc<World>, at: usize) {
    let slot = &world.servers[at];
    let mut wanted = slot.wanted.subscribe();
    loop {
        let _ = wanted.wait_for(|wanted| *wanted).await;
        slot.kill(&world);
        tokio::select! {
            biased;
            _ = wanted.wait_for(|wanted| !*wanted) => {}
            () = live(&world, at) => {}
        }
        slot.kill(&world);
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
        () = engine(slot) => world.say(format_args!("{} ends: its store has failed", slot.name)),
    }
}

/// Does what the engine's own thread does, and returns once the engine has failed.
async fn engine(slot: &Slot) {
    let Some(engine) = slot.store.lock().clone() else { return std::future::pending().await };
    let flush = async {
        loop {
            sleep(FLUSH).await;
            // What fails here is told by `failed`.
            let _ = engine.flush();
        }
    };
    tokio::select! { biased; _ = engine.failed() => {}, () = flush => {} }
}

async fn open(world: &Arc<World>, at: usize) -> Result<Arc<Cluster>, OpenError> {
    let slot = &world.servers[at];
    let store = store::open(world, at).await.map_err(OpenError::Read)?;
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
