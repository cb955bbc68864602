//! Pauses that grow, with jitter, so that many clients do not come back at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::ClientError;
use crate::limits::{BACKOFF_FIRST, BACKOFF_LAST};

/// A random part of a duration, evenly between none of it and all of it.
pub fn part_of(whole: Duration) -> Duration {
    // A new RandomState has new keys; what it makes of nothing is as good as any random number here.
    let random = RandomState::new().build_hasher().finish();
    let share = (random >> 11) as f64 / (1_u64 << 53) as f64;
    whole.mul_f64(share)
}

/// What pauses grow to after so many failures in a row: doubling from `first`, `last` at the most.
pub(crate) fn grown(first: Duration, last: Duration, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    first.saturating_mul(1 << doublings).min(last)
}

/// Pauses of one client: from the half to the whole of a duration that doubles with every failure in a row.
pub struct Backoff {
    failures: u32,
    last: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new(BACKOFF_LAST)
    }
}

impl Backoff {
    /// Pauses that grow up to `last`.
    pub fn new(last: Duration) -> Self {
        Backoff { failures: 0, last }
    }

    /// It went well: the next pause is a short one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let half = grown(BACKOFF_FIRST, self.last, self.failures) / 2;
        half + part_of(half)
    }

    /// The pause after a failure. Where no server was reached it is a short one: then the pauses of the servers grow,
    /// for all requests together.
    pub fn after(&mut self, error: &ClientError) -> Duration {
        if matches!(error, ClientError::Connect { .. }) {
            self.reset();
        }
        self.next_pause()
    }

    /// Pauses.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_differ() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        let pauses: Vec<_> = (0..8).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] <= BACKOFF_FIRST && pauses[0] >= BACKOFF_FIRST / 2, "{pauses:?}");
        assert!(pauses[7] >= Duration::from_millis(500) && pauses[7] <= Duration::from_secs(1), "{pauses:?}");
        backoff.reset();
        assert!(backoff.next_pause() <= BACKOFF_FIRST);
        let parts: Vec<_> = (0..1000).map(|_| part_of(Duration::from_secs(1))).collect();
        let mean = parts.iter().sum::<Duration>() / 1000;
        assert!(mean > Duration::from_millis(400) && mean < Duration::from_millis(600), "{mean:?}");
        assert_eq!(grown(Duration::from_millis(50), Duration::from_secs(5), 40), Duration::from_secs(5));
    }
}
