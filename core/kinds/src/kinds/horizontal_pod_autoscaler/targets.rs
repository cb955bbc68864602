//! The cell that says what is measured and what is aimed at.

use serde_json::Value;

use super::metrics::SOURCES;
use crate::tree::{int_at, list_at, str_at};

/// So many metrics have room in the cell.
const SHOWN: usize = 2;
const UNKNOWN: &str = "<unknown>";

/// The targets of an autoscaler, each as `current/target`.
pub(super) fn cell(o: &Value) -> String {
    let (wanted, current) = (list_at(o, "/spec/metrics"), list_at(o, "/status/currentMetrics"));
    let all: Vec<_> = wanted.iter().enumerate().map(|(at, metric)| one(metric, current.get(at))).collect();
    match all.len() {
        0 => "<none>".to_owned(),
        count if count > SHOWN => format!("{} + {} more...", all[..SHOWN].join(", "), count - SHOWN),
        _ => all.join(", "),
    }
}

fn one(metric: &Value, status: Option<&Value>) -> String {
    let Some((kind, source)) = SOURCES.iter().find(|(kind, _)| *kind == str_at(metric, "/type")) else {
        return "<unknown type>".to_owned();
    };
    let target = &metric[source]["target"];
    let current = status.and_then(|status| status.get(source)?.get("current"));
    let amount = |key: &str| current.and_then(|c| c.get(key)?.as_str()).unwrap_or(UNKNOWN).to_owned();
    let average = target.get("averageValue").and_then(Value::as_str);
    let text = match average {
        Some(average) => {
            let shared = matches!(*kind, "Object" | "External");
            format!("{}/{average}{}", amount("averageValue"), if shared { " (avg)" } else { "" })
        }
        None if kind.ends_with("Resource") => {
            let share = |value: Option<i64>, none: &str| value.map_or(none.to_owned(), |share| format!("{share}%"));
            let now = share(current.and_then(|c| int_at(c, "/averageUtilization")), UNKNOWN);
            format!("{now}/{}", share(int_at(target, "/averageUtilization"), "<auto>"))
        }
        None => format!("{}/{}", amount("value"), str_at(target, "/value")),
    };
    if kind.ends_with("Resource") { format!("{}: {text}", str_at(&metric[source], "/name")) } else { text }
}
