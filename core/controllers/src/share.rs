//! Numbers that may be a percentage of another.

use serde_json::Value;

/// A number, or a percentage of `total` rounded up or down.
pub(crate) fn of(value: Option<&Value>, total: i64, round_up: bool) -> i64 {
    match value {
        Some(Value::Number(number)) => number.as_i64().unwrap_or(0).max(0),
        Some(Value::String(text)) => {
            let percent: i64 = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let exact = percent.max(0).saturating_mul(total);
            if round_up { exact.saturating_add(99) / 100 } else { exact / 100 }
        }
        _ => 0,
    }
}
