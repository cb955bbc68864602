//! What `/metrics` says: upstream's names and labels for what this server does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use gantry_cluster::{Cluster, Metrics as PathMetrics};
use gantry_kinds::table;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::Version;
use crate::app::App;
use crate::query::Query;
use crate::route::Asked;

mod store;

const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// Labels of one kind of request, written out.
type Labels = String;

/// Counters of all requests.
pub(crate) struct Metrics {
    started: Timestamp,
    requests: Mutex<BTreeMap<Labels, Requests>>,
    long_running: Mutex<BTreeMap<Labels, Arc<AtomicI64>>>,
    reading: AtomicI64,
    mutating: AtomicI64,
    lagged: AtomicU64,
}

#[derive(Default)]
struct Requests {
    by_code: BTreeMap<u16, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

/// A request that is being answered; it is out of flight once dropped, answered or not.
pub(crate) struct Ticket {
    metrics: Arc<Metrics>,
    labels: Labels,
    mutating: bool,
    timed: bool,
}

impl Ticket {
    /// Counts the answer.
    pub(crate) fn answered(self, code: u16, took: Duration) {
        let mut requests = self.metrics.requests.lock();
        let entry = requests.entry(self.labels.clone()).or_default();
        *entry.by_code.entry(code).or_default() += 1;
        if self.timed {
            let seconds = took.as_secs_f64();
            entry.count += 1;
            entry.seconds += seconds;
            for (bucket, bound) in entry.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(seconds <= bound);
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.metrics.in_flight(self.mutating).fetch_sub(1, Ordering::Relaxed);
    }
}

/// One long-running answer; counted as long as it lives.
pub(crate) struct Gauge {
    metrics: Arc<Metrics>,
    count: Arc<AtomicI64>,
}

impl Gauge {
    /// Counts a watch that was slower than the changes.
    pub(crate) fn lagged(&self) {
        self.metrics.lagged.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Metrics {
            started: Timestamp::now(),
            requests: Mutex::default(),
            long_running: Mutex::default(),
            reading: AtomicI64::new(0),
            mutating: AtomicI64::new(0),
            lagged: AtomicU64::new(0),
        }
    }

    /// Counts a request in.
    pub(crate) fn begin(self: &Arc<Self>, asked: &Asked, query: &Query) -> Ticket {
        let mutating = !["get", "list", "watch", "head"].contains(&asked.verb);
        self.in_flight(mutating).fetch_add(1, Ordering::Relaxed);
        let dry_run = if query.all("dryRun").iter().any(|d| d == "All") { "All" } else { "" };
        let labels = format!("dry_run=\"{dry_run}\",{}", labels(asked));
        let streams = ["log", "exec", "attach", "portforward"].contains(&asked.subresource.as_str());
        Ticket { metrics: self.clone(), labels, mutating, timed: asked.verb != "watch" && !streams }
    }

    /// Counts a long-running answer until the gauge is dropped.
    pub(crate) fn long_running(self: &Arc<Self>, asked: &Asked) -> Gauge {
        let count = self.long_running.lock().entry(labels(asked)).or_default().clone();
        count.fetch_add(1, Ordering::Relaxed);
        Gauge { metrics: self.clone(), count }
    }

    fn in_flight(&self, mutating: bool) -> &AtomicI64 {
        if mutating { &self.mutating } else { &self.reading }
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self, app: &App) -> String {
        let (cluster, version) = (&app.cluster, &app.version);
        let mut out = String::new();
        self.write_requests(&mut out);
        family(&mut out, "apiserver_current_inflight_requests", "gauge", "Requests being answered.");
        for (kind, value) in [("mutating", &self.mutating), ("readOnly", &self.reading)] {
            sample(
                &mut out,
                "apiserver_current_inflight_requests",
                &format!("request_kind={kind:?}"),
                value.load(Ordering::Relaxed),
            );
        }
        family(&mut out, "apiserver_longrunning_requests", "gauge", "Watches and streams that are open.");
        for (labels, count) in self.long_running.lock().iter() {
            sample(&mut out, "apiserver_longrunning_requests", labels, count.load(Ordering::Relaxed));
        }
        family(&mut out, "gantry_requests_waiting", "gauge", "Requests that wait for others to be done.");
        sample(&mut out, "gantry_requests_waiting", "", app.overload.waiting());
        family(&mut out, "gantry_requests_turned_away_total", "counter", "Requests that were told to come back later.");
        sample(&mut out, "gantry_requests_turned_away_total", "", app.overload.turned_away());
        write_objects(&mut out, cluster);
        write_path(&mut out, cluster.metrics(), self.lagged.load(Ordering::Relaxed));
        store::write(&mut out, cluster);
        write_process(&mut out, self.started, version);
        out
    }

