//! Events: what happened to an object.

use jiff::Timestamp;
use serde_json::Value;

use crate::age;
use crate::columns::{NAME, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{int_at, str_at, text};

/// The row of `Event`.
pub static EVENT: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    version_of: None,
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.Event",
    strategy: &EventStrategy,
    columns: COLUMNS,
    cells,
    selectable: &[
        ("involvedObject.kind", |o| text(o, "/involvedObject/kind")),
        ("involvedObject.namespace", |o| text(o, "/involvedObject/namespace")),
        ("involvedObject.name", |o| text(o, "/involvedObject/name")),
        ("involvedObject.uid", |o| text(o, "/involvedObject/uid")),
        ("involvedObject.apiVersion", |o| text(o, "/involvedObject/apiVersion")),
        ("involvedObject.resourceVersion", |o| text(o, "/involvedObject/resourceVersion")),
        ("involvedObject.fieldPath", |o| text(o, "/involvedObject/fieldPath")),
        ("reason", |o| text(o, "/reason")),
        ("reportingComponent", |o| text(o, "/reportingComponent")),
        ("source", source_component),
        ("type", |o| text(o, "/type")),
    ],
};

/// The columns, whatever the version.
pub(super) static COLUMNS: &[Column] = &[
    Column::field("Last Seen", "io.k8s.api.core.v1.Event.lastTimestamp"),
    Column::field("Type", "io.k8s.api.core.v1.Event.type"),
    Column::field("Reason", "io.k8s.api.core.v1.Event.reason"),
    Column::field("Object", "io.k8s.api.core.v1.Event.involvedObject"),
    Column::field("Subobject", "io.k8s.api.core.v1.ObjectReference.fieldPath").wide(),
    Column::field("Source", "io.k8s.api.core.v1.Event.source").wide(),
    Column::field("Message", "io.k8s.api.core.v1.Event.message"),
    Column::field("First Seen", "io.k8s.api.core.v1.Event.firstTimestamp").wide(),
    Column::field("Count", "io.k8s.api.core.v1.Event.count").wide(),
    NAME.wide(),
];

const INSTANCE_MAX: usize = 128;
const ACTION_MAX: usize = 128;
const REASON_MAX: usize = 128;
const MESSAGE_MAX: usize = 1024;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let present = |pointer: &str| age::moment(o, pointer).is_some();
    let first = if present("/firstTimestamp") { "/firstTimestamp" } else { "/eventTime" };
    let mut last = if present("/lastTimestamp") { "/lastTimestamp" } else { first };
    let mut count = int_at(o, "/count").filter(|c| *c != 0).unwrap_or(1);
    if o.get("series").is_some_and(|s| !s.is_null()) {
        last = "/series/lastObservedTime";
        count = int_at(o, "/series/count").unwrap_or(0);
    }
    let kind = str_at(o, "/involvedObject/kind").to_lowercase();
    let target = match str_at(o, "/involvedObject/name") {
        "" => kind,
        object => format!("{kind}/{object}"),
    };
    vec![
        Value::from(age::since(o, last, now)),
        Value::from(str_at(o, "/type")),
        Value::from(str_at(o, "/reason")),
        Value::from(target),
        Value::from(str_at(o, "/involvedObject/fieldPath")),
        Value::from(source(o)),
        Value::from(str_at(o, "/message").trim()),
        Value::from(age::since(o, first, now)),
        Value::from(count),
        name(o),
    ]
}

fn source(o: &Value) -> String {
    let either = |a: &str, b: &str| if str_at(o, a).is_empty() { text(o, b) } else { text(o, a) };
    let component = either("/source/component", "/reportingComponent");
    match either("/source/host", "/reportingInstance") {
        host if host.is_empty() => component,
        host => format!("{component}, {host}"),
    }
}

/// The value of the field selector `source`: the component that reports.
fn source_component(o: &Value) -> String {
    let component = text(o, "/source/component");
    if component.is_empty() { text(o, "/reportingComponent") } else { component }
}

struct EventStrategy;

impl Strategy for EventStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        let mut errors = ErrorList::new();
        let involved = Path::new("involvedObject").child("namespace");
        let (own, of) = (str_at(object, "/metadata/namespace"), str_at(object, "/involvedObject/namespace"));
        if of.is_empty() {
            if !matches!(own, "default" | "kube-system") {
                errors.push(FieldError::invalid(&involved, of, "does not match event.namespace"));
            }
        } else if own != of && !object.get("eventTime").is_some_and(Value::is_string) {
            errors.push(FieldError::invalid(&involved, of, "does not match event.namespace"));
        }
        if object.get("eventTime").is_some_and(Value::is_string) {
            check_new_style(object, &mut errors);
        }
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        self.validate(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn create_on_update(&self) -> bool {
        true
    }
}

/// An event with an `eventTime` says who reports, what was done and why.
fn check_new_style(object: &Value, errors: &mut ErrorList) {
    let component = str_at(object, "/reportingComponent");
    let path = Path::new("reportingComponent");
    rules::required(component, &path, errors);
    rules::each(component, names::qualified_name(component), &path, errors);
    let texts = [("reportingInstance", INSTANCE_MAX), ("action", ACTION_MAX), ("reason", REASON_MAX)];
    for (field, max) in texts {
        let value = object.get(field).and_then(Value::as_str).unwrap_or_default();
        let path = Path::new(field);
        rules::required(value, &path, errors);
        if value.len() > max {
            errors.push(FieldError::invalid(&path, "", format!("can have at most {max} characters")));
        }
    }
    if str_at(object, "/message").len() > MESSAGE_MAX {
        let detail = format!("can have at most {MESSAGE_MAX} characters");
        errors.push(FieldError::invalid(&Path::new("message"), "", detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_counts_and_says_who() {
        let event = json!({
            "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "message": " m\n",
            "involvedObject": {"kind": "Pod", "name": "a", "fieldPath": "spec"},
            "source": {"component": "c", "host": "h"}, "count": 3,
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:01:00Z",
        });
        let row = cells(&event, "2026-01-01T00:01:30Z".parse().unwrap());
        assert_eq!(
            row,
            json!(["30s", "Normal", "R", "pod/a", "spec", "c, h", "m", "90s", 3, "e"]).as_array().unwrap().clone()
        );
    }
}
