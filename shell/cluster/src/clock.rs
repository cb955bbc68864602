//! What time it is. Waiting is never measured by it: tokio's clock does that.

use jiff::Timestamp;

/// Where the time of day comes from.
pub trait Clock: Send + Sync + 'static {
    /// The time of day, which may jump.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
