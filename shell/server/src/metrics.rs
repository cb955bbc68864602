//! What `/metrics` says: upstream's names and labels for what this server does.

use std::collections::BTreeMap;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use gantry_cluster::{Cluster, Metrics as PathMetrics};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::app::App;
use crate::deadline::is_long_running;
use crate::query::Query;
use crate::route::Asked;

pub(crate) mod histogram;
mod process;
mod requests;
mod store;
pub(crate) mod text;

use histogram::Histogram;
use requests::{Labels, Requests};
use text::{family, sample};

const EVENT_SIZES: &[f64] = &[1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0, 131_072.0];

/// Counters of all requests.
pub(crate) struct Metrics {
    started: Timestamp,
    requests: Mutex<Requests>,
    long_running: Mutex<BTreeMap<String, Arc<AtomicI64>>>,
    /// Sizes of the events that watches were sent, by the labels of their kind.
    events: Mutex<BTreeMap<String, Histogram>>,
    reading: AtomicI64,
    mutating: AtomicI64,
    lagged: AtomicU64,
    handshake_errors: AtomicU64,
}

/// A request that is being answered; it is out of flight once dropped, answered or not.
pub(crate) struct Ticket {
    metrics: Arc<Metrics>,
    labels: Labels,
    mutating: bool,
    timed: bool,
}

impl Ticket {
    /// Counts the answer; its size where that is known.
    pub(crate) fn answered(self, code: u16, took: Duration, size: Option<u64>) {
        let took = self.timed.then_some(took);
        self.metrics.requests.lock().record(&self.labels, code, took, size);
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
    /// Labels of what is watched.
    kind: String,
}

impl Gauge {
    /// Counts an event that a watch was sent.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut events = self.metrics.events.lock();
        if let Some(sizes) = events.get_mut(&self.kind) {
            return sizes.record(bytes as f64);
        }
        events.entry(self.kind.clone()).or_insert_with(|| Histogram::new(EVENT_SIZES)).record(bytes as f64);
    }

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
            events: Mutex::default(),
            reading: AtomicI64::new(0),
            mutating: AtomicI64::new(0),
            lagged: AtomicU64::new(0),
            handshake_errors: AtomicU64::new(0),
        }
    }

    /// Counts a request in.
    pub(crate) fn begin(self: &Arc<Self>, asked: &Asked, query: &Query) -> Ticket {
        let mutating = !["get", "list", "watch", "head"].contains(&asked.verb);
        self.in_flight(mutating).fetch_add(1, Ordering::Relaxed);
        let dry_run = query.all("dryRun").iter().any(|d| d == "All");
        let labels = Labels::of(asked, dry_run);
        Ticket { metrics: self.clone(), labels, mutating, timed: !is_long_running(asked) }
    }

    /// Counts a TLS handshake that failed.
    pub(crate) fn handshake_failed(&self) {
        self.handshake_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a long-running answer until the gauge is dropped.
    pub(crate) fn long_running(self: &Arc<Self>, asked: &Asked) -> Gauge {
        let count = self.long_running.lock().entry(Labels::of(asked, false).plain()).or_default().clone();
        count.fetch_add(1, Ordering::Relaxed);
        let kind = format!("group={:?},resource={:?},version={:?}", asked.group, asked.resource, asked.version);
        Gauge { metrics: self.clone(), count, kind }
    }

    fn in_flight(&self, mutating: bool) -> &AtomicI64 {
        if mutating { &self.mutating } else { &self.reading }
    }

    /// All metrics in Prometheus' text format.
    pub(crate) fn text(&self, app: &App) -> String {
        let (cluster, version) = (&app.cluster, &app.version);
        let mut out = String::new();
        self.requests.lock().write(&mut out);
        self.write_events(&mut out);
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
        sample(&mut out, "gantry_requests_waiting", "", app.fairness.waiting());
        family(&mut out, "gantry_requests_turned_away_total", "counter", "Requests that were told to come back later.");
        sample(&mut out, "gantry_requests_turned_away_total", "", app.fairness.turned_away());
        app.fairness.write_metrics(&mut out);
        app.authorizers.counts.write(&mut out);
        write_objects(&mut out, cluster);
        write_path(&mut out, cluster.metrics(), self.lagged.load(Ordering::Relaxed));
        if let Some(auditor) = &app.auditor {
            auditor.metrics(&mut out);
        }
        store::write(&mut out, cluster);
        process::write(&mut out, self.started, version);
        out
    }

    fn write_events(&self, out: &mut String) {
        let events = self.events.lock();
        family(out, "apiserver_watch_events_total", "counter", "Events that watches were sent.");
        for (labels, sizes) in events.iter() {
            sample(out, "apiserver_watch_events_total", labels, sizes.count());
        }
        family(
            out,
            "apiserver_watch_events_sizes",
            "histogram",
            "Sizes of the events that watches were sent, in bytes.",
        );
        for (labels, sizes) in events.iter() {
            sizes.write(out, "apiserver_watch_events_sizes", labels);
        }
        let name = "apiserver_tls_handshake_errors_total";
        family(out, name, "counter", "TLS handshakes that failed.");
        sample(out, name, "", self.handshake_errors.load(Ordering::Relaxed));
    }
}

fn write_objects(out: &mut String, cluster: &Cluster) {
    let view = cluster.view();
    family(out, "apiserver_resource_objects", "gauge", "Stored objects by resource.");
    for kind in view.stored_kinds() {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_is_counted_until_it_ends() {
        let metrics = Arc::new(Metrics::new());
        let ask = |path: &str| Asked::read(&http::Method::GET, path, &Query::default());
        drop(metrics.begin(&ask("/api/v1/pods"), &Query::default()));
        assert_eq!(metrics.reading.load(Ordering::Relaxed), 0);
        let gauge = metrics.long_running(&ask("/api/v1/pods"));
        let open = || metrics.long_running.lock().values().map(|c| c.load(Ordering::Relaxed)).sum::<i64>();
        assert_eq!(open(), 1);
        gauge.sent(2000);
        drop(gauge);
        assert_eq!(open(), 0);
        let mut text = String::new();
        metrics.write_events(&mut text);
        let labels = "group=\"\",resource=\"pods\",version=\"v1\"";
        assert!(text.contains(&format!("apiserver_watch_events_total{{{labels}}} 1")), "{text}");
        assert!(text.contains(&format!("apiserver_watch_events_sizes_bucket{{{labels},le=\"1024\"}} 0")), "{text}");
    }
}
