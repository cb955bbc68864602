//! What a start prints: each step, and how long it took.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long the parts may take to end.
pub const END_WAIT: Duration = Duration::from_secs(5);

/// The clock of one start.
pub struct Steps {
    start: Instant,
    last: Cell<Instant>,
}

impl Steps {
    /// The start begins now.
    pub fn start() -> Self {
        let start = Instant::now();
        Steps { start, last: Cell::new(start) }
    }

    /// Prints that a step is done, with the time since the one before.
    pub fn done(&self, what: &str) {
        let now = Instant::now();
        println!("  {what:<48} {:>6} ms", (now - self.last.replace(now)).as_millis());
    }

    /// Time since the start.
    pub fn total(&self) -> Duration {
        self.start.elapsed()
    }
}
