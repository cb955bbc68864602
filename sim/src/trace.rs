//! What happened, as lines: all of them make the hash of a run, the last of them are kept for a report.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::time::Duration;

use parking_lot::Mutex;

/// Lines that a report shows.
const KEPT: usize = 100;

/// The record of a run.
pub struct Trace {
    loud: bool,
    state: Mutex<State>,
}

struct State {
    hash: u64,
    lines: u64,
    last: VecDeque<String>,
}

impl Trace {
    /// An empty record; a loud one prints each line.
    pub fn new(loud: bool) -> Self {
        Trace { loud, state: Mutex::new(State { hash: 0xcbf2_9ce4_8422_2325, lines: 0, last: VecDeque::new() }) }
    }

    /// Adds a line.
    pub fn line(&self, at: Duration, text: fmt::Arguments<'_>) {
        let mut state = self.state.lock();
        // The oldest line gives its memory to the newest.
        let mut line =
            if state.last.len() >= KEPT { state.last.pop_front().unwrap_or_default() } else { String::new() };
        line.clear();
        let _ = write!(line, "{:>10.3} {text}", at.as_secs_f64());
        if self.loud {
            println!("{line}");
        }
        let hash = line.bytes().fold(state.hash, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        state.hash = hash;
        state.lines += 1;
        state.last.push_back(line);
    }

    /// The hash of all lines.
    pub fn hash(&self) -> u64 {
        self.state.lock().hash
    }

    /// How many lines there are.
    pub fn lines(&self) -> u64 {
        self.state.lock().lines
    }

    /// The last lines.
    pub fn last(&self) -> Vec<String> {
        self.state.lock().last.iter().cloned().collect()
    }
}
