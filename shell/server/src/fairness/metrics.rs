//! Upstream's metrics of fairness.

use std::collections::BTreeMap;
use std::time::Duration;

use super::seats::{Level, Seats};
use crate::metrics::histogram::Histogram;
use crate::metrics::text::{family, sample};

const BUCKETS: &[f64] = &[0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];

/// Reads a number of a flow.
type OfFlow = fn(&Flow) -> usize;
/// Reads times of a flow.
type TimesOf = fn(&Flow) -> &Times;
/// Reads a number of a level.
type OfLevel = fn(&Level) -> usize;

/// What is counted of the requests of one schema on one level.
#[derive(Default)]
pub(super) struct Flow {
    pub dispatched: u64,
    pub rejected: BTreeMap<&'static str, u64>,
    pub waiting: usize,
    pub executing: usize,
    pub seats: usize,
    pub waits: Times,
    pub executions: Times,
}

/// Histograms by one label.
#[derive(Default)]
pub(super) struct Times(BTreeMap<&'static str, Histogram>);

impl Times {
    pub(super) fn record(&mut self, label: &'static str, time: Duration) {
        self.0.entry(label).or_insert_with(|| Histogram::new(BUCKETS)).record(time.as_secs_f64());
    }
}

/// Writes them all.
pub(super) fn write(out: &mut String, seats: &Seats) {
    write_flows(out, seats);
    write_levels(out, seats);
    let histograms: [(&str, &str, &str, TimesOf); 2] = [
        ("apiserver_flowcontrol_request_wait_duration_seconds", "execute", "Time that requests waited.", |f| &f.waits),
        ("apiserver_flowcontrol_request_execution_seconds", "type", "Time that requests took.", |f| &f.executions),
    ];
    for (name, label, help, of) in histograms {
        family(out, name, "histogram", help);
        for ((level, schema), flow) in &seats.flows {
            for (value, histogram) in &of(flow).0 {
                let common = format!("flow_schema={schema:?},priority_level={level:?}");
                // wire: labels are in the order of their names.
                let labels = if label < "flow_schema" {
                    format!("{label}={value:?},{common}")
                } else {
                    format!("{common},{label}={value:?}")
                };
                histogram.write(out, name, &labels);
            }
        }
    }
}

fn write_flows(out: &mut String, seats: &Seats) {
    let gauges: [(&str, &str, OfFlow); 3] = [
        ("current_executing_requests", "Requests that are worked on.", |flow| flow.executing),
        ("current_executing_seats", "Seats that are taken.", |flow| flow.seats),
        ("current_inqueue_requests", "Requests that wait.", |flow| flow.waiting),
    ];
    for (name, help, of) in gauges {
        let name = format!("apiserver_flowcontrol_{name}");
        family(out, &name, "gauge", help);
        for ((level, schema), flow) in &seats.flows {
            sample(out, &name, &format!("flow_schema={schema:?},priority_level={level:?}"), of(flow));
        }
    }
    let name = "apiserver_flowcontrol_dispatched_requests_total";
    family(out, name, "counter", "Requests that got seats.");
    for ((level, schema), flow) in &seats.flows {
        sample(out, name, &format!("flow_schema={schema:?},priority_level={level:?}"), flow.dispatched);
    }
    let name = "apiserver_flowcontrol_rejected_requests_total";
    family(out, name, "counter", "Requests that were told to come back.");
    for ((level, schema), flow) in &seats.flows {
        for (reason, count) in &flow.rejected {
            let labels = format!("flow_schema={schema:?},priority_level={level:?},reason={reason:?}");
            sample(out, name, &labels, count);
        }
    }
}

fn write_levels(out: &mut String, seats: &Seats) {
    let gauges: [(&str, &str, OfLevel); 4] = [
        ("nominal_limit_seats", "The share of all seats.", |level| level.nominal),
        ("lower_limit_seats", "Seats that are never lent.", |level| level.kept),
        ("upper_limit_seats", "Seats that can be had at the most.", |level| level.most),
        ("current_limit_seats", "Seats that can be had now.", |level| level.seated.max(level.nominal)),
    ];
    for (name, help, of) in gauges {
        let name = format!("apiserver_flowcontrol_{name}");
        family(out, &name, "gauge", help);
        for (level_name, level) in &seats.levels {
            sample(out, &name, &format!("priority_level={level_name:?}"), of(level));
        }
    }
}
