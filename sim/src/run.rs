//! One run: a cluster comes up, users work while things go wrong, then all is well and must come to rest and stay
//! so.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use gantry_cluster::{Cluster, Setup};
use gantry_registry::{Settings, bootstrap};
use gantry_store::{FaultyDisk, MemoryStore, Range, SimulatedStore, Store, Txn};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::agent;
use crate::check::quiet;
use crate::clock::SimClock;
use crate::nemesis;
use crate::plan::Plan;
use crate::server;
use crate::store::{ALIVE, EPOCH, History, Step};
use crate::workload;
use crate::world::{Failure, World};

/// How long everything may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(2400);
/// After how long nothing that was sent is still on its way.
const LATEST: Duration = Duration::from_secs(45);
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How long it must then stay at rest.
const REST: Duration = Duration::from_secs(60);

/// How a run ended.
pub struct Report {
    /// What it consisted of.
    pub plan: Plan,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// The hash of everything that happened.
    pub hash: u64,
    /// How many lines the record has.
    pub lines: u64,
    /// The last of them.
    pub last: Vec<String>,
    /// How many commits there were.
    pub commits: u64,
    /// Simulated time.
    pub simulated: Duration,
}

/// Runs a plan from the beginning to the end; a loud run prints everything that happens.
pub fn run(plan: Plan, loud: bool) -> Report {
    let first = first_objects();
    quiet_runtime().block_on(async {
        let disk = FaultyDisk::new(plan.seed);
        let start = if plan.has_engine() { &install(&disk, first).await } else { first };
        let world = World::new(plan, loud, History::starting_with(start), disk);
        world.say(format_args!("{}", world.plan));
        tokio::select! {
            biased;
            () = world.failed() => {}
            () = unfold(&world) => {}
        }
        let report = Report {
            plan: world.plan.clone(),
            failure: world.failure(),
            hash: world.trace.hash(),
            lines: world.trace.lines(),
            last: world.trace.last(),
            commits: world.history.commits(),
            simulated: world.elapsed(),
        };
        // Servers hold the world that holds them.
        world.servers.iter().for_each(|slot| slot.kill(&world));
        report
    })
}

/// A runtime of one thread, whose time passes only when nobody has anything to do.
fn quiet_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime without input and output")
}

/// What every cluster has, made once by the code that makes it.
fn first_objects() -> &'static Range {
    static MADE: OnceLock<Range> = OnceLock::new();
    MADE.get_or_init(|| {
        quiet_runtime().block_on(async {
            let store = Arc::new(MemoryStore::new());
            let setup =
                Setup { clock: Arc::new(SimClock::new(Instant::now(), 0)), ..Setup::new(Settings::default(), 1) };
            let cluster = Cluster::open(store.clone(), setup).await.expect("an empty store is read");
            let requests = bootstrap::requests(&cluster.view(), cluster.settings());
            for request in requests {
                cluster.execute(request).await.expect("the first objects are made");
            }
            store.range(Bytes::new()).await.expect("memory is read")
        })
    })
}

/// Puts the first objects on a disk.
async fn install(disk: &FaultyDisk, first: &Range) -> Range {
    let store = SimulatedStore::open(disk.clone()).expect("an empty disk is opened");
    let writes = first.entries.iter().map(|entry| (entry.key.clone(), Some(entry.value.clone())));
    let txn = Txn { compare: Vec::new(), writes: writes.collect(), durable: true };
    store.commit(txn).await.expect("an empty disk is written");
    let range = store.range(Bytes::new()).await.expect("the disk is read");
    store.close().expect("the store is closed");
    range
}

async fn unfold(world: &Arc<World>) {
    let mut servers = JoinSet::new();
    for at in 0..world.servers.len() {
        servers.spawn(server::keep(world.clone(), at));
    }
    let mut agents = JoinSet::new();
    for machine in world.machines.all() {
        agents.spawn(agent::keep(world.clone(), machine));
    }
    let mut programs = workload::start(world);
    nemesis::rage(world, &mut agents).await;
    nemesis::relent(world);
    world.say(format_args!("calm"));
    let done = async { while programs.join_next().await.is_some() {} };
    let tidied = async {
        done.await;
        // What is late arrives first.
        sleep(LATEST).await;
        workload::tidy(world).await;
    };
    if timeout(PATIENCE, tidied).await.is_err() {
        return world.violated("users are not answered for a long time, although nothing is wrong".to_owned());
    }
    come_to_rest(world).await;
    let broken = world.checker.lock().registers.check();
    broken.into_iter().for_each(|violation| world.violated(violation));
}

async fn come_to_rest(world: &World) {
    let began = Instant::now();
    let mut at_rest = 0;
    while at_rest < 4 {
        sleep(LOOK).await;
        let left = quiet::unsettled(world);
        at_rest = if left.is_empty() { at_rest + 1 } else { 0 };
        if began.elapsed() > PATIENCE {
            return world.violated(format!("this does not come to rest: {}", left.join("; ")));
        }
    }
    let rested = world.history.revision();
    world.say(format_args!("at rest"));
    sleep(REST).await;
    let restless: Vec<String> = world.history.after(rested).iter().flat_map(writes).collect();
    if !restless.is_empty() {
        world.violated(format!("this does not stay at rest: {}", restless.join("; ")));
    }
    let left = quiet::unsettled(world);
    if !left.is_empty() {
        world.violated(format!("this does not stay as it was: {}", left.join("; ")));
    }
}

/// What a commit wrote, other than signs of life and reports.
fn writes(step: &Step) -> Vec<String> {
    let keys = step.batch.changes.iter().map(|change| &change.key);
    let ours = keys.filter(|key| *key != ALIVE && *key != EPOCH);
    let texts = ours.map(|key| String::from_utf8_lossy(key).into_owned());
    texts.filter(|key| !key.contains("/leases/") && !key.contains("/events/")).collect()
}
