//! ReplicationControllers: ReplicaSets from before selectors had expressions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerSpec};
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{pod, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, non_negative};
use crate::tree::{child_or_new, has, int_at, keep, set_default, text_or};
use crate::typed;

/// The row of `ReplicationController`.
pub static REPLICATION_CONTROLLER: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ReplicationController",
    plural: "replicationcontrollers",
    singular: "replicationcontroller",
    version_of: None,
    short_names: &["rc"],
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
            kind: "ReplicationController",
            schema: "io.k8s.api.core.v1.ReplicationController",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.core.v1.ReplicationController",
    strategy: &ReplicationControllerStrategy,
    columns: &[
        NAME,
        Column::field("Desired", "io.k8s.api.core.v1.ReplicationControllerSpec.replicas").integer(),
        Column::field("Current", "io.k8s.api.core.v1.ReplicationControllerStatus.replicas").integer(),
        Column::field("Ready", "io.k8s.api.core.v1.ReplicationControllerStatus.readyReplicas").integer(),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.core.v1.ReplicationControllerSpec.selector").wide(),
    ],
    cells,
    selectable: &[("status.replicas", |o| text_or(o, "/status/replicas", "0"))],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = |pointer| Value::from(int_at(o, pointer).unwrap_or(0));
    let [containers, images] = workload::container_cells(o, "/spec/template");
    vec![
        name(o),
        count("/spec/replicas"),
        count("/status/replicas"),
        count("/status/readyReplicas"),
        age_of(o, now),
        containers,
        images,
        workload::labels_cell(o, "/spec/selector"),
    ]
}

struct ReplicationControllerStrategy;

impl Strategy for ReplicationControllerStrategy {
    fn default(&self, object: &mut Value) {
        let labels = object.pointer("/spec/template/metadata/labels").cloned().filter(|l| !l.is_null());
        let Some(object) = object.as_object_mut() else { return };
        // The template's labels are also the selector and the object's own, where it has none.
        if let Some(labels) = &labels {
            let empty = |value: Option<&Value>| value.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
            let spec = child_or_new(object, "spec");
            if empty(spec.get("selector")) {
                spec.insert("selector".to_owned(), labels.clone());
            }
            let meta = child_or_new(object, "metadata");
            if empty(meta.get("labels")) {
                meta.insert("labels".to_owned(), labels.clone());
            }
        }
        let spec = child_or_new(object, "spec");
        set_default(spec, "replicas", 1);
        if has(spec, "template") {
            pod::default_template(spec);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "replicas": 0 });
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if update == Update::Sub("status") {
            let parts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
            let counts =
                ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
            workload::check_counts(new, &counts, &parts, &mut errors);
            return errors;
        }
        errors.extend(check(new));
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
    let spec = match typed::whole::<ReplicationController>(object) {
        Ok(controller) => controller.spec.unwrap_or_default(),
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    non_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), &mut errors);
    let selector = spec.selector.clone().unwrap_or_default();
    if selector.is_empty() {
        errors.push(FieldError::required(&path.child("selector"), ""));
    }
    match spec.replicas {
        None => errors.push(FieldError::required(&path.child("replicas"), "")),
        Some(replicas) => non_negative(replicas, &path.child("replicas"), &mut errors),
    }
    check_template(&spec, &selector, &path.child("template"), &mut errors);
    errors
}

fn check_template(
    spec: &ReplicationControllerSpec,
    selector: &BTreeMap<String, String>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let Some(template) = &spec.template else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    if !selector.is_empty() && selector.iter().any(|(key, value)| labels.get(key) != Some(value)) {
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("metadata").child("labels"), json!(labels), detail));
    }
    pod::check_template(template, path, errors);
    let pod = template.spec.as_ref();
    let spec = path.child("spec");
    let restart = pod.and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always");
    rules::one_of(restart, &["Always"], &spec.child("restartPolicy"), errors);
    if pod.is_some_and(|s| s.active_deadline_seconds.is_some()) {
        let detail = "activeDeadlineSeconds in ReplicationController is not Supported";
        errors.push(FieldError::forbidden(&spec.child("activeDeadlineSeconds"), detail));
    }
}
