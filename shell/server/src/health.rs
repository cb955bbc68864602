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
    /// The plugins that encrypt answer; `None` where there are none.
    pub plugins: Option<bool>,
}

impl Health {
    /// Asks whatever can be asked.
    pub(crate) async fn find(cluster: &Cluster, serving: bool) -> Self {
        let confirmed = tokio::time::timeout(READINESS, cluster.confirmed()).await;
        let plugins = tokio::time::timeout(READINESS, cluster.store().plugins_answer()).await;
        Health { serving, store: matches!(confirmed, Ok(Ok(()))), plugins: plugins.unwrap_or(Some(false)) }
    }
}

/// The probes.
pub(crate) const PROBES: [&str; 3] = ["healthz", "livez", "readyz"];

/// The probe that a path is, and which of its checks, empty for all.
pub(crate) fn probe<'a>(words: &[&'a str]) -> Option<(&'a str, String)> {
    match words {
        [probe, check @ ..] if PROBES.contains(probe) => Some((probe, check.join("/"))),
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
    let is_excluded = |name: &str| excluded.iter().any(|excluded| excluded == name);
    let failed = checks.iter().any(|(name, good)| !good && !is_excluded(name));
    if !failed && query.present("verbose").is_none() {
        return Some(respond::text(200, "ok"));
    }
    let mut text = String::new();
    for (name, good) in &checks {
        text += &match (good, is_excluded(name)) {
            (_, true) => format!("[+]{name} excluded: ok\n"),
            (true, false) => format!("[+]{name} ok\n"),
            (false, false) => format!("[-]{name} failed: reason withheld\n"),
        };
    }
    let unknown = excluded.iter().filter(|excluded| !checks.iter().any(|(name, _)| name == excluded));
    let unknown: Vec<String> = unknown.map(|name| format!("{name:?}")).collect();
    if !unknown.is_empty() {
        let names = unknown.join(",");
        text += &format!("warn: some health checks cannot be excluded: no matches for {names}\n");
    }
    text += &format!("{probe} check {}\n", if failed { "failed" } else { "passed" });
    Some(respond::text(if failed { 500 } else { 200 }, text))
}

/// The names of a probe's checks.
pub(crate) fn names(probe: &str) -> impl Iterator<Item = &'static str> + use<> {
    checks(probe, Health { serving: true, store: true, plugins: None }).into_iter().map(|(name, _)| name)
}

/// All checks as metrics.
pub(crate) fn slis(health: Health) -> String {
    let name = "kubernetes_healthcheck";
    let mut out = format!("# HELP {name} [STABLE] The last outcome of each check.\n# TYPE {name} gauge\n");
    let mut counts = String::new();
    for probe in PROBES {
        for (check, good) in checks(probe, health) {
            out += &format!("{name}{{name={check:?},type={probe:?}}} {}\n", u8::from(good));
            let status = if good { "success" } else { "error" };
            counts += &format!("{name}s_total{{name={check:?},status={status:?},type={probe:?}}} 1\n");
        }
    }
    out + &format!("# HELP {name}s_total [STABLE] Outcomes of each check.\n# TYPE {name}s_total counter\n") + &counts
}

/// A server that cannot reach its store lives, for restarting it helps nobody; but it is not ready.
fn checks(probe: &str, health: Health) -> Vec<(&'static str, bool)> {
    let mut checks = vec![("ping", true), ("log", true)];
    if probe != "livez" {
        checks.push(("etcd", health.store));
        checks.extend(health.plugins.map(|good| ("kms-providers", good)));
    }
    if probe == "readyz" {
        checks.extend([
            ("etcd-readiness", health.store),
            ("informer-sync", health.store),
            ("shutdown", health.serving),
        ]);
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(probe: &str, check: &str, query: &str, health: (bool, bool), expected: Option<u16>) {
        let health = Health { serving: health.0, store: health.1, plugins: None };
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
        check("readyz", "etcd", "", (true, false), Some(500));
        check("readyz", "ping", "", (true, false), Some(200));
        check("healthz", "", "", (true, false), Some(500));
        check("livez", "", "", (true, false), Some(200));
    }

    #[test]
    fn every_check_is_a_metric() {
        let text = slis(Health { serving: true, store: false, plugins: None });
        assert!(text.contains("kubernetes_healthcheck{name=\"etcd\",type=\"readyz\"} 0"), "{text}");
        assert!(text.contains("kubernetes_healthcheck{name=\"ping\",type=\"livez\"} 1"), "{text}");
    }
}
