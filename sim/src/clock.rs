//! A server's or node's time of day: the simulated time, faster or slower, and set by somebody now and then.

use std::time::Duration;

use gantry_cluster::Clock;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

/// When every simulation begins: 2026-01-01T00:00:00Z.
const BEGIN: i64 = 1_767_225_600;

/// A clock that can be set.
pub struct SimClock {
    start: Instant,
    state: Mutex<State>,
}

struct State {
    /// Parts of a million by which it is too fast.
    skew: i64,
    ahead: SignedDuration,
}

impl SimClock {
    /// A clock that is right at `start`, and faster by `skew` parts of a million.
    pub fn new(start: Instant, skew: i64) -> Self {
        SimClock { start, state: Mutex::new(State { skew, ahead: SignedDuration::ZERO }) }
    }

    /// Sets the clock by so much.
    pub fn jump(&self, by: SignedDuration) {
        let mut state = self.state.lock();
        state.ahead = state.ahead.saturating_add(by);
    }

    /// Sets the clock right.
    pub fn correct(&self) {
        *self.state.lock() = State { skew: 0, ahead: SignedDuration::ZERO };
    }

    /// How fast it goes: 1.0 is right.
    pub fn rate(&self) -> f64 {
        1.0 + self.state.lock().skew as f64 / 1e6
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        let state = self.state.lock();
        let micros = i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX);
        let micros = micros.saturating_add(micros / 1_000_000 * state.skew);
        let passed = SignedDuration::from_micros(micros).saturating_add(state.ahead);
        let begin = Timestamp::from_second(BEGIN).unwrap_or(Timestamp::UNIX_EPOCH);
        begin.saturating_add(passed).unwrap_or(begin)
    }
}

/// A duration as it is measured by something that goes at this rate.
pub fn measured(real: Duration, rate: f64) -> Duration {
    real.mul_f64(rate)
}
