//! How many requests are worked on at a time, and what becomes of the others: each is of a flow of a FlowSchema, and
//! takes seats of its priority level, waits in one of the level's queues, or is told to come back.
//!
//! Invariants: a level always gets the seats that it does not lend; exempt requests never wait; a flow fills no more
//! queues than its hand holds; the configuration is what is stored now.

mod dump;
mod metrics;
mod queue;
mod seats;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use gantry_cluster::Cluster;
use gantry_kinds::Status;
use gantry_policy::Attributes;
use gantry_policy::fairness::Fairness as Configuration;
use parking_lot::Mutex;

use self::seats::{Outcome, Seats};
use crate::Refusal;
use crate::limits::{LINE_WAIT, OBJECTS_PER_SEAT, RETRY_AFTER, SEATS, SEATS_OF_ONE};
use crate::query::Query;
use crate::route::Asked;

/// The seats of this server.
pub(crate) struct Fairness {
    seats: Arc<Mutex<Seats>>,
    configuration: Mutex<Known>,
}

/// The configuration, and what it was made of.
#[derive(Default)]
struct Known {
    of: Option<(usize, u64)>,
    configuration: Arc<Configuration>,
}

/// What a request was taken for, for the headers of its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    pub schema_uid: String,
    pub level_uid: String,
}

/// Which seats a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    level: Arc<str>,
    schema: Arc<str>,
    flow: String,
    hash: u64,
    width: usize,
}

/// Seats that are held until this is dropped.
pub(crate) struct Seat {
    seats: Arc<Mutex<Seats>>,
    ticket: Ticket,
    since: Instant,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().done(&self.ticket, self.since.elapsed());
    }
}

/// A place in a queue that is left when this goes.
struct Place {
    seats: Arc<Mutex<Seats>>,
    ticket: Ticket,
    id: u64,
    /// Its turn has come, and was heard of.
    seated: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.seats.lock().leave(&self.ticket, self.id, self.seated);
    }
}

impl Fairness {
    pub(crate) fn new() -> Self {
        Fairness { seats: Arc::new(Mutex::new(Seats::new(SEATS))), configuration: Mutex::default() }
    }

    /// What a request is taken for.
    pub(crate) fn classify(&self, cluster: &Cluster, asked: &Attributes<'_>, width: usize) -> (Marks, Ticket) {
        let configuration = self.configured(cluster);
        let schema = configuration.schemas.iter().find(|schema| schema.matches(asked));
        let level_name = schema.map_or("catch-all", |schema| schema.level.as_str());
        let level = configuration.levels.iter().find(|level| level.name == level_name);
        let schema_name = schema.map_or("catch-all", |schema| schema.name.as_str());
        let flow = schema.map_or("", |schema| schema.distinguisher(asked)).to_owned();
        let mut hasher = DefaultHasher::new();
        (schema_name, &flow).hash(&mut hasher);
        let uid = |uid: Option<&String>| uid.cloned().unwrap_or_default();
        let marks = Marks { schema_uid: uid(schema.map(|s| &s.uid)), level_uid: uid(level.map(|l| &l.uid)) };
        let (level, schema) = (Arc::from(level_name), Arc::from(schema_name));
        (marks, Ticket { level, schema, flow, hash: hasher.finish(), width })
    }

    /// Waits for seats, which are held until the answer begins. 429 when too many wait, or for too long. `seed`
    /// spreads the moments at which those who are turned away come back.
    pub(crate) async fn enter(&self, ticket: Ticket, seed: u64) -> Result<Seat, Refusal> {
        let begun = Instant::now();
        let outcome = self.seats.lock().ask(&ticket);
        match outcome {
            Outcome::Seated => {}
            Outcome::Refused => return Err(come_back(self.waiting(), seed)),
            Outcome::Waits(id, turn) => {
                let mut place = Place { seats: self.seats.clone(), ticket: ticket.clone(), id, seated: false };
                place.seated = matches!(tokio::time::timeout(LINE_WAIT, turn).await, Ok(Ok(())));
                if !place.seated {
                    drop(place);
                    self.seats.lock().gave_up(&ticket, begun.elapsed());
                    return Err(come_back(self.waiting(), seed));
                }
            }
        }
        self.seats.lock().began(&ticket, begun.elapsed());
        Ok(Seat { seats: self.seats.clone(), ticket, since: Instant::now() })
    }

    /// Requests that wait in a queue.
    pub(crate) fn waiting(&self) -> usize {
        self.seats.lock().waiting()
    }

