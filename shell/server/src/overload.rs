//! How many requests are worked on at a time, and what becomes of the others: they wait in line for a while; where
//! the line is too long they are told to come back, the later the longer it is, and not all at once.
//!
//! Invariants: nobody is turned away by the work of another level; what nodes say of themselves has a level of its
//! own, so that a rush of lists declares no node dead; administrators and probes are never turned away.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use gantry_kinds::Status;
use gantry_registry::User;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::Refusal;
use crate::limits::{LINE, LINE_WAIT, RETRY_AFTER, SEATS, SERVED_A_SECOND};
use crate::route::Asked;

/// Levels of requests, each with seats of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Never turned away.
    Exempt,
    /// Nodes that renew their leases and their status.
    Nodes,
    Reads,
    Writes,
}

impl Level {
    /// The level of a request, by what costs nothing to know: its path, and its sender's certificate.
    pub(crate) fn of(sender: Option<&User>, asked: &Asked) -> Self {
        let in_group = |group: &str| sender.is_some_and(|user| user.groups.iter().any(|g| g == group));
        if !asked.resource_request || in_group("system:masters") {
            return Level::Exempt;
        }
        if in_group("system:nodes") && ["leases", "nodes"].contains(&asked.resource.as_str()) && !asked.name.is_empty()
        {
            return Level::Nodes;
        }
        if ["get", "list", "watch"].contains(&asked.verb) { Level::Reads } else { Level::Writes }
    }
}

/// The seats of one level, and the line before them.
struct Line {
    seats: Semaphore,
    waiting: AtomicUsize,
}

/// All levels.
pub(crate) struct Overload {
    nodes: Line,
    reads: Line,
    writes: Line,
    turned_away: AtomicU64,
}

/// A place in the line that is left when this goes.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Overload {
    pub(crate) fn new() -> Self {
        let line = || Line { seats: Semaphore::new(SEATS), waiting: AtomicUsize::new(0) };
        Overload { nodes: line(), reads: line(), writes: line(), turned_away: AtomicU64::new(0) }
    }

    /// Waits for a seat, which is held until the answer begins; `None` where none is needed. 429 when the line is
    /// too long. `seed` spreads the moments at which those who are turned away come back.
    pub(crate) async fn enter(&self, level: Level, seed: u64) -> Result<Option<SemaphorePermit<'_>>, Refusal> {
        let line = match level {
            Level::Exempt => return Ok(None),
            Level::Nodes => &self.nodes,
            Level::Reads => &self.reads,
            Level::Writes => &self.writes,
        };
        if let Ok(seat) = line.seats.try_acquire() {
            return Ok(Some(seat));
        }
        let before = line.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Waiting(&line.waiting);
        if before < LINE
            && let Ok(Ok(seat)) = timeout(LINE_WAIT, line.seats.acquire()).await
        {
            return Ok(Some(seat));
        }
        drop(place);
        self.turned_away.fetch_add(1, Ordering::Relaxed);
        Err(come_back(before, seed))
    }

    /// Requests that were turned away since the start.
    pub(crate) fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Requests that wait in line.
    pub(crate) fn waiting(&self) -> usize {
        [&self.nodes, &self.reads, &self.writes].map(|line| line.waiting.load(Ordering::Relaxed)).iter().sum()
    }
}

/// 429: after a second at the earliest, and at random within the time that the line takes.
fn come_back(waiting: usize, seed: u64) -> Refusal {
    let spread = u64::try_from(waiting / SERVED_A_SECOND).unwrap_or(u64::MAX).saturating_add(1);
    let seconds = 1 + seed % spread.min(RETRY_AFTER);
    let mut status = Status::new(429, "TooManyRequests", "Too many requests, please try again later.");
    status.retry_after_seconds = u32::try_from(seconds).unwrap_or(1);
    Box::new(status)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http::Method;

    use super::*;
    use crate::query::Query;

    fn level(group: &str, method: Method, path: &str) -> Level {
        let user = User { groups: vec![group.to_owned()], ..User::default() };
        Level::of(Some(&user), &Asked::read(&method, path, &Query::default()))
    }

    #[test]
    fn what_nodes_say_of_themselves_waits_behind_nothing_else() {
        let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";
        assert_eq!(level("system:nodes", Method::PUT, lease), Level::Nodes);
        assert_eq!(level("system:nodes", Method::PATCH, "/api/v1/nodes/n1/status"), Level::Nodes);
        assert_eq!(level("system:nodes", Method::GET, "/api/v1/pods"), Level::Reads);
        assert_eq!(level("system:nodes", Method::PATCH, "/api/v1/namespaces/a/pods/p/status"), Level::Writes);
        assert_eq!(level("dev", Method::PUT, lease), Level::Writes);
        assert_eq!(level("system:masters", Method::GET, "/api/v1/pods"), Level::Exempt);
        assert_eq!(level("dev", Method::GET, "/livez"), Level::Exempt);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_no_seat_waits_and_then_comes_back_later() {
        let overload = Overload::new();
        let mut seats = Vec::new();
        for seed in 0..SEATS as u64 {
            seats.push(overload.enter(Level::Reads, seed).await.unwrap());
        }
        assert!(overload.enter(Level::Writes, 0).await.is_ok(), "another level has its own");
        let refused = overload.enter(Level::Reads, 7).await.unwrap_err();
        assert_eq!((refused.code, refused.reason, refused.retry_after_seconds), (429, "TooManyRequests", 1));
        let free = async {
            tokio::time::sleep(LINE_WAIT / 2).await;
            seats.pop();
        };
        let (seat, ()) = tokio::join!(overload.enter(Level::Reads, 7), free);
        assert!(seat.is_ok(), "who waits gets the next seat");
        assert_eq!((overload.turned_away(), overload.waiting()), (1, 0));
    }

    #[test]
    fn the_longer_the_line_the_later_and_the_wider_they_come_back() {
        let seconds =
            |waiting| (0..1000).map(|seed| come_back(waiting, seed).retry_after_seconds).collect::<BTreeSet<_>>();
        assert_eq!(seconds(0), BTreeSet::from([1]));
        assert_eq!(seconds(SERVED_A_SECOND * 4).len(), 5);
        assert_eq!(seconds(usize::MAX / 2).len() as u64, RETRY_AFTER);
    }
}
