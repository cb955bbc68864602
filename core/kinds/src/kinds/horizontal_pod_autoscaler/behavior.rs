//! How fast an autoscaler goes up and down.

use serde_json::{Map, Value, json};

use crate::field::{ErrorList, FieldError, Path};
use crate::quantity::Quantity;
use crate::rules;
use crate::tree::{child, child_or_new, int_at, list_at, set_default, str_at};

const WINDOW_MAX: i64 = 3600;
const PERIOD_MAX: i64 = 1800;

/// Fills in both ways where one is said.
pub(super) fn default(spec: &mut Map<String, Value>) {
    let Some(behavior) = child(spec, "behavior") else { return };
    let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
    let up = child_or_new(behavior, "scaleUp");
    set_default(up, "stabilizationWindowSeconds", 0);
    set_default(up, "selectPolicy", "Max");
    set_default(up, "policies", json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, percent]));
    let down = child_or_new(behavior, "scaleDown");
    set_default(down, "selectPolicy", "Max");
    set_default(down, "policies", json!([percent]));
}

/// Checks both ways.
pub(super) fn check(spec: &Value, path: &Path, errors: &mut ErrorList) {
    for way in ["scaleUp", "scaleDown"] {
        if let Some(scaling) = spec.pointer(&format!("/behavior/{way}")).filter(|s| !s.is_null()) {
            check_way(scaling, &path.child(way), errors);
        }
    }
}

fn check_way(scaling: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(window) = int_at(scaling, "/stabilizationWindowSeconds") {
        let path = path.child("stabilizationWindowSeconds");
        if window < 0 {
            errors.push(FieldError::invalid(&path, window, "must be greater than or equal to zero"));
        }
        if window > WINDOW_MAX {
            errors.push(FieldError::invalid(&path, window, format!("must be less than or equal to {WINDOW_MAX}")));
        }
    }
    if let Some(select) = scaling.get("selectPolicy").and_then(Value::as_str) {
        rules::one_of(select, &["Disabled", "Max", "Min"], &path.child("selectPolicy"), errors);
    }
    let policies = list_at(scaling, "/policies");
    if policies.is_empty() {
        errors.push(FieldError::required(&path.child("policies"), "must specify at least one Policy"));
    }
    for (at, policy) in policies.iter().enumerate() {
        check_policy(policy, &path.child("policies").index(at), errors);
    }
    if let Some(tolerance) = scaling.get("tolerance").and_then(Value::as_str)
        && Quantity::parse(tolerance).is_ok_and(|q| q.sign() < 0)
    {
        errors.push(FieldError::invalid(&path.child("tolerance"), tolerance, rules::NON_NEGATIVE));
    }
}

fn check_policy(policy: &Value, path: &Path, errors: &mut ErrorList) {
    rules::one_of(str_at(policy, "/type"), &["Percent", "Pods"], &path.child("type"), errors);
    let value = int_at(policy, "/value").unwrap_or(0);
    if value <= 0 {
        errors.push(FieldError::invalid(&path.child("value"), value, "must be greater than zero"));
    }
    let (period, path) = (int_at(policy, "/periodSeconds").unwrap_or(0), path.child("periodSeconds"));
    if period <= 0 {
        errors.push(FieldError::invalid(&path, period, "must be greater than zero"));
    }
    if period > PERIOD_MAX {
        errors.push(FieldError::invalid(&path, period, format!("must be less than or equal to {PERIOD_MAX}")));
    }
}
