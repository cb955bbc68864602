//! A number that changes, with what it was during the last while: what somebody who looked late may have seen.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The values of a number within a while.
#[derive(Debug)]
pub(super) struct Window {
    keep: Duration,
    /// Each value with when it came.
    values: VecDeque<(Instant, i64)>,
}

impl Window {
    pub(super) fn new(keep: Duration) -> Self {
        Window { keep, values: VecDeque::new() }
    }

    /// The number is this from `at` on.
    pub(super) fn set(&mut self, at: Instant, value: i64) {
        if self.values.back().is_none_or(|(_, last)| *last != value) {
            self.values.push_back((at, value));
        }
        // The last value before the while still held when it began.
        while self.values.get(1).is_some_and(|(since, _)| at.duration_since(*since) > self.keep) {
            self.values.pop_front();
        }
    }

    /// The largest that it was within the while before now.
    pub(super) fn most(&self) -> Option<i64> {
        self.values.iter().map(|(_, value)| *value).max()
    }

    /// The smallest.
    pub(super) fn least(&self) -> Option<i64> {
        self.values.iter().map(|(_, value)| *value).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_values_are_forgotten() {
        let start = Instant::now();
        let second = |s| start + Duration::from_secs(s);
        let mut window = Window::new(Duration::from_secs(10));
        window.set(second(0), 5);
        window.set(second(3), 2);
        assert_eq!((window.most(), window.least()), (Some(5), Some(2)));
        window.set(second(12), 2);
        assert_eq!(window.most(), Some(5), "it was 5 until 3, and 2 is ten ago");
        window.set(second(14), 2);
        assert_eq!(window.most(), Some(2));
    }
}
