//! `/livez`, `/readyz`, `/healthz`, whole and check by check.

use gantry_cluster::Cluster;

use crate::limits::READINESS;
use crate::query::Query;
use crate::respond::{self, Answer};

/// What the checks go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Health {
    /// The server does not stop.
    pub serving: bool,
    /// The store confirms that the view is the newest.
    pub store: bool,
}

impl Health {
    /// Asks whatever can be asked.
    pub(crate) async fn find(cluster: &Cluster, serving: bool) -> Self {
        let confirmed = tokio::time::timeout(READINESS, cluster.confirmed()).await;
        Health { serving, store: matches!(confirmed, Ok(Ok(()))) }
    }
}

/// The probe that a path is, and which of its checks, empty for all.
pub(crate) fn probe<'a>(words: &[&'a str]) -> Option<(&'a str, String)> {
    match words {
        [probe @ ("livez" | "readyz" | "healthz"), check @ ..] => Some((probe, check.join("/"))),
        _ => None,
    }
}

/// Answers a probe. `None` where there is no such check.
pub(crate) fn answer(probe: &str, check: &str, query: &Query, health: Health) -> Option<Answer> {
    let checks = checks(probe, health);
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

/// A server that cannot reach its store lives, for restarting it helps nobody; but it is not ready.
fn checks(probe: &str, health: Health) -> Vec<(&'static str, bool)> {
    let mut checks = vec![("ping", true), ("log", true)];
    if probe != "livez" {
        checks.push(("store", health.store));
    }
    if probe == "readyz" {
        checks.push(("shutdown", health.serving));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(probe: &str, check: &str, query: &str, health: (bool, bool), expected: Option<u16>) {
        let health = Health { serving: health.0, store: health.1 };
        let code = answer(probe, check, &Query::parse(Some(query)), health).map(|a| a.status().as_u16());
        assert_eq!(code, expected, "{probe} {check} {query} {health:?}");
    }

    #[test]
    fn a_server_that_stops_is_alive_but_not_ready() {
        check("readyz", "", "", (true, true), Some(200));
        check("readyz", "", "", (false, true), Some(500));
        check("readyz", "", "exclude=shutdown", (false, true), Some(200));
        check("readyz", "shutdown", "", (false, true), Some(500));
        check("livez", "", "verbose", (false, true), Some(200));
        check("livez", "ping", "", (false, true), Some(200));
        check("livez", "nope", "", (true, true), None);
    }

    #[test]
    fn a_server_that_has_lost_its_store_is_alive_but_not_ready() {
        check("readyz", "", "", (true, false), Some(500));
        check("readyz", "store", "", (true, false), Some(500));
        check("readyz", "ping", "", (true, false), Some(200));
        check("healthz", "", "", (true, false), Some(500));
        check("livez", "", "", (true, false), Some(200));
    }
}
