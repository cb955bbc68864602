//! The work queue of one controller: which keys are due when, which are in flight, and how often they failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX};

/// What the queue knows of a key.
#[derive(Default)]
struct Entry {
    due: Option<Instant>,
    in_flight: bool,
    failures: u32,
}

/// Keys with their due times. A key is in it once, however often it was added.
pub(crate) struct Queue<K> {
    entries: BTreeMap<K, Entry>,
    by_due: BTreeSet<(Instant, K)>,
    in_flight: usize,
}

impl<K: Ord + Clone> Queue<K> {
    pub(crate) fn new() -> Self {
        Queue { entries: BTreeMap::new(), by_due: BTreeSet::new(), in_flight: 0 }
    }

    /// Asks for a turn of `key` at `due` or sooner. While the key is in flight, the turn comes afterwards.
    pub(crate) fn add(&mut self, key: K, due: Instant) {
        let entry = self.entries.entry(key.clone()).or_default();
        let sooner = entry.due.map_or(due, |before| before.min(due));
        if entry.due == Some(sooner) {
            return;
        }
        if let Some(before) = entry.due.replace(sooner)
            && !entry.in_flight
        {
            self.by_due.remove(&(before, key.clone()));
        }
        if !entry.in_flight {
            self.by_due.insert((sooner, key));
        }
    }

    /// The next key that is due at `now`; it is in flight from then on.
    pub(crate) fn take(&mut self, now: Instant) -> Option<K> {
        let (due, key) = self.by_due.first()?.clone();
        if due > now {
            return None;
        }
        self.by_due.remove(&(due, key.clone()));
        let entry = self.entries.get_mut(&key)?;
        entry.due = None;
        entry.in_flight = true;
        self.in_flight += 1;
        Some(key)
    }

    /// The turn of `key` is over. After a failure it comes again with growing delay.
    pub(crate) fn done(&mut self, key: K, succeeded: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.in_flight = false;
        self.in_flight -= 1;
        if succeeded {
            entry.failures = 0;
        } else {
            entry.failures = entry.failures.saturating_add(1);
            // A change that came in meanwhile does not shorten the delay, as nothing says that it helps.
            entry.due = Some(now + backoff(entry.failures));
        }
        match entry.due {
            Some(due) => {
                self.by_due.insert((due, key));
            }
            None if entry.failures == 0 => {
                self.entries.remove(&key);
            }
            None => {}
        }
    }

    /// When the next key is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// How many keys are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_FIRST.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_key_is_queued_once_at_its_soonest_time() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add("a", now + 5 * MS);
        queue.add("a", now);
        queue.add("a", now + 9 * MS);
        assert_eq!(queue.take(now), Some("a"));
        assert_eq!(queue.take(now + 10 * MS), None);
    }

    #[test]
    fn a_key_in_flight_waits_for_its_turn_to_end() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add("a", now);
        assert_eq!(queue.take(now), Some("a"));
        queue.add("a", now);
        assert_eq!(queue.take(now), None, "it is in flight");
        queue.done("a", true, now);
        assert_eq!(queue.take(now), Some("a"), "the change that came in meanwhile is not lost");
        queue.done("a", true, now);
        assert_eq!(queue.take(now), None);
        assert_eq!(queue.in_flight(), 0);
    }

    #[test]
    fn failures_wait_longer_and_longer() {
        let now = Instant::now();
        let mut queue = Queue::new();
        queue.add("a", now);
        assert_eq!(queue.take(now), Some("a"));
        queue.done("a", false, now);
        assert_eq!(queue.next_due(), Some(now + 5 * MS));
        assert_eq!(queue.take(now + 5 * MS), Some("a"));
        queue.done("a", false, now);
        assert_eq!(queue.next_due(), Some(now + 10 * MS));
        assert_eq!(backoff(40), BACKOFF_MAX);
    }
}
