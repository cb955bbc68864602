//! Which revision the view has reached, and who waits for a later one.
//!
//! Invariant: those who wait are woken when theirs is reached, and nobody else, in the order of revisions and then
//! of their coming, so that what one thread does follows from what it was told alone.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The revision, and who waits.
pub(crate) struct Reached(Mutex<State>);

struct State {
    revision: u64,
    arrivals: u64,
    waiting: BTreeMap<(u64, u64), oneshot::Sender<()>>,
}

/// A place among those who wait; given up when dropped.
struct Place<'a> {
    reached: &'a Reached,
    key: (u64, u64),
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.reached.0.lock().waiting.remove(&self.key);
    }
}

impl Reached {
    pub(crate) fn new(revision: u64) -> Self {
        Reached(Mutex::new(State { revision, arrivals: 0, waiting: BTreeMap::new() }))
    }

    /// The view shows everything up to `revision`.
    pub(crate) fn advance(&self, revision: u64) {
        let mut state = self.0.lock();
        state.revision = state.revision.max(revision);
        let next = (state.revision + 1, 0);
        let later = state.waiting.split_off(&next);
        let ready = std::mem::replace(&mut state.waiting, later);
        drop(state);
        // Whoever gave up meanwhile needs no word.
        for waiter in ready.into_values() {
            let _ = waiter.send(());
        }
    }

    /// Returns once the view shows everything up to `revision`.
    pub(crate) async fn wait(&self, revision: u64) {
        let (place, ready) = {
            let mut state = self.0.lock();
            if state.revision >= revision {
                return;
            }
            state.arrivals += 1;
            let key = (revision, state.arrivals);
            let (waiter, ready) = oneshot::channel();
            state.waiting.insert(key, waiter);
            (Place { reached: self, key }, ready)
        };
        // The sender is dropped only after it has sent.
        let _ = ready.await;
        drop(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_wait_are_woken_in_order() {
        let reached = std::sync::Arc::new(Reached::new(3));
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for (name, revision) in [("e", 6), ("c", 5), ("a", 4), ("d", 5), ("now", 3)] {
            let (reached, tell) = (reached.clone(), tell.clone());
            tokio::spawn(async move {
                reached.wait(revision).await;
                tell.send(name).unwrap();
            });
        }
        let mut heard = Vec::new();
        for revision in [3, 5, 4, 7] {
            tokio::task::yield_now().await;
            reached.advance(revision);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            while let Ok(name) = told.try_recv() {
                heard.push((revision, name));
            }
        }
        assert_eq!(heard, [(3, "now"), (5, "a"), (5, "c"), (5, "d"), (7, "e")]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_no_trace() {
        let reached = Reached::new(1);
        let wait = tokio::time::timeout(std::time::Duration::from_secs(1), reached.wait(2));
        assert!(wait.await.is_err());
        assert!(reached.0.lock().waiting.is_empty());
    }
}
