//! Counters of what was encrypted and decrypted, by resource and prefix.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;

/// Upper bounds of the classes of durations: from 5 us, each twice the one before.
const CLASSES: usize = 25;
const SMALLEST: f64 = 5e-6;

/// What has happened since the start.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counters>);

#[derive(Default)]
struct Counters {
    /// By resource, direction, prefix and status.
    operations: BTreeMap<(String, &'static str, String, &'static str), u64>,
    /// By direction and prefix.
    durations: BTreeMap<(&'static str, String), Durations>,
}

#[derive(Default)]
struct Durations {
    classes: [u64; CLASSES],
    count: u64,
    sum: f64,
}

impl Metrics {
    pub(crate) fn note(
        &self,
        resource: (&str, &str),
        direction: &'static str,
        prefix: &str,
        good: bool,
        took: Duration,
    ) {
        let (group, plural) = resource;
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let status = if good { "OK" } else { "Internal" };
        let mut counters = self.0.lock();
        *counters.operations.entry((resource, direction, prefix.to_owned(), status)).or_default() += 1;
        let durations = counters.durations.entry((direction, prefix.to_owned())).or_default();
        let seconds = took.as_secs_f64();
        let mut bound = SMALLEST;
        for class in &mut durations.classes {
            *class += u64::from(seconds <= bound);
            bound *= 2.0;
        }
        durations.count += 1;
        durations.sum += seconds;
    }

    /// In Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let counters = self.0.lock();
        let name = "apiserver_storage_transformation_operations_total";
        let mut out =
            format!("# HELP {name} [ALPHA] Values that were encrypted or decrypted.\n# TYPE {name} counter\n");
        for ((resource, direction, prefix, status), count) in &counters.operations {
            let _ = writeln!(
                out,
                "{name}{{resource={resource:?},status={status:?},transformation_type={direction:?},transformer_prefix={prefix:?}}} {count}"
            );
        }
        let name = "apiserver_storage_transformation_duration_seconds";
        let _ = writeln!(out, "# HELP {name} [ALPHA] How long that took.\n# TYPE {name} histogram");
        for ((direction, prefix), durations) in &counters.durations {
            let labels = format!("transformation_type={direction:?},transformer_prefix={prefix:?}");
            let mut bound = SMALLEST;
            for class in &durations.classes {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {class}");
                bound *= 2.0;
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", durations.count);
            let _ =
                writeln!(out, "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {}", durations.sum, durations.count);
        }
        out
    }
}
