//! The annotations of `autoscaling/v1`, in Go's order of fields.

use serde_json::{Map, Value};

use super::metrics::SOURCES;
use crate::tree::{list_at, str_at};

/// What is aimed at, or what is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `spec.metrics`.
    Target,
    /// `status.currentMetrics`.
    Current,
}

/// A field of an annotation: its name there, and where it is in the stored version.
type Field = (&'static str, &'static str);

const OBJECT: [Field; 5] = [
    ("target", "/describedObject"),
    ("metricName", "/metric/name"),
    ("{}Value", "/{}/value"),
    ("selector", "/metric/selector"),
    ("averageValue", "/{}/averageValue"),
];
const PODS: [Field; 3] =
    [("metricName", "/metric/name"), ("{}AverageValue", "/{}/averageValue"), ("selector", "/metric/selector")];
const RESOURCE: [Field; 4] = [
    ("name", "/name"),
    ("{}AverageUtilization", "/{}/averageUtilization"),
    ("{}AverageValue", "/{}/averageValue"),
    ("container", "/container"),
];
const EXTERNAL: [Field; 4] = [
    ("metricName", "/metric/name"),
    ("metricSelector", "/metric/selector"),
    ("{}Value", "/{}/value"),
    ("{}AverageValue", "/{}/averageValue"),
];

fn fields(source: &str) -> &'static [Field] {
    match source {
        "object" => &OBJECT,
        "pods" => &PODS,
        "external" => &EXTERNAL,
        _ => &RESOURCE,
    }
}

impl Side {
    fn fill(self, text: &str) -> String {
        text.replace("{}", if self == Side::Target { "target" } else { "current" })
    }
}

/// The metrics as the annotation says them.
pub(super) fn write(metrics: &[Value], side: Side) -> String {
    let one = |metric: &Value| {
        let kind = str_at(metric, "/type");
        let mut parts = vec![pair("type", &Value::from(kind))];
        if let Some((_, source)) = SOURCES.iter().find(|(name, _)| *name == kind) {
            let known = fields(source).iter().filter_map(|(name, pointer)| {
                let value = metric[source].pointer(&side.fill(pointer))?;
                let text = if *name == "target" { reference(value) } else { value.to_string() };
                (!value.is_null()).then(|| format!("\"{}\":{text}", side.fill(name)))
            });
            parts.push(format!("\"{source}\":{{{}}}", known.collect::<Vec<_>>().join(",")));
        }
        format!("{{{}}}", parts.join(","))
    };
    format!("[{}]", metrics.iter().map(one).collect::<Vec<_>>().join(","))
}

/// The metrics that an annotation says.
pub(super) fn read(annotation: Option<&Value>, side: Side) -> Vec<Value> {
    let all = annotation.map_or(&[][..], |a| list_at(a, ""));
    all.iter().map(|metric| read_one(metric, side)).collect()
}

fn read_one(metric: &Value, side: Side) -> Value {
    let kind = str_at(metric, "/type");
    let mut read = Map::from_iter([("type".to_owned(), Value::from(kind))]);
    for (_, source) in SOURCES.iter().filter(|(name, _)| *name == kind) {
        let mut tree = Map::new();
        for (name, pointer) in fields(source) {
            if let Some(value) = metric[source].get(side.fill(name)).filter(|v| !v.is_null()) {
                insert(&mut tree, &side.fill(pointer), value.clone());
            }
        }
        if side == Side::Target {
            let target = tree.get("target");
            let has = |key: &str| target.is_some_and(|target| target.get(key).is_some());
            let aim = if has("averageUtilization") {
                "Utilization"
            } else if has("averageValue") {
                "AverageValue"
            } else {
                "Value"
            };
            insert(&mut tree, "/target/type", Value::from(aim));
        }
        read.insert((*source).to_owned(), Value::Object(tree));
    }
    Value::Object(read)
}

fn insert(tree: &mut Map<String, Value>, pointer: &str, value: Value) {
    match pointer.trim_start_matches('/').split_once('/') {
        None => drop(tree.insert(pointer.trim_start_matches('/').to_owned(), value)),
        Some((first, rest)) => insert(crate::tree::child_or_new(tree, first), rest, value),
    }
}

fn pair(name: &str, value: &Value) -> String {
    format!("\"{name}\":{value}")
}

fn ordered(value: &Value, names: &[&str]) -> String {
    let parts = names.iter().filter_map(|name| Some(pair(name, value.get(name).filter(|v| !v.is_null())?)));
    format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
}

fn reference(value: &Value) -> String {
    ordered(value, &["kind", "name", "apiVersion"])
}

/// The conditions as the annotation says them.
pub(super) fn conditions_as_text(conditions: &[Value]) -> String {
    let names = ["type", "status", "lastTransitionTime", "reason", "message"];
    format!("[{}]", conditions.iter().map(|condition| ordered(condition, &names)).collect::<Vec<_>>().join(","))
}

const WAYS: [Field; 2] = [("ScaleUp", "scaleUp"), ("ScaleDown", "scaleDown")];
const WAY: [Field; 2] =
    [("StabilizationWindowSeconds", "stabilizationWindowSeconds"), ("SelectPolicy", "selectPolicy")];
const POLICY: [Field; 3] = [("Type", "type"), ("Value", "value"), ("PeriodSeconds", "periodSeconds")];

/// The behavior as the annotation says it: every field, null where nothing is said.
pub(super) fn behavior_as_text(behavior: &Value) -> String {
    let all = |value: &Value, fields: &[Field]| -> Vec<String> {
        fields.iter().map(|(name, key)| pair(name, &value[key])).collect()
    };
    let ways = WAYS.iter().map(|(name, key)| {
        let way = &behavior[key];
        if way.is_null() {
            return pair(name, way);
        }
        let policies = list_at(way, "/policies").iter().map(|p| format!("{{{}}}", all(p, &POLICY).join(",")));
        let policies = policies.collect::<Vec<_>>().join(",");
        let tolerance = pair("Tolerance", &way["tolerance"]);
        format!("\"{name}\":{{{},\"Policies\":[{policies}],{tolerance}}}", all(way, &WAY).join(","))
    });
    format!("{{{}}}", ways.collect::<Vec<_>>().join(","))
}

/// The behavior that an annotation says.
pub(super) fn behavior_from_text(said: &Value) -> Value {
    let part = |value: &Value, fields: &[Field]| -> Map<String, Value> {
        let set = fields.iter().filter_map(|(name, key)| Some((key, value.get(name).filter(|v| !v.is_null())?)));
        set.map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    };
    let mut behavior = part(said, &WAYS);
    for (name, key) in WAYS.iter().filter(|(_, key)| behavior.contains_key(*key)).collect::<Vec<_>>() {
        let way = &said[name];
        let mut tree = part(way, &WAY);
        tree.extend(part(way, &[("Tolerance", "tolerance")]));
        if let Some(policies) = way.get("Policies").and_then(Value::as_array) {
            let policies = policies.iter().map(|policy| Value::Object(part(policy, &POLICY)));
            tree.insert("policies".to_owned(), policies.collect());
        }
        behavior.insert((*key).to_owned(), Value::Object(tree));
    }
    Value::Object(behavior)
}
