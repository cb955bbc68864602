//! How long a request may take until its answer begins: what the client says, within bounds; streams take as long as
//! they like.

use std::time::Duration;

use gantry_kinds::Status;

use crate::Refusal;
use crate::limits::REQUEST;
use crate::query::Query;
use crate::route::Asked;

/// Subresources whose answers go on for as long as somebody listens.
const STREAMS: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// Whether the answer goes on for as long as somebody listens.
pub(crate) fn is_long_running(asked: &Asked) -> bool {
    asked.verb == "watch" || STREAMS.contains(&asked.subresource.as_str())
}

/// The time of a request; `None` for no bound.
pub(crate) fn of(asked: &Asked, query: &Query) -> Result<Option<Duration>, Refusal> {
    if is_long_running(asked) {
        return Ok((asked.verb == "watch").then_some(REQUEST));
    }
    let Some(text) = query.text("timeout") else { return Ok(Some(REQUEST)) };
    match duration(text) {
        Some(nanos) if nanos > 0 => Ok(Some(Duration::from_nanos(nanos.unsigned_abs()).min(REQUEST))),
        Some(_) => Ok(Some(REQUEST)),
        None => {
            let why = format!("invalid timeout specified in the request URL - time: invalid duration {text:?}");
            Err(Box::new(Status::bad_request(why)))
        }
    }
}

/// Nanoseconds of a duration as Go writes it: `1h2m3.5s`, `-20ms`, `0`.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut nanos = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        nanos += number
            * match &rest[..unit] {
                "ns" => 1.0,
                "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Some((sign * nanos) as i64)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn durations_are_gos() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(duration(text), expected, "{text}");
        check("1h2m3.5s", Some(3_723_500_000_000));
        check("-20ms", Some(-20_000_000));
        check("0", Some(0));
        for broken in ["", "foo", "1", "1x", "-", "1.2.3s", "s"] {
            check(broken, None);
        }
    }

    #[test]
    fn clients_may_have_less_time_but_not_more() {
        let time = |path: &str, query: &str| {
            let query = Query::parse(Some(query));
            of(&Asked::read(&Method::GET, path, &query), &query).map_err(|s| s.code)
        };
        assert_eq!(time("/api/v1/pods", ""), Ok(Some(REQUEST)));
        assert_eq!(time("/api/v1/pods", "timeout=1s"), Ok(Some(Duration::from_secs(1))));
        assert_eq!(time("/api/v1/pods", "timeout=9h"), Ok(Some(REQUEST)));
        assert_eq!(time("/api/v1/pods", "timeout=foo"), Err(400));
        assert_eq!(time("/api/v1/namespaces/a/pods/p/proxy/x", "timeout=foo"), Ok(None));
        assert_eq!(time("/api/v1/pods", "watch=1&timeout=foo"), Ok(Some(REQUEST)));
    }
}
