//! What an autoscaler measures, and what it aims at.

use serde_json::Value;

use super::check_reference;
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{resource_names, selecting};
use crate::names;
use crate::quantity::Quantity;
use crate::rules;
use crate::tree::{int_at, str_at};

/// Each type, and the field of its source.
pub(super) const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];
/// The sources in the order in which they are checked.
const CHECKED: [&str; 5] = ["object", "external", "pods", "resource", "containerResource"];

/// Checks the metrics; with `to_zero`, one of them must be there when no pod is.
pub(super) fn check(metrics: &[Value], to_zero: bool, path: &Path, errors: &mut ErrorList) {
    for (at, metric) in metrics.iter().enumerate() {
        check_metric(metric, &path.index(at), errors);
    }
    let outside = metrics.iter().any(|metric| matches!(str_at(metric, "/type"), "Object" | "External"));
    if to_zero && !outside {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn check_metric(metric: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = str_at(metric, "/type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric source type"));
    }
    let known = SOURCES.map(|(kind, _)| kind);
    let Some((_, own)) = SOURCES.iter().find(|(name, _)| *name == kind) else {
        errors.push(FieldError::not_supported(&path.child("type"), kind, &known));
        return;
    };
    let there = |field: &str| metric.get(field).is_some_and(|s| !s.is_null());
    for (at, field) in CHECKED.into_iter().filter(|field| there(field)).enumerate() {
        if at == 0 {
            check_source(field, &metric[field], &path.child(field), errors);
        }
        if field != *own {
            errors.push(FieldError::forbidden(&path.child(field), "must populate the given metric source only"));
        }
    }
    if !there(own) {
        errors.push(FieldError::required(&path.child(own), "must populate information for the given metric source"));
    }
}

fn check_source(field: &str, source: &Value, path: &Path, errors: &mut ErrorList) {
    match field {
        "object" => {
            check_reference(&source["describedObject"], false, &path.child("describedObject"), errors);
            check_identifier(source, path, errors);
        }
        "pods" => check_metric_name(source, &path.child("metric"), errors),
        "external" => check_identifier(source, path, errors),
        _ => {
            let parts = [("name", "must specify a resource name"), ("container", "must specify a container")];
            for (part, detail) in parts.into_iter().take(if field == "resource" { 1 } else { 2 }) {
                if str_at(source, &format!("/{part}")).is_empty() {
                    errors.push(FieldError::required(&path.child(part), detail));
                }
            }
            if field == "containerResource" {
                let (name, container) = (str_at(source, "/name"), str_at(source, "/container"));
                if !name.is_empty() {
                    resource_names::check_for_containers(name, &path.child("name"), errors);
                }
                if !container.is_empty() {
                    rules::each(container, names::dns_label(container), &path.child("container"), errors);
                }
            }
        }
    }
    check_target(field, &source["target"], &path.child("target"), errors);
}

fn check_identifier(source: &Value, path: &Path, errors: &mut ErrorList) {
    let path = path.child("metric");
    check_metric_name(source, &path, errors);
    selecting::check(&source["metric"], "selector", &path, errors);
}

fn check_metric_name(source: &Value, path: &Path, errors: &mut ErrorList) {
    let name = str_at(source, "/metric/name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("name"), "must specify a metric name"));
    } else {
        rules::each(name, names::path_segment(name, false), &path.child("name"), errors);
    }
}

fn check_target(field: &str, target: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = str_at(target, "/type");
    if kind.is_empty() {
        errors.push(FieldError::required(&path.child("type"), "must specify a metric target type"));
    }
    if !["Utilization", "Value", "AverageValue"].contains(&kind) {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(&path.child("type"), kind, detail));
    }
    let use_of = int_at(target, "/averageUtilization");
    let (value, average) = (amount(target, "value"), amount(target, "averageValue"));
    if let Some(share) = use_of.filter(|share| *share < 1) {
        errors.push(FieldError::invalid(&path.child("averageUtilization"), share, "must be greater than 0"));
    }
    for (name, amount) in [("value", &value), ("averageValue", &average)] {
        if let Some((text, _)) = amount.as_ref().filter(|(_, sign)| *sign != 1) {
            errors.push(FieldError::invalid(&path.child(name), text.as_str(), "must be positive"));
        }
    }
    let (value, average, share) = (value.is_some(), average.is_some(), use_of.is_some());
    let mut required = |name: &str, detail: &str| errors.push(FieldError::required(&path.child(name), detail));
    match field {
        "object" if !value && !average => {
            required("averageValue", "must set either a target value or averageValue");
        }
        "pods" if !average => required("averageValue", "must specify a positive target averageValue"),
        "external" if !value && !average => {
            required("averageValue", "must set either a target value for metric or a per-pod target");
        }
        "external" if value && average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(&path.child("value"), detail));
        }
        "resource" | "containerResource" if !share && !average => {
            required("averageUtilization", "must set either a target raw value or a target utilization");
        }
        "resource" | "containerResource" if share && average => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(&path.child("averageValue"), detail));
        }
        _ => {}
    }
}

/// The amount under `key`, and its sign.
fn amount(target: &Value, key: &str) -> Option<(String, i32)> {
    let text = target.get(key)?.as_str()?;
    Quantity::parse(text).ok().map(|amount| (text.to_owned(), amount.sign()))
}
