//! Who lost a commit to somebody else takes turns with all others who lost over the same key.
//!
//! Invariants: a turn is one key's, near enough (keys share turns by their hash); whoever has one waits for no other; who
//! comes new finds out before he commits, so that a turn is not lost to a crowd that never waited.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use crate::limits::{TURN_WAIT, TURNS};

/// The turns of all keys.
pub(crate) struct Contention {
    turns: Vec<Arc<Mutex<()>>>,
    /// Turns that are taken or waited for.
    wanted: Arc<AtomicUsize>,
}

/// A turn, until it is dropped.
pub(crate) struct Held {
    number: usize,
    _wanted: Wanted,
    _turn: OwnedMutexGuard<()>,
}

struct Wanted(Arc<AtomicUsize>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Contention {
    fn default() -> Self {
        Contention { turns: (0..TURNS).map(|_| Arc::default()).collect(), wanted: Arc::default() }
    }
}

impl Contention {
    /// The turn of the first of these keys over which others contend now. In a crowd that moves too slowly, nothing:
    /// then everybody tries his luck again.
    pub(crate) async fn join<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Option<Held> {
        if self.wanted.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let taken = |number: &usize| self.turns[*number].try_lock().is_err();
        let number = keys.map(number).find(taken)?;
        self.take(number).await
    }

    /// The turn of a key over which a commit was lost.
    pub(crate) async fn lost(&self, key: &[u8], held: Option<Held>) -> Option<Held> {
        let number = number(key);
        match held {
            Some(held) if held.number == number => Some(held),
            other => {
                drop(other);
                self.take(number).await
            }
        }
    }

    async fn take(&self, number: usize) -> Option<Held> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let wanted = Wanted(self.wanted.clone());
        let turn = timeout(TURN_WAIT, self.turns[number].clone().lock_owned()).await.ok()?;
        Some(Held { number, _wanted: wanted, _turn: turn })
    }
}

fn number(key: &[u8]) -> usize {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    // Fits: it is less than the number of turns.
    (hasher.finish() % TURNS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_contends_takes_turns_and_nobody_else_waits() {
        let contention = Contention::default();
        let (quota, other) = (b"quota".as_slice(), b"other".as_slice());
        assert_ne!(number(quota), number(other));
        assert!(contention.join([quota].into_iter()).await.is_none(), "nobody contends yet");
        let first = contention.lost(quota, None).await.expect("a turn that is free");
        assert!(contention.join([other].into_iter()).await.is_none(), "another key is free");
        let mut second = Box::pin(contention.join([other, quota].into_iter()));
        tokio::select! {
            biased;
            _ = &mut second => panic!("two have one turn"),
            () = std::future::ready(()) => {}
        }
        let first = contention.lost(quota, Some(first)).await.expect("the turn that is already held");
        drop(first);
        let second = second.await.expect("the next one's turn");
        assert!(contention.join([quota].into_iter()).await.is_none(), "the crowd moves too slowly to wait for");
        drop(second);
        assert_eq!(contention.wanted.load(Ordering::Relaxed), 0);
    }
}
