//! Who sits, who waits, and who is next.
//!
//! A level has a nominal number of seats, its share of all. A part of them it lends while it does not need them;
//! what it does not lend is kept free for it. What nobody keeps goes to levels that have less than their own first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_policy::fairness::PriorityLevel;
use tokio::sync::oneshot;

use super::queue::{Queues, Waiter};
use super::{Ticket, metrics::Flow};

/// What becomes of a request.
pub(super) enum Outcome {
    Seated,
    /// Its place, and its turn.
    Waits(u64, oneshot::Receiver<()>),
    Refused,
}

/// One level.
#[derive(Default)]
pub(super) struct Level {
    pub exempt: bool,
    pub nominal: usize,
    /// Seats that are kept free for it.
    pub kept: usize,
    /// Seats that it may have at the most.
    pub most: usize,
    pub queuing: bool,
    pub queues: Queues,
    pub seated: usize,
    pub executing: usize,
    /// No longer configured; goes when nobody sits.
    pub quiescing: bool,
    pub dispatched: u64,
    pub rejected: u64,
    pub timed_out: u64,
}

/// All levels.
pub(super) struct Seats {
    total: usize,
    pub levels: BTreeMap<Arc<str>, Level>,
    pub flows: BTreeMap<(Arc<str>, Arc<str>), Flow>,
    /// Places whose turn has come and was not heard of yet.
    told: BTreeSet<u64>,
    next_id: u64,
    turned_away: u64,
}

impl Seats {
    pub(super) fn new(total: usize) -> Self {
        Seats {
            total,
            levels: BTreeMap::new(),
            flows: BTreeMap::new(),
            told: BTreeSet::new(),
            next_id: 0,
            turned_away: 0,
        }
    }

    /// Takes on a configuration; who sits or waits stays.
    pub(super) fn configure(&mut self, levels: &[PriorityLevel]) {
        let shares: usize = levels.iter().map(|level| level.shares as usize).sum::<usize>().max(1);
        for level in self.levels.values_mut() {
            level.quiescing = true;
        }
        for wanted in levels {
            let level = self.levels.entry(Arc::from(wanted.name.as_str())).or_default();
            let nominal = (self.total * wanted.shares as usize).div_ceil(shares);
            let percent = |part: u32| (nominal * part as usize).div_euclid(100);
            level.exempt = wanted.exempt;
            level.nominal = nominal;
            level.kept = nominal - percent(wanted.lendable).min(nominal);
            level.most = wanted.borrowing.map_or(self.total, |part| nominal + percent(part)).max(1);
            level.quiescing = false;
            level.queuing = wanted.queuing.is_some();
            if let Some(queuing) = wanted.queuing {
                level.queues.resize(queuing.queues, queuing.hand, queuing.length);
            } else {
                level.queues.resize(0, 0, 0);
            }
        }
        self.levels.retain(|_, level| !level.quiescing || level.seated > 0 || level.queues.len() > 0);
        self.dispatch();
    }

    /// Seats a request, or has it wait.
    pub(super) fn ask(&mut self, ticket: &Ticket) -> Outcome {
        let id = self.next_id;
        let free = self.fits(&ticket.level, ticket.width);
        let Some(level) = self.levels.get_mut(&ticket.level) else { return Outcome::Seated };
        if level.exempt || (free && level.queues.len() == 0) {
            level.take(ticket.width);
            return Outcome::Seated;
        }
        let (turn, mine) = oneshot::channel();
        if level.queuing && level.queues.push(Waiter { id, ticket: ticket.clone(), turn }).is_ok() {
            self.next_id += 1;
            self.flow(ticket).waiting += 1;
            self.dispatch();
            return Outcome::Waits(id, mine);
        }
        level.rejected += 1;
        self.turned_away += 1;
        let reason = if self.levels[&ticket.level].queuing { "queue-full" } else { "concurrency-limit" };
        *self.flow(ticket).rejected.entry(reason).or_default() += 1;
        Outcome::Refused
    }

