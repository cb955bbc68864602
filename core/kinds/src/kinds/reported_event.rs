//! `events.k8s.io/v1`: the same Event under other names. Stored as the core one.

use serde_json::{Map, Value};

use super::event::{self, EVENT};
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::names;
use crate::row::{Conversion, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{int_at, str_at, text};

/// The row of `Event`.
pub static REPORTED_EVENT: Kind = Kind {
    group: "events.k8s.io",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    version_of: Some(&Conversion { stored: &EVENT, to_stored, from_stored }),
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.events.v1.Event",
    strategy: &ReportedStrategy,
    columns: event::COLUMNS,
    cells: |o, now| (EVENT.cells)(&stored(o), now),
    selectable: &[
        ("regarding.kind", |o| text(o, "/regarding/kind")),
        ("regarding.namespace", |o| text(o, "/regarding/namespace")),
        ("regarding.name", |o| text(o, "/regarding/name")),
        ("regarding.uid", |o| text(o, "/regarding/uid")),
        ("regarding.apiVersion", |o| text(o, "/regarding/apiVersion")),
        ("regarding.resourceVersion", |o| text(o, "/regarding/resourceVersion")),
        ("regarding.fieldPath", |o| text(o, "/regarding/fieldPath")),
        ("reason", |o| text(o, "/reason")),
        ("reportingController", |o| text(o, "/reportingController")),
        ("type", |o| text(o, "/type")),
    ],
};

/// Names here, and in the stored version.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];
/// What never changes through this version, by its stored names.
const FIXED: [&str; 13] = [
    "involvedObject",
    "reason",
    "message",
    "source",
    "firstTimestamp",
    "lastTimestamp",
    "count",
    "type",
    "eventTime",
    "action",
    "related",
    "reportingComponent",
    "reportingInstance",
];
const MESSAGE_MAX: usize = 1024;
const TEXT_MAX: usize = 128;

fn to_stored(object: &mut Value) {
    rename(object, EVENT.api_version(), |(here, there)| (here, there));
    if let Some(map) = object.as_object_mut() {
        map.entry("source").or_insert_with(|| Value::Object(Map::new()));
    }
}

fn from_stored(object: &mut Value) {
    rename(object, REPORTED_EVENT.api_version(), |(here, there)| (there, here));
}

type Names = (&'static str, &'static str);

fn rename(object: &mut Value, api_version: String, direction: impl Fn(Names) -> Names) {
    let Some(map) = object.as_object_mut() else { return };
    map.insert("apiVersion".to_owned(), api_version.into());
    for (from, to) in NAMES.map(direction) {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

fn stored(object: &Value) -> Value {
    let mut object = object.clone();
    to_stored(&mut object);
    object
}

struct ReportedStrategy;

impl Strategy for ReportedStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        check(&stored(object), true)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let (new, old) = (stored(new), stored(old));
        let mut errors = check(&new, false);
        for name in FIXED {
            let (after, before) = (new.get(name).unwrap_or(&Value::Null), old.get(name).unwrap_or(&Value::Null));
            let after = show(name, after);
            if after != show(name, before) {
                let told = if name == "reportingComponent" { "reportingController" } else { name };
                errors.push(FieldError::invalid_shown(&Path::new(told), &after, IMMUTABLE));
            }
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn create_on_update(&self) -> bool {
        true
    }
}

/// wire: fields are told of as they are in memory: nothing left out, structures under the names of their fields.
fn show(name: &str, value: &Value) -> String {
    match name {
        "involvedObject" => show_parts(value, &REFERENCE),
        "related" if value.is_object() => show_parts(value, &REFERENCE),
        "source" => show_parts(value, &SOURCE),
        "count" => value.as_i64().unwrap_or_default().to_string(),
        _ if value.is_null() && (name.ends_with("Timestamp") || matches!(name, "eventTime" | "related")) => {
            "null".to_owned()
        }
        _ => quote(value.as_str().unwrap_or_default()),
    }
}

const SOURCE: [(&str, &str); 2] = [("Component", "/component"), ("Host", "/host")];
const REFERENCE: [(&str, &str); 7] = [
    ("Kind", "/kind"),
    ("Namespace", "/namespace"),
    ("Name", "/name"),
    ("UID", "/uid"),
    ("APIVersion", "/apiVersion"),
    ("ResourceVersion", "/resourceVersion"),
    ("FieldPath", "/fieldPath"),
];

fn show_parts(value: &Value, fields: &[(&str, &str)]) -> String {
    let parts: Vec<_> =
        fields.iter().map(|(told, at)| format!("\"{told}\":{}", Value::from(str_at(value, at)))).collect();
    format!("{{{}}}", parts.join(","))
}

/// Checks an event in its stored form. wire: errors name the stored fields, but the reporting controller.
fn check(event: &Value, new: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let (own, of) = (str_at(event, "/metadata/namespace"), str_at(event, "/involvedObject/namespace"));
    if of.is_empty() && !own.is_empty() && !matches!(own, "default" | "kube-system") {
        let path = Path::new("involvedObject").child("namespace");
        errors.push(FieldError::invalid(&path, of, "does not match event.namespace"));
    }
    let timed = event.get("eventTime").is_some_and(Value::is_string);
    if !timed {
        if new {
            errors.push(FieldError::required(&Path::new("eventTime"), ""));
        }
    } else {
        check_texts(event, &mut errors);
    }
    check_series(event, &mut errors);
    let kind = str_at(event, "/type");
    if new && !["Normal", "Warning"].contains(&kind) {
        errors.push(FieldError::invalid(&Path::new("type"), "", format!("has invalid value: {kind}")));
    }
    if timed && new {
        check_unset(event, &mut errors);
    }
    errors
}

fn check_texts(event: &Value, errors: &mut ErrorList) {
    let controller = str_at(event, "/reportingComponent");
    let path = Path::new("reportingController");
    rules::required(controller, &path, errors);
    rules::each(controller, names::qualified_name(controller), &path, errors);
    for field in ["reportingInstance", "action", "reason"] {
        let (value, path) = (str_at(event, &format!("/{field}")), Path::new(field));
        rules::required(value, &path, errors);
        if value.len() > TEXT_MAX {
            errors.push(FieldError::invalid(&path, "", format!("can have at most {TEXT_MAX} characters")));
        }
    }
    if str_at(event, "/message").len() > MESSAGE_MAX {
        let detail = format!("can have at most {MESSAGE_MAX} characters");
        errors.push(FieldError::invalid(&Path::new("message"), "", detail));
    }
}

fn check_series(event: &Value, errors: &mut ErrorList) {
    let Some(series) = event.get("series").filter(|s| !s.is_null()) else { return };
    let path = Path::new("series");
    if int_at(series, "/count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid(&path.child("count"), "", "should be at least 2"));
    }
    if !series.get("lastObservedTime").is_some_and(Value::is_string) {
        errors.push(FieldError::required(&path.child("lastObservedTime"), ""));
    }
}

/// What only the core version may set.
fn check_unset(event: &Value, errors: &mut ErrorList) {
    let set = |pointer: &str| event.pointer(pointer).is_some_and(|v| !v.is_null() && v != 0 && v != "");
    let fields = [
        ("firstTimestamp", set("/firstTimestamp")),
        ("lastTimestamp", set("/lastTimestamp")),
        ("count", set("/count")),
        ("source", set("/source/component") || set("/source/host")),
    ];
    for (field, _) in fields.iter().filter(|(_, set)| *set) {
        errors.push(FieldError::invalid(&Path::new(field), "", "needs to be unset"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_has_two_names_for_everything() {
        let mut event = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "regarding": {"kind": "Pod", "name": "p"}, "reason": "r",
            "action": "a", "type": "Normal", "reportingController": "a.b/c", "reportingInstance": "i", "note": "n",
            "deprecatedSource": {}});
        assert!(ReportedStrategy.validate(&event).is_empty());
        let before = event.clone();
        to_stored(&mut event);
        assert_eq!((&event["involvedObject"]["name"], &event["message"]), (&json!("p"), &json!("n")));
        from_stored(&mut event);
        assert_eq!(event, before);
        event["note"] = json!("other");
        let texts: Vec<_> =
            ReportedStrategy.validate_update(&event, &before, Update::Main).iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["message: Invalid value: \"other\": field is immutable"]);
        let mut counted = before.clone();
        counted["deprecatedCount"] = json!(2);
        counted["deprecatedSource"] = json!({"component": "c"});
        counted["eventTime"] = Value::Null;
        let texts: Vec<_> =
            ReportedStrategy.validate_update(&counted, &before, Update::Main).iter().map(ToString::to_string).collect();
        let source = r#"source: Invalid value: {"Component":"c","Host":""}: field is immutable"#;
        let expected = [
            source,
            "count: Invalid value: 2: field is immutable",
            "eventTime: Invalid value: null: field is immutable",
        ];
        assert_eq!(texts, expected);
        assert!(EVENT.strategy.validate_update(&stored(&counted), &stored(&before), Update::Main).is_empty());
    }
}
