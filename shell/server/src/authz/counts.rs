//! What authorization has come to, for metrics.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gantry_policy::Verdict;
use parking_lot::Mutex;

use crate::metrics::histogram::Histogram;
use crate::metrics::text::{family, sample};

const BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Counters, by their labels.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    attempts: BTreeMap<&'static str, u64>,
    calls: BTreeMap<String, u64>,
    open: BTreeMap<String, u64>,
    durations: BTreeMap<String, Histogram>,
    reloads: BTreeMap<&'static str, (u64, f64)>,
}

impl Counts {
    /// A request was decided on.
    pub(crate) fn decided(&self, verdict: &Verdict) {
        let result = match verdict {
            Verdict { allowed: true, .. } => "allowed",
            Verdict { error, .. } if error.is_empty() => "denied",
            _ => "error",
        };
        *self.0.lock().attempts.entry(result).or_default() += 1;
    }

    /// An authorizer outside was asked; whether its failure was taken for nothing said.
    pub(super) fn asked(&self, name: &str, result: &str, took: Duration, open: bool) {
        let labels = format!("name={name:?},result={result:?}");
        let mut tables = self.0.lock();
        tables.durations.entry(labels.clone()).or_insert_with(|| Histogram::new(BOUNDS)).record(took.as_secs_f64());
        if open {
            *tables.open.entry(labels.clone()).or_default() += 1;
        }
        *tables.calls.entry(labels).or_default() += 1;
    }

    /// The file changed, and was taken or not.
    pub(super) fn reloaded(&self, taken: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut tables = self.0.lock();
        let entry = tables.reloads.entry(if taken { "success" } else { "failure" }).or_default();
        *entry = (entry.0 + 1, now);
    }

    /// Writes all of them in Prometheus' text format.
    pub(crate) fn write(&self, out: &mut String) {
        let tables = self.0.lock();
        counter(out, "authorization_attempts_total", "Requests that were decided on.", || {
            tables.attempts.iter().map(|(result, count)| (format!("result={result:?}"), *count))
        });
        let of = |table: &BTreeMap<String, u64>| table.clone().into_iter();
        let name = "apiserver_authorization_webhook_evaluations_total";
        counter(out, name, "Calls of authorizers outside.", || of(&tables.calls));
        let name = "apiserver_authorization_webhook_evaluations_fail_open_total";
        counter(out, name, "Failed calls that were taken for nothing said.", || of(&tables.open));
        let name = "apiserver_authorization_webhook_duration_seconds";
        family(out, name, "histogram", "How long authorizers outside took.");
        tables.durations.iter().for_each(|(labels, took)| took.write(out, name, labels));
        let name = "apiserver_authorization_config_controller_automatic_reloads_total";
        counter(out, name, "Changes of the file, taken or not.", || {
            tables.reloads.iter().map(|(status, (count, _))| (format!("status={status:?}"), *count))
        });
        let name = "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds";
        family(out, name, "gauge", "When the file was last taken or not.");
        for (status, (_, at)) in &tables.reloads {
            sample(out, name, &format!("status={status:?}"), at);
        }
    }
}

fn counter<I: Iterator<Item = (String, u64)>>(out: &mut String, name: &str, help: &str, samples: impl Fn() -> I) {
    family(out, name, "counter", help);
    samples().for_each(|(labels, count)| sample(out, name, &labels, count));
}
