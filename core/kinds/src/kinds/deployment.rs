//! Deployments.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::{pod, share, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::non_negative;
use crate::tree::{child_or_new, int_at, keep, set_default};
use crate::typed;

/// The row of `Deployment`.
pub static DEPLOYMENT: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    version_of: None,
    short_names: &["deploy"],
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
            kind: "Deployment",
            schema: "io.k8s.api.apps.v1.Deployment",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.apps.v1.Deployment",
    strategy: &DeploymentStrategy,
    columns: &[
        NAME,
        Column::text("Ready", "Number of the pod with ready state"),
        Column::field("Up-to-date", "io.k8s.api.apps.v1.DeploymentStatus.updatedReplicas"),
        Column::field("Available", "io.k8s.api.apps.v1.DeploymentStatus.availableReplicas"),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.apps.v1.DeploymentSpec.selector").wide(),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let count = |pointer| int_at(o, pointer).unwrap_or(0);
    let ready = format!("{}/{}", count("/status/readyReplicas"), count("/spec/replicas"));
    let mut row = vec![
        name(o),
        Value::from(ready),
        Value::from(count("/status/updatedReplicas")),
        Value::from(count("/status/availableReplicas")),
        age_of(o, now),
    ];
    row.extend(workload::wide_cells(o));
    row
}

struct DeploymentStrategy;

impl Strategy for DeploymentStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        set_default(spec, "replicas", 1);
        set_default(spec, "revisionHistoryLimit", 10);
        set_default(spec, "progressDeadlineSeconds", 600);
        let strategy = child_or_new(spec, "strategy");
        if strategy.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
            strategy.insert("type".to_owned(), Value::from("RollingUpdate"));
        }
        if strategy["type"] == "RollingUpdate" {
            let rolling = child_or_new(strategy, "rollingUpdate");
            set_default(rolling, "maxUnavailable", "25%");
            set_default(rolling, "maxSurge", "25%");
        }
        pod::default_template(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        match update {
            Update::Sub("status") => {
                keep(new, old, "spec");
                keep(&mut new["metadata"], &old["metadata"], "labels");
            }
            _ => keep(new, old, "status"),
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return check_status(new, old);
        }
        let mut errors = check(new);
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

    fn bumps_generation(&self, new: &Value, old: &Value, update: Update<'_>) -> bool {
        let annotations = "/metadata/annotations";
        let annotated = update == Update::Main && new.pointer(annotations) != old.pointer(annotations);
        annotated || new.get("spec") != old.get("spec")
    }
}

fn check(object: &Value) -> ErrorList {
    let spec = match typed::whole::<Deployment>(object) {
        Ok(deployment) => deployment.spec,
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    non_negative(spec.replicas.unwrap_or(0), &path.child("replicas"), &mut errors);
    let selector = object.pointer("/spec/selector").is_some_and(|s| !s.is_null()).then_some(&spec.selector);
    workload::check_selector_and_template(selector, &spec.template, object, &mut errors);
    check_strategy(&spec, &path.child("strategy"), &mut errors);
    let ready = spec.min_ready_seconds.unwrap_or(0);
    non_negative(ready, &path.child("minReadySeconds"), &mut errors);
    non_negative(spec.revision_history_limit.unwrap_or(0), &path.child("revisionHistoryLimit"), &mut errors);
    if let Some(deadline) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        non_negative(deadline, &path, &mut errors);
        if deadline <= ready {
            errors.push(FieldError::invalid(&path, deadline, "must be greater than minReadySeconds"));
        }
    }
    errors
}

