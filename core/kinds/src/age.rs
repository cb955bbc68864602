//! How long ago, in the few characters that tables have room for.

use jiff::Timestamp;
use serde_json::Value;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// A span such as `5m3s`, `3h`, `2d4h` or `3y20d`; `seconds` below -1 cannot be and prints `<invalid>`.
pub fn span(seconds: i64) -> String {
    let two = |high: i64, unit: char, low: i64, small: char| {
        if low == 0 { format!("{high}{unit}") } else { format!("{high}{unit}{low}{small}") }
    };
    match seconds {
        s if s < -1 => "<invalid>".to_owned(),
        s if s < 0 => "0s".to_owned(),
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(s / MINUTE, 'm', s % MINUTE, 's'),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(s / HOUR, 'h', s % HOUR / MINUTE, 'm'),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(s / DAY, 'd', s % DAY / HOUR, 'h'),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(s / YEAR, 'y', s % YEAR / DAY, 'd'),
        s => format!("{}y", s / YEAR),
    }
}

/// The time since the RFC 3339 time at a JSON pointer; `<unknown>` where there is none.
pub fn since(object: &Value, pointer: &str, now: Timestamp) -> String {
    moment(object, pointer).map_or_else(|| "<unknown>".to_owned(), |then| between(then, now))
}

/// The span from `then` to `now`, in whole seconds.
pub fn between(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then).as_secs())
}

/// The time at a JSON pointer.
pub fn moment(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn spans_keep_two_units_at_most() {
        let check = |seconds, expected| assert_eq!(span(seconds), expected, "{seconds} s");
        check(-2, "<invalid>");
        check(-1, "0s");
        check(119, "119s");
        check(120, "2m");
        check(303, "5m3s");
        check(600, "10m");
        check(3 * 3600 - 1, "179m");
        check(3 * 3600, "3h");
        check(5 * 3600 + 120, "5h2m");
        check(47 * 3600, "47h");
        check(2 * 86400 + 4 * 3600, "2d4h");
        check(9 * 86400, "9d");
        check(729 * 86400, "729d");
        check(800 * 86400, "2y70d");
        check(9 * 365 * 86400, "9y");
    }
}
