//! Times as objects carry them, and how long until one.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// A time as objects carry it: whole seconds, `Z`.
pub(crate) fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The time at a JSON pointer.
pub(crate) fn at(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

/// `seconds` after `start`.
pub(crate) fn after(start: Timestamp, seconds: i64) -> Timestamp {
    start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// How long until `due`; `None` when it has come.
pub(crate) fn until(due: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(due.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// The `lastTransitionTime` of a condition that says `status` now: that of `before` as long as it says the same.
pub(crate) fn turned(before: Option<&Value>, status: &str, now: Timestamp) -> String {
    let same = before.filter(|before| before["status"] == status);
    let since = same.and_then(|before| before["lastTransitionTime"].as_str());
    since.map_or_else(|| stamp(now), str::to_owned)
}

/// Whether `due` has come.
pub(crate) fn is_over(due: Timestamp, now: Timestamp) -> bool {
    due <= now
}