fn check_strategy(spec: &DeploymentSpec, path: &Path, errors: &mut ErrorList) {
    let Some(strategy) = &spec.strategy else { return };
    let kind = strategy.type_.as_deref().unwrap_or_default();
    let rolling = strategy.rolling_update.as_ref();
    match kind {
        "Recreate" if rolling.is_some() => {
            let detail = "may not be specified when strategy `type` is 'Recreate'";
            errors.push(FieldError::forbidden(&path.child("rollingUpdate"), detail));
        }
        "Recreate" => {}
        "RollingUpdate" => match rolling {
            None => errors.push(FieldError::required(&path.child("rollingUpdate"), "")),
            Some(rolling) => {
                let path = path.child("rollingUpdate");
                check_rolling(rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref(), &path, errors);
            }
        },
        _ => {
            let number = |n: &Option<IntOrString>| shown(&json!(n.as_ref().unwrap_or(&IntOrString::Int(0))));
            let both = |r: &RollingUpdateDeployment| {
                let (unavailable, surge) = (number(&r.max_unavailable), number(&r.max_surge));
                format!("{{\"MaxUnavailable\":{unavailable},\"MaxSurge\":{surge}}}")
            };
            let rolling = rolling.map_or_else(|| "null".to_owned(), both);
            let value = format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", shown(&Value::from(kind)));
            errors.push(FieldError::not_supported_shown(path, &value, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn check_rolling(unavailable: Option<&IntOrString>, surge: Option<&IntOrString>, path: &Path, errors: &mut ErrorList) {
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    share::check(unavailable, &unavailable_path, errors);
    share::check(surge, &surge_path, errors);
    if share::number(unavailable) == 0 && share::number(surge) == 0 {
        let zero = json!(unavailable.unwrap_or(&IntOrString::Int(0)));
        errors.push(FieldError::invalid(&unavailable_path, zero, "may not be 0 when `maxSurge` is 0"));
    }
    share::check_whole(unavailable, &unavailable_path, errors);
}

fn check_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let counts = [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
    ];
    workload::check_counts(new, &counts, &["updatedReplicas", "readyReplicas", "availableReplicas"], &mut errors);
    workload::check_collisions(new, old, &mut errors);
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({"metadata": {"name": "d"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
        }});
        change(&mut object["spec"]);
        DeploymentStrategy.default(&mut object);
        object
    }

    fn texts(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults() {
        let object = deployment(|_| {});
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        assert_eq!(object["spec"]["strategy"], rolling);
        assert_eq!(object["spec"]["replicas"], 1);
        assert_eq!(object["spec"]["template"]["spec"]["restartPolicy"], "Always");
        let object = deployment(|spec| spec["strategy"] = json!({"type": "Recreate"}));
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |change: fn(&mut Value), expected: &[&str]| {
            assert_eq!(texts(&DeploymentStrategy.validate(&deployment(change))), expected);
        };
        check(|_| {}, &[]);
        check(
            |spec| spec["selector"]["matchLabels"]["a"] = json!("c"),
            &[
                "spec.template.metadata.labels: Invalid value: {\"a\":\"b\"}: `selector` does not match template `labels`",
            ],
        );
        check(
            |spec| spec["strategy"] = json!({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
            &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
        );
        check(
            |spec| spec["strategy"] = json!({"type": "X"}),
            &["spec.strategy: Unsupported value: {\"Type\":\"X\",\"RollingUpdate\":null}: supported values: \
               \"Recreate\", \"RollingUpdate\""],
        );
        check(
            |spec| spec["template"]["spec"]["restartPolicy"] = json!("Never"),
            &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
        );
    }

    #[test]
    fn the_selector_stays() {
        let old = deployment(|_| {});
        let new = deployment(|spec| {
            spec["selector"]["matchLabels"] = json!({"c": "d"});
            spec["template"]["metadata"]["labels"] = json!({"c": "d"});
        });
        let errors = DeploymentStrategy.validate_update(&new, &old, Update::Main);
        let expected = "spec.selector: Invalid value: {\"matchLabels\":{\"c\":\"d\"}}: field is immutable";
        assert_eq!(texts(&errors), [expected]);
    }

    #[test]
    fn a_status_update_changes_the_status_alone() {
        let old = deployment(|_| {});
        let mut new = deployment(|spec| spec["replicas"] = json!(7));
        new["status"] = json!({"replicas": 3});
        new["metadata"]["labels"] = json!({"z": "y"});
        DeploymentStrategy.prepare_update(&mut new, &old, Update::Sub("status"));
        assert_eq!(new["spec"], old["spec"]);
        assert_eq!(new["metadata"], old["metadata"]);
        assert_eq!(new["status"]["replicas"], 3);
    }
}
