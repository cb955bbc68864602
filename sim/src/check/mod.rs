//! What must hold: after every commit, for every answer, on every feed, and when all is quiet again.
//!
//! Each check looks at the history, at what clients were told, or at what machines do; none looks into the code
//! under test.

pub mod acks;
pub mod counts;
pub mod feeds;
mod leaders;
pub mod linear;
mod objects;
pub mod quiet;
mod window;

use std::time::Duration;

use gantry_store::Txn;
use gantry_view::View;

use crate::store::{History, Step};

/// Commits after which the whole view is looked at, which takes longer than what a commit says by itself.
const WHOLE_EVERY: u64 = 16;

/// What must hold in every view, as the doctor asks it of real clusters.
pub fn whole(view: &View) -> Vec<String> {
    let found = gantry_controllers::check(view).into_iter();
    let found = found.map(|v| format!("{}: {} ({})", v.subject, v.message, v.rule));
    found.chain(gantry_registry::check_reservations(view)).collect()
}

/// The checks that follow every commit.
pub struct Checker {
    leaders: leaders::Leaders,
    objects: objects::Objects,
    counts: counts::Counts,
    commits: u64,
    /// What clients read and wrote.
    pub registers: linear::Registers,
}

impl Checker {
    /// Checks for a run in which servers may act on what was true `slack` ago.
    pub fn new(slack: Duration, history: &History) -> Self {
        Checker {
            leaders: leaders::Leaders::default(),
            objects: history.look(|view| objects::Objects::new(slack, view)),
            counts: counts::Counts::new(slack),
            commits: 0,
            registers: linear::Registers::default(),
        }
    }

    /// What a commit violates; `view` shows it already.
    pub fn step(&mut self, step: &Step, txn: &Txn, view: &View) -> Vec<String> {
        let mut found = Vec::new();
        self.leaders.step(step, txn, &mut found);
        for change in &step.changes {
            self.objects.step(change, view, step.at, &mut found);
            self.counts.step(change, view, step.at, &mut found);
        }
        self.commits += 1;
        if self.commits.is_multiple_of(WHOLE_EVERY) {
            found.extend(whole(view));
        }
        found
    }
}
