//! `autoscaling/v1`: the same autoscaler with one target. What v1 has no field for is in annotations.

use serde_json::{Map, Value, json};

use super::words::{self, Side};
use super::{AutoscalerStrategy, DEFAULT_CPU, HORIZONTAL_POD_AUTOSCALER, cells};
use crate::columns::{AGE, NAME};
use crate::field::ErrorList;
use crate::row::{Column, Conversion, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child, child_or_new, int_at, list_at, set_default, str_at};

/// The row of `HorizontalPodAutoscaler`.
pub static HORIZONTAL_POD_AUTOSCALER_V1: Kind = Kind {
    group: "autoscaling",
    version: "v1",
    kind: "HorizontalPodAutoscaler",
    plural: "horizontalpodautoscalers",
    singular: "horizontalpodautoscaler",
    version_of: Some(&Conversion { stored: &HORIZONTAL_POD_AUTOSCALER, to_stored, from_stored }),
    short_names: &["hpa"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "HorizontalPodAutoscaler",
        schema: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler",
    strategy: &OldStrategy,
    columns: &[
        NAME,
        Column::field("Reference", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.scaleTargetRef"),
        Column::field("Targets", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.metrics"),
        Column::field("MinPods", "io.k8s.api.autoscaling.v1.HorizontalPodAutoscalerSpec.minReplicas"),
        Column::field("MaxPods", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec.maxReplicas"),
        Column::field("Replicas", "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerStatus.currentReplicas"),
        AGE,
    ],
    cells: |o, now| cells(&stored(o), now),
    selectable: &[],
};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CPU_TARGET: &str = "targetCPUUtilizationPercentage";
const CPU_CURRENT: &str = "currentCPUUtilizationPercentage";

/// The rules of the stored version, on what this one becomes there.
struct OldStrategy;

impl Strategy for OldStrategy {
    fn default(&self, object: &mut Value) {
        let annotated = object.pointer("/metadata/annotations").is_some_and(|a| a.get(METRICS).is_some());
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        set_default(spec, "minReplicas", 1);
        if !annotated {
            set_default(spec, CPU_TARGET, DEFAULT_CPU);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({"currentReplicas": 0, "desiredReplicas": 0});
        for status in [CURRENT, CONDITIONS] {
            take(object, status);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        let mut next = stored(new);
        AutoscalerStrategy.prepare_update(&mut next, &stored(old), update);
        from_stored(&mut next);
        *new = next;
    }

    fn validate(&self, object: &Value) -> ErrorList {
        AutoscalerStrategy.validate(&stored(object))
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        AutoscalerStrategy.validate_update(&stored(new), &stored(old), update)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        AutoscalerStrategy.check_name(name, prefix)
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn bumps_generation(&self, new: &Value, old: &Value, _update: Update<'_>) -> bool {
        stored(new).get("spec") != stored(old).get("spec")
    }
}

fn stored(object: &Value) -> Value {
    let mut object = object.clone();
    to_stored(&mut object);
    object
}

fn to_stored(object: &mut Value) {
    let mut said = |key: &str| take(object, key).and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let (metrics, current, conditions, behavior) = (said(METRICS), said(CURRENT), said(CONDITIONS), said(BEHAVIOR));
    let Some(map) = object.as_object_mut() else { return };
    map.insert("apiVersion".to_owned(), Value::from(HORIZONTAL_POD_AUTOSCALER.api_version()));
    if let Some(spec) = child(map, "spec") {
        let mut all = words::read(metrics.as_ref(), Side::Target);
        if let Some(share) = spec.remove(CPU_TARGET).filter(|share| !share.is_null()) {
            let target = json!({"type": "Utilization", "averageUtilization": share});
            all.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !all.is_empty() {
            spec.insert("metrics".to_owned(), Value::from(all));
        }
        if let Some(behavior) = behavior.as_ref().map(words::behavior_from_text) {
            spec.insert("behavior".to_owned(), behavior);
        }
    }
    if let Some(status) = child(map, "status") {
        let mut all = words::read(current.as_ref(), Side::Current);
        if let Some(share) = status.remove(CPU_CURRENT).filter(|share| !share.is_null())
            && all.is_empty()
        {
            all.push(
                json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": share}}}),
            );
        }
        let all = if all.is_empty() { Value::Null } else { Value::from(all) };
        status.insert("currentMetrics".to_owned(), all);
        if let Some(conditions) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
}

fn from_stored(object: &mut Value) {
    let mut notes: Vec<(&str, String)> = Vec::new();
    let Some(map) = object.as_object_mut() else { return };
    map.insert("apiVersion".to_owned(), Value::from(HORIZONTAL_POD_AUTOSCALER_V1.api_version()));
    if let Some(spec) = child(map, "spec") {
        let mut others = spec.remove("metrics").and_then(|m| m.as_array().cloned()).unwrap_or_default();
        let cpu = others.iter().position(|metric| {
            str_at(metric, "/resource/name") == "cpu" && int_at(metric, "/resource/target/averageUtilization").is_some()
        });
        if let Some(at) = cpu {
            let metric = others.remove(at);
            spec.insert(CPU_TARGET.to_owned(), metric["resource"]["target"]["averageUtilization"].clone());
        }
        if !others.is_empty() {
            notes.push((METRICS, words::write(&others, Side::Target)));
        }
        if let Some(behavior) = spec.remove("behavior").filter(|b| !b.is_null()) {
            notes.push((BEHAVIOR, words::behavior_as_text(&behavior)));
        }
    }
    if let Some(status) = child(map, "status") {
        set_default(status, "currentReplicas", 0);
        from_stored_status(status, &mut notes);
    }
    if !notes.is_empty() {
        let annotations = child_or_new(child_or_new(map, "metadata"), "annotations");
        annotations.extend(notes.into_iter().map(|(key, text)| (key.to_owned(), Value::from(text))));
    }
}

fn from_stored_status(status: &mut Map<String, Value>, notes: &mut Vec<(&str, String)>) {
    let current = status.remove("currentMetrics").unwrap_or_default();
    let current = current.as_array().map_or(&[][..], Vec::as_slice);
    let share = current.iter().find(|metric| str_at(metric, "/resource/name") == "cpu");
    if let Some(share) = share.and_then(|metric| int_at(metric, "/resource/current/averageUtilization")) {
        status.insert(CPU_CURRENT.to_owned(), share.into());
    }
    if !current.is_empty() {
        notes.push((CURRENT, words::write(current, Side::Current)));
    }
    let conditions = status.remove("conditions").unwrap_or_default();
    if !list_at(&conditions, "").is_empty() {
        notes.push((CONDITIONS, words::conditions_as_text(list_at(&conditions, ""))));
    }
}

/// Takes an annotation away, and the map with the last one.
fn take(object: &mut Value, key: &str) -> Option<String> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = child(metadata, "annotations")?;
    let text = annotations.remove(key)?.as_str()?.to_owned();
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::horizontal_pod_autoscaler::tests::autoscaler;

    #[test]
    fn one_version_becomes_the_other_and_comes_back() {
        let target = |kind: &str, key: &str| json!({"type": kind, key: "5"});
        let metrics = json!([
            {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 3}}},
            {"type": "Pods", "pods": {"metric": {"name": "q"}, "target": target("AverageValue", "averageValue")}},
            {"type": "Object", "object": {"describedObject": {"kind": "K", "name": "n"}, "metric": {"name": "r"}, "target": target("Value", "value")}},
            {"type": "External", "external": {"metric": {"name": "q", "selector": {"matchLabels": {"a": "b"}}}, "target": target("AverageValue", "averageValue")}},
        ]);
        let mut object = autoscaler(json!({"metrics": metrics, "behavior": {"scaleDown": {"tolerance": "100m"}}}));
        object["status"] = json!({"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": null,
            "conditions": [{"type": "AbleToScale", "status": "True"}]});
        let before = object.clone();
        from_stored(&mut object);
        assert_eq!((&object["apiVersion"], &object["spec"][CPU_TARGET]), (&json!("autoscaling/v1"), &json!(3)));
        let note = |key: &str| object["metadata"]["annotations"][key].as_str().unwrap_or_default().to_owned();
        assert!(
            note(METRICS)
                .starts_with("[{\"type\":\"Pods\",\"pods\":{\"metricName\":\"q\",\"targetAverageValue\":\"5\"}},")
        );
        assert!(note(BEHAVIOR).contains("\"ScaleDown\":{\"StabilizationWindowSeconds\":null,\"SelectPolicy\":\"Max\""));
        to_stored(&mut object);
        // The share of CPU comes last when it comes back.
        let mut expected = before;
        expected["spec"]["metrics"].as_array_mut().unwrap().rotate_left(1);
        assert_eq!(object, expected);
    }
}