    /// Requests that were turned away since the start.
    pub(crate) fn turned_away(&self) -> u64 {
        self.seats.lock().turned_away()
    }

    /// All metrics of fairness.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        metrics::write(out, &self.seats.lock());
    }

    /// A dump for people, by its name in the path.
    pub(crate) fn dump(&self, what: &str) -> Option<String> {
        dump::of(&self.seats.lock(), what)
    }

    fn configured(&self, cluster: &Cluster) -> Arc<Configuration> {
        let view = cluster.view();
        let of = Configuration::fingerprint(&view);
        let mut known = self.configuration.lock();
        if known.of != Some(of) {
            let configuration = Arc::new(Configuration::of(&view));
            self.seats.lock().configure(&configuration.levels);
            *known = Known { of: Some(of), configuration };
        }
        known.configuration.clone()
    }
}

/// How many seats a request takes: long lists take several.
pub(crate) fn width(cluster: &Cluster, asked: &Asked, query: &Query) -> usize {
    let Some(kind) = asked.kind.filter(|_| asked.verb == "list") else { return 1 };
    let limit = query.text("limit").and_then(|limit| limit.parse::<usize>().ok()).filter(|limit| *limit > 0);
    let count = cluster.view().count(kind.home()).min(limit.unwrap_or(usize::MAX));
    count.div_ceil(OBJECTS_PER_SEAT).clamp(1, SEATS_OF_ONE)
}

/// 429: after a second at the earliest, and at random within the time that the queues take.
fn come_back(waiting: usize, seed: u64) -> Refusal {
    let spread = u64::try_from(waiting / SEATS).unwrap_or(u64::MAX).saturating_add(1);
    let seconds = 1 + seed % spread.min(RETRY_AFTER);
    let mut status = Status::new(429, "TooManyRequests", "Too many requests, please try again later.");
    status.retry_after_seconds = u32::try_from(seconds).unwrap_or(1);
    Box::new(status)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ticket(level: &str, flow: &str) -> Ticket {
        let mut hasher = DefaultHasher::new();
        flow.hash(&mut hasher);
        Ticket { level: level.into(), schema: "s".into(), flow: flow.to_owned(), hash: hasher.finish(), width: 1 }
    }

    fn fairness() -> Fairness {
        let fairness = Fairness::new();
        fairness.seats.lock().configure(&Configuration::of(&gantry_view::View::new()).levels);
        fairness
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_no_seat_waits_and_then_comes_back_later() {
        let fairness = fairness();
        let mut held = Vec::new();
        while let Outcome::Seated = fairness.seats.lock().ask(&ticket("workload-low", "a")) {
            let (seats, ticket) = (fairness.seats.clone(), ticket("workload-low", "a"));
            held.push(Seat { seats, ticket, since: Instant::now() });
        }
        assert!(held.len() < SEATS && held.len() > SEATS / 2, "{}", held.len());
        assert!(fairness.enter(ticket("node-high", "n"), 0).await.is_ok(), "another level keeps what it does not lend");
        let refused = fairness.enter(ticket("workload-low", "b"), 7).await.err().unwrap();
        assert_eq!((refused.code, refused.reason), (429, "TooManyRequests"));
        let free = async {
            tokio::time::sleep(LINE_WAIT / 2).await;
            held.truncate(held.len() - 2);
        };
        let (seat, ()) = tokio::join!(fairness.enter(ticket("workload-low", "b"), 7), free);
        assert!(seat.is_ok(), "who waits gets the next seat");
    }

    #[tokio::test(start_paused = true)]
    async fn a_level_that_does_not_queue_refuses_at_once() {
        let fairness = fairness();
        let mut held = Vec::new();
        loop {
            match fairness.enter(ticket("catch-all", "a"), 0).await {
                Ok(seat) => held.push(seat),
                Err(refused) => break assert_eq!(refused.code, 429),
            }
        }
        assert!(held.len() > 13);
        assert_eq!((fairness.turned_away(), fairness.waiting()), (1, 0));
        drop(held);
        assert!(fairness.enter(ticket("catch-all", "a"), 0).await.is_ok());
    }

    #[test]
    fn the_more_wait_the_later_and_the_wider_they_come_back() {
        let seconds =
            |waiting| (0..1000).map(|seed| come_back(waiting, seed).retry_after_seconds).collect::<BTreeSet<_>>();
        assert_eq!(seconds(0), BTreeSet::from([1]));
        assert_eq!(seconds(SEATS * 4).len(), 5);
        assert_eq!(seconds(usize::MAX / 2).len() as u64, RETRY_AFTER);
    }
}
