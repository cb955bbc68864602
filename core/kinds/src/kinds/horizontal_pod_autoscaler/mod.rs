//! HorizontalPodAutoscalers: how many replicas, by what is measured. Stored as `autoscaling/v2`.

mod behavior;
mod metrics;
mod targets;
pub mod version;
mod words;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, non_negative};
use crate::tree::{child_or_new, int_at, keep, list_at, set_default, str_at, text_or};

/// The row of `HorizontalPodAutoscaler`.
pub static HORIZONTAL_POD_AUTOSCALER: Kind = Kind {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    version_of: None,
    short_names: &["hpa"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "HorizontalPodAutoscaler",
        schema: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    strategy: &AutoscalerStrategy,
    columns: &[
        NAME,
        Column::field("Reference", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
        Column::field("Targets", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"),
        Column::field("MinPods", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.minReplicas"),
        Column::field("MaxPods", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"),
        Column::field("Replicas", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
        AGE,
    ],
    cells,
    selectable: &[],
};

/// The use of CPU, in percent, that is aimed at where nothing is said.
const DEFAULT_CPU: i64 = 80;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(o),
        Value::from(format!("{}/{}", str_at(o, "/spec/scaleTargetRef/kind"), str_at(o, "/spec/scaleTargetRef/name"))),
        Value::from(targets::cell(o)),
        Value::from(text_or(o, "/spec/minReplicas", "<unset>")),
        Value::from(int_at(o, "/spec/maxReplicas").unwrap_or(0)),
        Value::from(int_at(o, "/status/currentReplicas").unwrap_or(0)),
        age_of(o, now),
    ]
}

struct AutoscalerStrategy;

impl Strategy for AutoscalerStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        set_default(spec, "minReplicas", 1);
        if spec.get("metrics").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            let target = json!({"type": "Utilization", "averageUtilization": DEFAULT_CPU});
            let cpu = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
            spec.insert("metrics".to_owned(), cpu);
        }
        behavior::default(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"desiredReplicas": 0, "currentMetrics": null});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { check_status(new) } else { check(new) }
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check_status(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for field in ["currentReplicas", "desiredReplicas"] {
        let count = int_at(object, &format!("/status/{field}")).unwrap_or(0);
        non_negative(count, &Path::new("status").child(field), &mut errors);
    }
    errors
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    let most = int_at(spec, "/maxReplicas").unwrap_or(0);
    let least = int_at(spec, "/minReplicas");
    if let Some(least) = least {
        let path = path.child("minReplicas");
        if least < 0 {
            errors.push(FieldError::invalid(&path, least, rules::NON_NEGATIVE));
        }
        if most < least {
            let detail = "must be greater than or equal to `minReplicas`";
            errors.push(FieldError::invalid(&Path::new("spec").child("maxReplicas"), most, detail));
        }
    } else if most < 1 {
        errors.push(FieldError::invalid(&path.child("maxReplicas"), most, "must be greater than 0"));
    }
    check_reference(&spec["scaleTargetRef"], true, &path.child("scaleTargetRef"), &mut errors);
    metrics::check(list_at(spec, "/metrics"), least == Some(0), &path.child("metrics"), &mut errors);
    behavior::check(spec, &path.child("behavior"), &mut errors);
    if most == 0 {
        errors.push(FieldError::required(&path.child("maxReplicas"), ""));
    } else if most < 1 {
        errors.push(FieldError::invalid(&path.child("maxReplicas"), most, "must be greater than or equal to 1"));
    }
    errors
}

/// A reference to an object of another kind; to one that is scaled also with its group.
fn check_reference(reference: &Value, scaled: bool, path: &Path, errors: &mut ErrorList) {
    for field in ["kind", "name"] {
        let text = str_at(reference, &format!("/{field}"));
        if text.is_empty() {
            errors.push(FieldError::required(&path.child(field), ""));
        } else {
            rules::each(text, names::path_segment(text, false), &path.child(field), errors);
        }
    }
    let version = str_at(reference, "/apiVersion");
    let path = path.child("apiVersion");
    if version.matches('/').count() > 1 {
        errors.push(FieldError::invalid(&path, version, format!("unexpected GroupVersion string: {version}")));
    } else if scaled
        && !version.contains('/')
        && version != "v1"
        && str_at(reference, "/kind") != "ReplicationController"
    {
        errors.push(FieldError::invalid(&path, version, "apiVersion must specify API group"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn autoscaler(spec: Value) -> Value {
        let mut object = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"}, "spec": {"maxReplicas": 3,
            "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}});
        let more = spec.as_object().cloned().unwrap_or_default();
        object["spec"].as_object_mut().expect("a spec").extend(more);
        AutoscalerStrategy.default(&mut object);
        object
    }

    fn wrong(spec: Value) -> Vec<String> {
        check(&autoscaler(spec)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let object = autoscaler(json!({"behavior": {"scaleDown": {"selectPolicy": "Disabled"}}}));
        let spec = &object["spec"];
        assert_eq!((&spec["minReplicas"], str_at(spec, "/metrics/0/resource/name")), (&json!(1), "cpu"));
        assert_eq!(spec["behavior"]["scaleUp"]["policies"].as_array().map(Vec::len), Some(2));
        assert_eq!(spec["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
        assert!(check(&object).is_empty());
    }

    #[test]
    fn counts_and_references_are_checked() {
        assert_eq!(
            wrong(json!({"maxReplicas": 1, "minReplicas": 3, "scaleTargetRef": {"kind": "", "name": ""}})),
            [
                "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`",
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Required value",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
            ]
        );
        assert_eq!(
            wrong(json!({"minReplicas": 0})),
            [
                "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas"
            ]
        );
    }

    #[test]
    fn metrics_and_behavior_are_checked() {
        let metric =
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Value", "value": "-1"}}});
        assert_eq!(
            wrong(json!({"metrics": [metric, {"type": "Foo"}], "behavior": {"scaleDown": {"policies": []}}})),
            [
                "spec.metrics[0].resource.target.value: Invalid value: \"-1\": must be positive",
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value \
                 or a target utilization",
                "spec.metrics[1].type: Unsupported value: \"Foo\": supported values: \"ContainerResource\", \"External\", \
                 \"Object\", \"Pods\", \"Resource\"",
                "spec.behavior.scaleDown.policies: Required value: must specify at least one Policy",
            ]
        );
    }
}
