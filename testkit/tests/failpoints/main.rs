//! F1: the server is killed at every point at which it writes, and nothing that it has said is lost.
//!
//! Each life of a server begins with one failpoint armed and clients that write and watch at once, and ends there.
//! The next one is read back, and all that clients were told is held against what is there.

mod clients;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clients::{Dice, Watcher, churn, write};
use gantry_testkit::{Alone, SmallDisk, Start, failpoints, hollow_node, may_mount, was_killed};
use nix::sys::signal::Signal;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use world::World;

/// Clients that write at once.
const WRITERS: u64 = 4;
/// How long a life goes on at the most when its failpoint is not met.
const LIFE: Duration = Duration::from_secs(2);
/// How long a disk that is filled again and again is full, and then is not.
const TOGGLE: Duration = Duration::from_millis(250);
/// Kills on one data directory.
const KILLS_PER_DIRECTORY: usize = 25;
/// Highest visit at which the process is killed.
const VISITS_MAX: usize = 64;
/// Lives that a point may take to be met.
const LIVES_MAX: usize = 8;
/// Makes rare things frequent.
const SETTINGS: &str =
    "cluster::compact_every=return(150);server::bookmark_every=return(20);gantry::small_store=return";

/// Server, clients and books of the loop.
struct Loop {
    runtime: Runtime,
    dice: Dice,
    server: Alone,
    /// Where the data lies, when the disk is filled and emptied all the time.
    disk: Option<SmallDisk>,
    world: Arc<World>,
    watchers: Vec<Watcher>,
    kills_here: usize,
    /// The highest visit that is tried at each point.
    visits: BTreeMap<String, usize>,
    /// How often the process was killed at each point.
    kills: BTreeMap<String, usize>,
    checked: (usize, usize),
}

impl Loop {
    fn new(seed: u64) -> Self {
        Loop {
            runtime: Runtime::new().expect("a runtime"),
            dice: Dice::new(seed),
            server: Alone::new(),
            disk: None,
            world: Arc::new(World::new()),
            watchers: watchers(),
            kills_here: 0,
            visits: BTreeMap::new(),
            kills: BTreeMap::new(),
            checked: (0, 0),
        }
    }

    /// Kills the process at `point`, however many lives that takes.
    fn kill_at(&mut self, point: &str) {
        for _ in 0..LIVES_MAX {
            if self.kills_here >= KILLS_PER_DIRECTORY || needs_a_fresh_directory(point) {
                self.begin_anew();
            }
            let visits = self.visits.entry(point.to_owned()).or_insert_with(|| visits_at(point));
            let visit = 1 + self.dice.roll(*visits);
            if self.life(point, visit) {
                *self.kills.entry(point.to_owned()).or_default() += 1;
                self.kills_here += 1;
                return;
            }
            // It is not met that often.
            let visits = self.visits.get_mut(point).expect("an entry");
            *visits = (*visits / 4).max(1);
        }
        panic!("{point} was not met in {LIVES_MAX} lives; settings: {SETTINGS}");
    }

    /// One life of the server; true when it ended at `point`.
    fn life(&mut self, point: &str, visit: usize) -> bool {
        self.disk.iter().for_each(SmallDisk::release);
        let start = self.server.try_start(&format!("{SETTINGS};{point}=kill@{visit}"));
        let by_itself = start != Start::Ready || !self.read_back() || self.work(point);
        let status = self.server.wait_for_end();
        self.world.server_died();
        assert!(was_killed(status) || point.contains("close"), "{status}:\n{}", self.server.log());
        by_itself && was_killed(status)
    }

    /// Verifies the life before; false when the process ended meanwhile.
    fn read_back(&mut self) -> bool {
        let world = Arc::get_mut(&mut self.world).expect("no client is left");
        let api = self.server.api();
        match self.runtime.block_on(world.verify(&api)) {
            Ok(Ok(())) => true,
            Ok(Err(broken)) => panic!("{broken}\nkills so far: {:?}", self.kills),
            Err(_) => false,
        }
    }

