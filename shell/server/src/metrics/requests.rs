//! Requests by what they ask for: how many with which answer, how long they took, how large the answers were.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::text::{family, sample};
use crate::route::Asked;

const DURATIONS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];
const SLI: &[f64] =
    &[0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
const SIZES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Paths outside the resource API that are told apart.
const PATHS: [&str; 10] =
    ["/api", "/apis", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version", "/"];

/// What a request is to metrics: its labels without and with `dry_run`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Labels {
    dry_run: &'static str,
    component: &'static str,
    /// Everything after `dry_run` in the order of names.
    rest: String,
}

impl Labels {
    /// Labels of a request. Names that nothing serves are left out: a client must not grow the set.
    pub(super) fn of(asked: &Asked, dry_run: bool) -> Self {
        let kind = asked.kind;
        let (group, version, resource) = kind.map_or(("", "", ""), |k| (k.group, k.version, k.plural));
        let path = PATHS.iter().find(|path| !asked.resource_request && **path == asked.path);
        let subresource = kind.and_then(|k| k.subresource(&asked.subresource)).map(|s| s.name).or(path.copied());
        let scope = match kind {
            None => "",
            Some(_) if !asked.name.is_empty() || asked.verb == "create" => "resource",
            Some(k) if k.namespaced && !asked.namespace.is_empty() => "namespace",
            Some(_) => "cluster",
        };
        let verb = match asked.verb {
            "create" => "POST".to_owned(),
            "update" => "PUT".to_owned(),
            _ if ["exec", "attach", "portforward", "proxy"].contains(&subresource.unwrap_or_default()) => {
                "CONNECT".to_owned()
            }
            other => other.to_uppercase(),
        };
        let rest = format!(
            "group={group:?},resource={resource:?},scope={scope:?},subresource={:?},verb={verb:?},version={version:?}",
            subresource.unwrap_or_default()
        );
        let component = if kind.is_some() { "apiserver" } else { "" };
        Labels { dry_run: if dry_run { "All" } else { "" }, component, rest }
    }

    /// Without `dry_run`.
    pub(super) fn plain(&self) -> String {
        format!("component={:?},{}", self.component, self.rest)
    }

    fn whole(&self) -> String {
        format!("component={:?},dry_run={:?},{}", self.component, self.dry_run, self.rest)
    }
}

struct Counts {
    by_code: BTreeMap<u16, u64>,
    durations: Histogram,
    sli: Histogram,
    sizes: Histogram,
}

/// All requests that were answered.
#[derive(Default)]
pub(super) struct Requests(BTreeMap<Labels, Counts>);

impl Requests {
    /// Counts an answer; `timed` where its time says something, `size` where it is known.
    pub(super) fn record(&mut self, labels: &Labels, code: u16, took: Option<Duration>, size: Option<u64>) {
        let counts = self.0.entry(labels.clone()).or_insert_with(|| Counts {
            by_code: BTreeMap::new(),
            durations: Histogram::new(DURATIONS),
            sli: Histogram::new(SLI),
            sizes: Histogram::new(SIZES),
        });
        *counts.by_code.entry(code).or_default() += 1;
        if let Some(took) = took {
            counts.durations.record(took.as_secs_f64());
            counts.sli.record(took.as_secs_f64());
        }
        if let Some(size) = size {
            counts.sizes.record(size as f64);
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        family(out, "apiserver_request_total", "counter", "Requests by verb, resource and HTTP response code.");
        for (labels, counts) in &self.0 {
            for (code, count) in &counts.by_code {
                sample(out, "apiserver_request_total", &format!("code=\"{code}\",{}", labels.whole()), count);
            }
        }
        let name = "apiserver_request_duration_seconds";
        family(out, name, "histogram", "Response latency in seconds by verb and resource.");
        for (labels, counts) in &self.0 {
            counts.durations.write(out, name, &labels.whole());
        }
        let name = "apiserver_request_sli_duration_seconds";
        family(out, name, "histogram", "Response latency in seconds without what webhooks took.");
        for (labels, counts) in &self.0 {
            counts.sli.write(out, name, &labels.plain());
        }
        let name = "apiserver_response_sizes";
        family(out, name, "histogram", "Size of answers in bytes.");
        for (labels, counts) in &self.0 {
            counts.sizes.write(out, name, &labels.plain());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    #[test]
    fn requests_are_counted_by_what_is_served() {
        let ask = |path: &str| Labels::of(&Asked::read(&http::Method::GET, path, &Query::default()), false);
        let mut requests = Requests::default();
        for path in ["/api/v1/namespaces/a/pods", "/api/v1/namespaces/b/pods", "/api/v1/made/up", "/readyz", "/made/up"]
        {
            requests.record(&ask(path), 200, Some(Duration::from_millis(30)), Some(10));
        }
        let mut text = String::new();
        requests.write(&mut text);
        let pods = "code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"namespace\",\
            subresource=\"\",verb=\"LIST\",version=\"v1\"";
        assert!(text.contains(&format!("apiserver_request_total{{{pods}}} 2")), "{text}");
        assert!(text.contains("verb=\"LIST\",version=\"v1\",le=\"0.025\"} 0"), "{text}");
        assert!(text.contains("verb=\"LIST\",version=\"v1\",le=\"0.05\"} 2"), "{text}");
        assert!(text.contains("subresource=\"/readyz\",verb=\"GET\""), "{text}");
        assert!(!text.contains("made"), "{text}");
    }
}