    fn write_requests(&self, out: &mut String) {
        let requests = self.requests.lock();
        family(out, "apiserver_request_total", "counter", "Requests by verb, resource and HTTP response code.");
        for (labels, entry) in requests.iter() {
            for (code, count) in &entry.by_code {
                sample(out, "apiserver_request_total", &format!("code=\"{code}\",{labels}"), count);
            }
        }
        let name = "apiserver_request_duration_seconds";
        family(out, name, "histogram", "Response latency in seconds by verb and resource.");
        for (labels, entry) in requests.iter().filter(|(_, entry)| entry.count > 0) {
            for (bound, count) in BUCKETS.iter().zip(entry.buckets) {
                sample(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), count);
            }
            sample(out, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), entry.count);
            sample(out, &format!("{name}_sum"), labels, entry.seconds);
            sample(out, &format!("{name}_count"), labels, entry.count);
        }
    }
}

/// Labels of a request. Names that nothing serves are left out: a client must not grow the set.
fn labels(asked: &Asked) -> Labels {
    let kind = table::by_resource(&asked.group, &asked.version, &asked.resource);
    let (group, version, resource) = kind.map_or(("", "", ""), |k| (k.group, k.version, k.plural));
    let subresource = kind.and_then(|k| k.subresource(&asked.subresource)).map_or("", |s| s.name);
    let scope = match kind {
        None => "",
        Some(_) if !asked.name.is_empty() || asked.verb == "create" => "resource",
        Some(k) if k.namespaced && !asked.namespace.is_empty() => "namespace",
        Some(_) => "cluster",
    };
    let verb = match asked.verb {
        "create" => "POST".to_owned(),
        "update" => "PUT".to_owned(),
        "get" if ["exec", "attach", "portforward"].contains(&subresource) => "CONNECT".to_owned(),
        other => other.to_uppercase(),
    };
    format!(
        "component=\"apiserver\",group={group:?},resource={resource:?},scope={scope:?},subresource={subresource:?},\
         verb={verb:?},version={version:?}"
    )
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn sample(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}

fn write_objects(out: &mut String, cluster: &Cluster) {
    let view = cluster.view();
    family(out, "apiserver_resource_objects", "gauge", "Stored objects by resource.");
    for kind in table::ALL.iter().filter(|kind| kind.stored()) {
        let labels = format!("group={:?},resource={:?}", kind.group, kind.plural);
        sample(out, "apiserver_resource_objects", &labels, view.count(kind));
    }
    family(out, "gantry_store_revision", "gauge", "Revision that the view has reached.");
    sample(out, "gantry_store_revision", "", view.revision());
}

fn write_path(out: &mut String, path: &PathMetrics, lagged: u64) {
    let counters = [
        ("gantry_commits_total", "Writes that were committed.", PathMetrics::value(&path.commits)),
        ("gantry_commit_conflicts_total", "Commits that somebody else beat.", PathMetrics::value(&path.conflicts)),
        ("gantry_changes_total", "Changes that the feed carried.", PathMetrics::value(&path.changes)),
        ("gantry_refusals_total", "Writes that were refused.", PathMetrics::value(&path.refusals)),
        ("gantry_watches_lagged_total", "Watches that were slower than the changes.", lagged),
    ];
    for (name, help, value) in counters {
        family(out, name, "counter", help);
        sample(out, name, "", value);
    }
}

fn write_process(out: &mut String, started: Timestamp, version: &Version) {
    family(out, "process_start_time_seconds", "gauge", "Start time of the process since the epoch.");
    sample(out, "process_start_time_seconds", "", started.as_millisecond() as f64 / 1000.0);
    if let Some(bytes) = resident_bytes() {
        family(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.");
        sample(out, "process_resident_memory_bytes", "", bytes);
    }
    family(out, "kubernetes_build_info", "gauge", "The build, as labels of a 1.");
    let labels = format!("git_commit={:?},git_version={:?}", version.git_commit, version.git_version);
    sample(out, "kubernetes_build_info", &labels, 1);
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_is_served() {
        let metrics = Arc::new(Metrics::new());
        let ask = |path: &str| Asked::read(&http::Method::GET, path, &Query::default());
        for path in ["/api/v1/namespaces/a/pods", "/api/v1/namespaces/b/pods", "/api/v1/made/up"] {
            let ticket = metrics.begin(&ask(path), &Query::default());
            ticket.answered(200, Duration::from_millis(30));
        }
        drop(metrics.begin(&ask("/api/v1/pods"), &Query::default()));
        assert_eq!(metrics.reading.load(Ordering::Relaxed), 0);
        let gauge = metrics.long_running(&ask("/api/v1/pods"));
        let mut text = String::new();
        metrics.write_requests(&mut text);
        let pods = "code=\"200\",dry_run=\"\",component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"namespace\",\
            subresource=\"\",verb=\"LIST\",version=\"v1\"";
        assert!(text.contains(&format!("apiserver_request_total{{{pods}}} 2")), "{text}");
        assert!(text.contains("verb=\"LIST\",version=\"v1\",le=\"0.025\"} 0"), "{text}");
        assert!(text.contains("verb=\"LIST\",version=\"v1\",le=\"0.05\"} 2"), "{text}");
        assert!(!text.contains("made"), "{text}");
        let open = || metrics.long_running.lock().values().map(|c| c.load(Ordering::Relaxed)).sum::<i64>();
        assert_eq!(open(), 1);
        drop(gauge);
        assert_eq!(open(), 0);
    }
}