    /// Lets clients work until the server has ended, or for as long as a life goes on.
    /// True when it ended by itself.
    fn work(&mut self, point: &str) -> bool {
        let (api, began) = (self.server.api(), Instant::now());
        let mut clients = JoinSet::new();
        let mut watchers = JoinSet::new();
        let handle = self.runtime.handle().clone();
        for _ in 0..WRITERS {
            clients.spawn_on(write(self.world.clone(), api.clone(), self.dice.seed()), &handle);
        }
        clients.spawn_on(churn(api.clone(), self.dice.seed()), &handle);
        for watcher in self.watchers.drain(..) {
            watchers.spawn_on(watcher.follow(self.world.clone(), api.clone(), self.dice.seed()), &handle);
        }
        let node_api = api.clone();
        let node = handle.spawn(hollow_node("node1", move || Some(node_api.clone())));
        let (mut told_to_end, mut toggles) = (false, 0);
        while self.server.has_ended().is_none() && began.elapsed() < LIFE {
            if point.contains("close") && !told_to_end && began.elapsed() > LIFE / 10 {
                self.server.signal(Signal::SIGTERM);
                told_to_end = true;
            }
            if let Some(disk) = &self.disk
                && began.elapsed() > TOGGLE * toggles
            {
                if toggles % 2 == 1 {
                    disk.fill()
                } else {
                    disk.release()
                }
                toggles += 1;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let by_itself = self.server.has_ended().is_some();
        self.server.kill();
        node.abort();
        self.watchers = self.runtime.block_on(async {
            let _ = node.await;
            clients.join_all().await;
            watchers.join_all().await
        });
        by_itself
    }

    /// Another directory, with nothing in it.
    fn begin_anew(&mut self) {
        self.finish();
        (self.server, self.world, self.watchers) = (Alone::new(), Arc::new(World::new()), watchers());
        self.kills_here = 0;
    }

    /// Verifies what the last kill left.
    fn finish(&mut self) {
        self.disk.iter().for_each(SmallDisk::release);
        self.server.start("");
        assert!(self.read_back(), "the server ended:\n{}", self.server.log());
        self.server.kill();
        self.checked.0 += self.world.checked.0;
        self.checked.1 += self.world.checked.1;
    }
}

fn watchers() -> Vec<Watcher> {
    let selections =
        [("configmaps", None), ("configmaps", Some("red")), ("services", None), ("services", Some("blue"))];
    selections.into_iter().map(|(plural, selected)| Watcher::new(plural, selected)).collect()
}

/// The highest visit that is tried first: some points are met once in a life, others with each request.
fn visits_at(point: &str) -> usize {
    let rare = [
        "take_over",
        "_term",
        "gantry::",
        "::format",
        "::open",
        "close",
        "compact",
        "clean",
        "roll",
        "prepare",
        "reserve",
    ];
    if rare.iter().any(|part| point.contains(part)) { 2 } else { VISITS_MAX }
}

/// Points that are met only where there is no data yet.
fn needs_a_fresh_directory(point: &str) -> bool {
    point.starts_with("store::format") || point.ends_with("_first_object")
}

/// Points of the server on a sound disk with room; those of the agent need containers.
fn points() -> Vec<String> {
    let elsewhere = ["agent::", "store::sync_", "store::reserve_"];
    failpoints().into_iter().filter(|point| !elsewhere.iter().any(|prefix| point.starts_with(prefix))).collect()
}

/// The points where the store lives on what it has kept in reserve.
#[test]
fn f1_a_server_killed_on_a_full_disk_loses_nothing() {
    if !may_mount() {
        eprintln!("SKIPPED: mounting a small disk needs root");
        return;
    }
    let disk = SmallDisk::new(16 << 20);
    let mut killer = Loop::new(3);
    killer.server = Alone::in_folder(&disk.path().join("data"));
    killer.disk = Some(disk);
    let points: Vec<_> = failpoints().into_iter().filter(|point| point.starts_with("store::reserve_")).collect();
    points.iter().for_each(|point| killer.kill_at(point));
    killer.finish();
    println!("{:?}; checked {:?} calls and events", killer.kills, killer.checked);
}

/// Each point is met once; `GANTRY_KILLS=1000` goes on over all points until there were that many.
#[test]
fn f1_a_server_killed_at_any_write_loses_nothing_and_invents_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let wanted = number("GANTRY_KILLS").unwrap_or(0);
    let seed = number("GANTRY_KILLS_SEED").unwrap_or(1);
    let only = std::env::var("GANTRY_KILLS_AT").unwrap_or_default();
    let points: Vec<_> = points().into_iter().filter(|point| point.contains(&only)).collect();
    let (mut kills, mut killer, began) = (0, Loop::new(seed), Instant::now());
    while kills < wanted.max(points.len() as u64) {
        for point in &points {
            killer.kill_at(point);
            kills += 1;
        }
        println!("{kills} kills after {:?}", began.elapsed());
    }
    killer.finish();
    let (calls, events) = killer.checked;
    println!(
        "{kills} kills at {} points in {:?}; checked {calls} calls, {events} events",
        points.len(),
        began.elapsed()
    );
    killer.kills.iter().for_each(|(point, kills)| println!("{kills:5} {point}"));
    assert!(calls > 0 && events > 0, "clients were busy");
}
