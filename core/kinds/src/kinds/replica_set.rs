//! ReplicaSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::ReplicaSet;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, Path};
use crate::kinds::{pod, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::non_negative;
use crate::tree::{child_or_new, int_at, keep, set_default, text_or};
use crate::typed;

/// The row of `ReplicaSet`.
pub static REPLICA_SET: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    version_of: None,
    short_names: &["rs"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "scale",
            group_version: Some(("autoscaling", "v1")),
            kind: "Scale",
            schema: "io.k8s.api.autoscaling.v1.Scale",
            verbs: STATUS_VERBS,
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "ReplicaSet",
            schema: "io.k8s.api.apps.v1.ReplicaSet",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.apps.v1.ReplicaSet",
    strategy: &ReplicaSetStrategy,
    columns: &[
        NAME,
        Column::field("Desired", "io.k8s.api.apps.v1.ReplicaSetSpec.replicas").integer(),
        Column::field("Current", "io.k8s.api.apps.v1.ReplicaSetStatus.replicas").integer(),
        Column::field("Ready", "io.k8s.api.apps.v1.ReplicaSetStatus.readyReplicas").integer(),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.apps.v1.ReplicaSetSpec.selector").wide(),
    ],
    cells,
    selectable: &[("status.replicas", |o| text_or(o, "/status/replicas", "0"))],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = |pointer| Value::from(int_at(o, pointer).unwrap_or(0));
    let mut row = vec![
        name(o),
        count("/spec/replicas"),
        count("/status/replicas"),
        count("/status/readyReplicas"),
        age_of(o, now),
    ];
    row.extend(workload::wide_cells(o));
    row
}

struct ReplicaSetStrategy;

impl Strategy for ReplicaSetStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        set_default(spec, "replicas", 1);
        pod::default_template(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "replicas": 0 });
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        match update {
            Update::Sub("status") => keep(new, old, "spec"),
            _ => keep(new, old, "status"),
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if update == Update::Sub("status") {
            let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
            let counts = [
                "replicas",
                "fullyLabeledReplicas",
                "readyReplicas",
                "availableReplicas",
                "terminatingReplicas",
                "observedGeneration",
            ];
            workload::check_counts(new, &counts, &parts, &mut errors);
            return errors;
        }
        errors.extend(check(new));
        workload::check_same_selector(new, old, &mut errors);
        errors
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        pod::template_warnings(new, old)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check(object: &Value) -> ErrorList {
    let spec = match typed::whole::<ReplicaSet>(object) {
        Ok(set) => set.spec,
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    non_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), &mut errors);
    non_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), &mut errors);
    let selector = object.pointer("/spec/selector").is_some_and(|s| !s.is_null()).then_some(&spec.selector);
    let template = spec.template.unwrap_or_default();
    workload::check_selector_and_template(selector, &template, object, &mut errors);
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_status_agree() {
        let new = json!({"status": {"replicas": 1, "readyReplicas": 2, "availableReplicas": 1}});
        let errors = ReplicaSetStrategy.validate_update(&new, &json!({}), Update::Sub("status"));
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]);
    }

    #[test]
    fn a_row_counts() {
        let set = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"a": "b"}},
                "template": {"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "j"}]}}},
            "status": {"replicas": 2, "readyReplicas": 1}});
        let row = cells(&set, "2026-01-01T00:00:05Z".parse().unwrap());
        assert_eq!(Value::from(row), json!(["a", 3, 2, 1, "5s", "c,d", "i,j", "a=b"]));
    }
}
