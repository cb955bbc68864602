//! Pods that wait for a node, in the order in which they get their turn.
//!
//! Invariants: waiting is measured by uptime, never by a clock that can be set; a pod is either ready or waiting for
//! its time, never both; a change that may help makes all ready.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_view::ObjectKey;
use jiff::Timestamp;

use crate::pod::PodFacts;

/// First pause after a pod fitted nowhere; it doubles each time.
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

type Rank = (Reverse<i32>, Timestamp, ObjectKey);

struct Entry {
    pod: Arc<PodFacts>,
    attempts: u32,
    /// When it is ready again, by uptime; `None`: now.
    until: Option<Duration>,
    said: Option<(String, Duration)>,
}

/// The queue.
#[derive(Default)]
pub struct Queue {
    entries: BTreeMap<ObjectKey, Entry>,
    ready: BTreeSet<Rank>,
    waiting: BTreeSet<(Duration, ObjectKey)>,
}

fn rank(pod: &PodFacts) -> Rank {
    (Reverse(pod.priority), pod.created, pod.key.clone())
}

impl Queue {
    /// A pod wants a node. One that is waiting goes on waiting unless it has changed in what matters.
    pub fn add(&mut self, pod: Arc<PodFacts>) {
        match self.entries.get_mut(&pod.key) {
            Some(entry) if entry.pod.same_wishes(&pod) => entry.pod = pod,
            _ => {
                let before = self.take_out(&pod.key);
                self.ready.insert(rank(&pod));
                let said = before.and_then(|entry| entry.said);
                self.entries.insert(pod.key.clone(), Entry { pod, attempts: 0, until: None, said });
            }
        }
    }

    /// A pod no longer wants a node.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.take_out(key);
    }

    fn take_out(&mut self, key: &ObjectKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        match entry.until {
            Some(until) => self.waiting.remove(&(until, key.clone())),
            None => self.ready.remove(&rank(&entry.pod)),
        };
        Some(entry)
    }

    /// Everything that waits is ready.
    pub fn wake_all(&mut self) {
        for (_, key) in std::mem::take(&mut self.waiting) {
            self.make_ready(&key);
        }
    }

    /// Pods that want to be with others are ready: somebody has come.
    pub fn wake_company(&mut self) {
        let wants = |key: &ObjectKey| self.entries.get(key).is_some_and(|e| !e.pod.company.with.is_empty());
        let woken: Vec<_> = self.waiting.iter().filter(|(_, key)| wants(key)).cloned().collect();
        for at in woken {
            self.waiting.remove(&at);
            self.make_ready(&at.1);
        }
    }

    /// What has waited long enough is ready.
    pub fn wake_due(&mut self, now: Duration) {
        while let Some((until, key)) = self.waiting.first().cloned().filter(|(until, _)| *until <= now) {
            self.waiting.remove(&(until, key.clone()));
            self.make_ready(&key);
        }
    }

    fn make_ready(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.until = None;
            self.ready.insert(rank(&entry.pod));
        }
    }

    /// The pod whose turn it is; it stays in the queue.
    pub fn first(&self) -> Option<&Arc<PodFacts>> {
        self.ready.first().and_then(|(_, _, key)| self.entries.get(key)).map(|entry| &entry.pod)
    }

    /// The pod fitted nowhere, for the reason in `message`: it waits. Whether that is news: it is new, or was last
    /// said longer than `repeat` ago.
    pub fn postpone(&mut self, key: &ObjectKey, now: Duration, message: &str, repeat: Duration) -> bool {
        let Some(entry) = self.entries.get_mut(key) else { return false };
        self.ready.remove(&rank(&entry.pod));
        if let Some(before) = entry.until {
            self.waiting.remove(&(before, key.clone()));
        }
        let until = now + backoff(entry.attempts);
        entry.attempts = entry.attempts.saturating_add(1);
        entry.until = Some(until);
        self.waiting.insert((until, key.clone()));
        let old = entry.said.as_ref().is_some_and(|(text, at)| text == message && now < *at + repeat);
        if !old {
            entry.said = Some((message.to_owned(), now));
        }
        !old
    }

    /// When the next pod is ready, by uptime; `None` where nothing waits.
    pub fn next_time(&self) -> Option<Duration> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// How many pods want a node.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn backoff(attempts: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1 << attempts.min(8)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound() {
        let seconds: Vec<u64> = (0..6).map(|attempts| backoff(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10]);
    }
}
