//! Fencing: a pod that its node stops by itself once the node has lost touch with the servers for long enough, so
//! that a replacement may be started elsewhere.
//!
//! Invariant: by [`release_after`] of silence, measured by the servers, nothing of the pod runs any more on a node
//! whose agent runs, also when the two clocks differ in speed by 10 % each.

use std::time::Duration;

/// The annotation: seconds of disconnection after which the node stops the pod.
pub const STOP_AFTER_DISCONNECT: &str = "gantry.io/stop-after-disconnect";
/// The fewest seconds that it may say: two renewals of a node's lease.
pub const SECONDS_MIN: u64 = 20;
/// The most seconds that it may say: a day.
pub const SECONDS_MAX: u64 = 24 * 3600;
/// What such a pod is given to end, whatever its own grace.
pub const GRACE: Duration = Duration::from_secs(10);
/// What is waited beyond all that can be counted: an agent that is late, a runtime that is slow to kill.
pub const MARGIN: Duration = Duration::from_secs(20);

/// Reads the annotation's value.
///
/// # Errors
/// What is wrong with it, for people.
pub fn parse(value: &str) -> Result<Duration, String> {
    let bad = || format!("must be whole seconds between {SECONDS_MIN} and {SECONDS_MAX}");
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: u64 = value.parse().ok().filter(|_| plain).ok_or_else(bad)?;
    if (SECONDS_MIN..=SECONDS_MAX).contains(&seconds) { Ok(Duration::from_secs(seconds)) } else { Err(bad()) }
}

/// How long a node must have been silent, by the servers' monotonic clock, before a pod that its node stops after
/// `stop_after` is sure to run no more: the node's clock may be 10 % slow and the servers' 10 % fast.
pub fn release_after(stop_after: Duration) -> Duration {
    (stop_after + GRACE) * 5 / 4 + MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_whole_seconds_within_bounds() {
        for (value, expected) in [("20", Some(20)), ("300", Some(300)), ("86400", Some(86400))] {
            assert_eq!(parse(value).ok(), expected.map(Duration::from_secs), "{value}");
        }
        for value in ["", "19", "86401", "+30", "30s", "3e1", "-30", " 30"] {
            assert!(parse(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn the_release_outlasts_clocks_that_differ() {
        for seconds in [SECONDS_MIN, 60, 300, SECONDS_MAX] {
            let stop_after = Duration::from_secs(seconds);
            // A second of a clock that is 10 % slow takes 1/0.9 s; in it, one that is 10 % fast counts 1.1/0.9 s.
            let counted = (stop_after + GRACE).mul_f64(1.1 / 0.9);
            assert!(release_after(stop_after) >= counted + MARGIN, "{seconds}");
        }
    }
}