    /// A request that sits begins to be worked on.
    pub(super) fn began(&mut self, ticket: &Ticket, waited: Duration) {
        let flow = self.flow(ticket);
        flow.dispatched += 1;
        flow.executing += 1;
        flow.seats += ticket.width;
        flow.waits.record("true", waited);
    }

    /// A request that waited too long.
    pub(super) fn gave_up(&mut self, ticket: &Ticket, waited: Duration) {
        if let Some(level) = self.levels.get_mut(&ticket.level) {
            level.timed_out += 1;
        }
        self.turned_away += 1;
        let flow = self.flow(ticket);
        *flow.rejected.entry("time-out").or_default() += 1;
        flow.waits.record("false", waited);
    }

    /// Gives seats back.
    pub(super) fn done(&mut self, ticket: &Ticket, took: Duration) {
        let flow = self.flow(ticket);
        flow.executing = flow.executing.saturating_sub(1);
        flow.seats = flow.seats.saturating_sub(ticket.width);
        flow.executions.record("regular", took);
        self.stand_up(&ticket.level, ticket.width);
    }

    /// A request leaves its place: to sit, or to go. Whoever goes at the very moment of his turn gives his seats back.
    pub(super) fn leave(&mut self, ticket: &Ticket, id: u64, seated: bool) {
        if self.told.remove(&id) {
            if !seated {
                self.stand_up(&ticket.level, ticket.width);
            }
            return;
        }
        if let Some(level) = self.levels.get_mut(&ticket.level) {
            level.queues.remove(id);
        }
        let flow = self.flow(ticket);
        flow.waiting = flow.waiting.saturating_sub(1);
    }

    pub(super) fn waiting(&self) -> usize {
        self.levels.values().map(|level| level.queues.len()).sum()
    }

    pub(super) fn turned_away(&self) -> u64 {
        self.turned_away
    }

    fn flow(&mut self, ticket: &Ticket) -> &mut Flow {
        self.flows.entry((ticket.level.clone(), ticket.schema.clone())).or_default()
    }

    fn stand_up(&mut self, name: &Arc<str>, width: usize) {
        if let Some(level) = self.levels.get_mut(name) {
            level.seated = level.seated.saturating_sub(width);
            level.executing = level.executing.saturating_sub(1);
            if level.quiescing && level.seated == 0 && level.queues.len() == 0 {
                self.levels.remove(name);
            }
        }
        self.dispatch();
    }

    /// Whether a level may have that many seats more.
    fn fits(&self, name: &Arc<str>, width: usize) -> bool {
        let Some(level) = self.levels.get(name) else { return true };
        let wanted = level.seated + width;
        // Nobody waits for ever, however wide he is.
        if level.seated == 0 || wanted <= level.kept {
            return true;
        }
        let others = self.levels.iter().filter(|(other, level)| *other != name && !level.exempt);
        let taken: usize = others.map(|(_, level)| level.seated.max(level.kept)).sum();
        wanted <= level.most && taken + wanted <= self.total
    }

    /// Seats whoever can be seated.
    fn dispatch(&mut self) {
        while let Some(name) = self.next_level() {
            let Some(level) = self.levels.get_mut(&name) else { return };
            let Some(waiter) = level.queues.pop() else { return };
            level.take(waiter.ticket.width);
            let flow = self.flow(&waiter.ticket);
            flow.waiting = flow.waiting.saturating_sub(1);
            self.told.insert(waiter.id);
            // Whoever does not hear it leaves his place, and with it the seats.
            let _ = waiter.turn.send(());
        }
    }

    /// The level whose next request can be seated and that has least of its own.
    fn next_level(&self) -> Option<Arc<str>> {
        let able = self.levels.iter().filter_map(|(name, level)| Some((name, level, level.queues.next()?)));
        let able = able.filter(|(name, _, next)| self.fits(name, next.ticket.width));
        let poorest = able.min_by_key(|(_, level, _)| level.seated * 1000 / level.nominal.max(1));
        poorest.map(|(name, _, _)| name.clone())
    }
}

impl Level {
    fn take(&mut self, width: usize) {
        self.seated += width;
        self.executing += 1;
        self.dispatched += 1;
    }
}
