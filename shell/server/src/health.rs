//! `/livez`, `/readyz`, `/healthz`, whole and check by check.

use crate::query::Query;
use crate::respond::{self, Answer};

/// Answers a probe; `check` names one check, empty for all. `None` where there is no such check.
pub(crate) fn answer(probe: &str, check: &str, query: &Query, ready: bool) -> Option<Answer> {
    let checks = checks(probe, ready);
    if !check.is_empty() {
        let (_, good) = checks.iter().find(|(name, _)| *name == check)?;
        return Some(if *good {
            respond::text(200, "ok")
        } else {
            respond::text(500, "internal server error: not ready\n")
        });
    }
    let excluded = query.all("exclude");
    let bad = |(name, good): &(&str, bool)| !good && !excluded.iter().any(|e| e == name);
    let failed = checks.iter().any(bad);
    if !failed && query.present("verbose").is_none() {
        return Some(respond::text(200, "ok"));
    }
    let mut text = String::new();
    for (name, good) in &checks {
        text += &match (good, excluded.iter().any(|e| e == name)) {
            (_, true) => format!("[+]{name} excluded: ok\n"),
            (true, false) => format!("[+]{name} ok\n"),
            (false, false) => format!("[-]{name} failed: reason withheld\n"),
        };
    }
    text += &format!("{probe} check {}\n", if failed { "failed" } else { "passed" });
    Some(respond::text(if failed { 500 } else { 200 }, text))
}

fn checks(probe: &str, ready: bool) -> Vec<(&'static str, bool)> {
    // Who answers has a view, and the view follows the store.
    let mut checks = vec![("ping", true), ("log", true), ("store", true)];
    if probe == "readyz" {
        checks.push(("shutdown", ready));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_stops_is_alive_but_not_ready() {
        let code = |probe, check, query, ready| {
            answer(probe, check, &Query::parse(Some(query)), ready).map(|a| a.status().as_u16())
        };
        assert_eq!(code("readyz", "", "", true), Some(200));
        assert_eq!(code("readyz", "", "", false), Some(500));
        assert_eq!(code("readyz", "", "exclude=shutdown", false), Some(200));
        assert_eq!(code("readyz", "shutdown", "", false), Some(500));
        assert_eq!(code("livez", "", "verbose", false), Some(200));
        assert_eq!(code("livez", "ping", "", false), Some(200));
        assert_eq!(code("livez", "nope", "", true), None);
    }
}
