//! Waiting longer after each failure: 10 s, doubled up to 300 s, forgotten after ten quiet minutes.

use std::time::Duration;

use jiff::Timestamp;

/// The first wait.
pub const FIRST: Duration = Duration::from_secs(10);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(300);
/// How long a wait is remembered.
pub const FORGOTTEN: Duration = Duration::from_secs(600);

/// The waits of one thing that fails.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Backoff {
    last: Option<(Timestamp, Duration)>,
}

impl Backoff {
    /// The next attempt begins now, after a failure at `failed`: the next wait will be longer.
    pub fn attempt(&mut self, failed: Timestamp, now: Timestamp) {
        let delay = match self.last {
            Some((at, delay)) if failed <= at + FORGOTTEN => (delay * 2).min(LONGEST),
            _ => FIRST,
        };
        self.last = Some((now, delay));
    }

    /// Until when to wait after a failure at `failed`, and how long that is in all; `None` when the next attempt may
    /// begin.
    pub fn waiting(&self, failed: Timestamp, now: Timestamp) -> Option<(Timestamp, Duration)> {
        let (at, delay) = self.last?;
        let until = failed + delay;
        (failed <= at + FORGOTTEN && now < until).then_some((until, delay))
    }
}

/// A duration as messages print it: `10s`, `1m20s`, `5m0s`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { format!("{}m{}s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn waits_double_to_five_minutes_and_begin_anew_after_ten() {
        let (mut backoff, mut now, mut waits) = (Backoff::default(), at(0), Vec::new());
        for _ in 0..8 {
            waits.push(backoff.waiting(now, now).map_or(0, |(until, _)| (until - now).get_seconds()));
            now = backoff.waiting(now, now).map_or(now, |(until, _)| until);
            backoff.attempt(now, now);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.waiting(now + Duration::from_secs(601), now + Duration::from_secs(601)), None);
    }

    #[test]
    fn durations_read_like_upstreams() {
        assert_eq!([10, 80, 300].map(|s| spoken(Duration::from_secs(s))), ["10s", "1m20s", "5m0s"]);
    }
}
