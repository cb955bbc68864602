//! What all parts of a simulation share: the plan, chance, time, the record, and the first thing that went wrong.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gantry_store::FaultyDisk;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::agent::Machines;
use crate::check::Checker;
use crate::net::Net;
use crate::plan::{Fault, Plan};
use crate::rng::Rng;
use crate::server::Slot;
use crate::store::History;
use crate::trace::Trace;

/// What went wrong first.
#[derive(Clone, Debug)]
pub struct Failure {
    /// When.
    pub at: Duration,
    /// The newest revision then.
    pub revision: u64,
    /// What.
    pub text: String,
}

/// Everything there is.
pub struct World {
    /// What this run consists of.
    pub plan: Plan,
    /// Chance.
    pub rng: Rng,
    /// The record.
    pub trace: Trace,
    /// When it began.
    pub start: Instant,
    /// What was committed, and what everything looks like after it.
    pub history: History,
    /// The disk of a server with a store of its own.
    pub disk: FaultyDisk,
    /// Who looks at it.
    pub checker: Mutex<Checker>,
    /// The servers.
    pub servers: Vec<Slot>,
    /// The nodes' machines.
    pub machines: Machines,
    /// Who reaches whom.
    pub net: Net,
    /// Whether faults have ended.
    calm: AtomicBool,
    failed: watch::Sender<Option<Failure>>,
}

impl World {
    /// A world in which nothing has happened yet. Must be called inside a tokio runtime.
    pub fn new(plan: Plan, loud: bool, history: History, disk: FaultyDisk) -> Arc<Self> {
        let start = Instant::now();
        let rng = Rng::new(plan.seed);
        let servers = (0..plan.servers).map(|at| Slot::new(at, start, skew(&plan, &rng))).collect();
        let checker = Checker::new(plan.slack(), &history);
        Arc::new(World {
            machines: Machines::new(&plan, start, &rng),
            net: Net::new(plan.servers),
            plan,
            rng,
            trace: Trace::new(loud),
            start,
            history,
            disk,
            checker: Mutex::new(checker),
            servers,
            calm: AtomicBool::new(false),
            failed: watch::channel(None).0,
        })
    }

    /// Simulated time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Adds a line to the record.
    pub fn say(&self, text: fmt::Arguments<'_>) {
        self.trace.line(self.elapsed(), text);
    }

    /// Something is not as it must be.
    pub fn violated(&self, text: String) {
        self.say(format_args!("VIOLATION {text}"));
        let failure = Failure { at: self.elapsed(), revision: self.history.revision(), text };
        self.failed.send_if_modified(|first| {
            let news = first.is_none();
            if news {
                *first = Some(failure);
            }
            news
        });
    }

    /// The first thing that went wrong.
    pub fn failure(&self) -> Option<Failure> {
        self.failed.borrow().clone()
    }

    /// Returns once something went wrong.
    pub async fn failed(&self) {
        let _ = self.failed.subscribe().wait_for(Option::is_some).await;
    }

    /// No fault from now on.
    pub fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether faults have ended.
    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Whether a fault strikes now, of which `most` is the probability at full strength.
    pub fn strikes(&self, fault: Fault, most: f64) -> bool {
        let strength = self.plan.strength(fault);
        strength > 0.0 && !self.is_calm() && self.rng.chance(strength * most)
    }

    /// Waits for a time between the two, in milliseconds.
    pub async fn pause(&self, low: u64, high: u64) {
        sleep(self.rng.millis(low, high)).await;
    }
}

/// By how many parts of a million a clock is too fast: up to a tenth.
pub fn skew(plan: &Plan, rng: &Rng) -> i64 {
    let most = (plan.strength(Fault::ClockSkew) * 100_000.0) as u64;
    i64::try_from(rng.below(2 * most + 1)).unwrap_or(0) - i64::try_from(most).unwrap_or(0)
}
