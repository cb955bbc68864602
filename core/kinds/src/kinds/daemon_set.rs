//! DaemonSets.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::kinds::{pod, share, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::non_negative;
use crate::tree::{child, child_or_new, fill, int_at, keep, set_default};
use crate::typed;

/// The row of `DaemonSet`.
pub static DAEMON_SET: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "DaemonSet",
    plural: "daemonsets",
    singular: "daemonset",
    version_of: None,
    short_names: &["ds"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "DaemonSet",
        schema: "io.k8s.api.apps.v1.DaemonSet",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.apps.v1.DaemonSet",
    strategy: &DaemonSetStrategy,
    columns: &[
        NAME,
        Column::field("Desired", "io.k8s.api.apps.v1.DaemonSetStatus.desiredNumberScheduled").integer(),
        Column::field("Current", "io.k8s.api.apps.v1.DaemonSetStatus.currentNumberScheduled").integer(),
        Column::field("Ready", "io.k8s.api.apps.v1.DaemonSetStatus.numberReady").integer(),
        Column::field("Up-to-date", "io.k8s.api.apps.v1.DaemonSetStatus.updatedNumberScheduled").integer(),
        Column::field("Available", "io.k8s.api.apps.v1.DaemonSetStatus.numberAvailable").integer(),
        Column::field("Node Selector", "io.k8s.api.core.v1.PodSpec.nodeSelector"),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.apps.v1.DaemonSetSpec.selector").wide(),
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let fields = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut row = vec![name(o)];
    row.extend(fields.iter().map(|field| Value::from(int_at(o, &format!("/status/{field}")).unwrap_or(0))));
    row.push(workload::labels_cell(o, "/spec/template/spec/nodeSelector"));
    row.push(age_of(o, now));
    row.extend(workload::wide_cells(o));
    row
}

struct DaemonSetStrategy;

/// The annotation that counts the templates that a DaemonSet has had.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

impl Strategy for DaemonSetStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        // wire: who writes the object owns the count, as every decoded object carries it.
        let metadata = child_or_new(object, "metadata");
        set_default(child_or_new(metadata, "annotations"), TEMPLATE_GENERATION, "0");
        let spec = child_or_new(object, "spec");
        let strategy = child_or_new(spec, "updateStrategy");
        fill(strategy, "type", "RollingUpdate");
        if strategy["type"] == "RollingUpdate" {
            let rolling = child_or_new(strategy, "rollingUpdate");
            set_default(rolling, "maxUnavailable", 1);
            set_default(rolling, "maxSurge", 0);
        } else if let Some(rolling) = child(strategy, "rollingUpdate") {
            set_default(rolling, "maxUnavailable", 0);
            set_default(rolling, "maxSurge", 0);
        }
        set_default(spec, "revisionHistoryLimit", 10);
        pod::default_template(spec);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({
            "currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0,
        });
        let counted = templates(object).max(1);
        count_templates(object, counted);
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        if update == Update::Sub("status") {
            keep(new, old, "spec");
            count_templates(new, templates(old));
            return;
        }
        keep(new, old, "status");
        let changed = new.pointer("/spec/template") != old.pointer("/spec/template");
        count_templates(new, templates(old) + i64::from(changed));
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return check_status(new, old);
        }
        let mut errors = ErrorList::new();
        workload::check_same_selector(new, old, &mut errors);
        errors.extend(check(new));
        errors
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        pod::template_warnings_at(new, old, &["spec", "template"])
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn templates(object: &Value) -> i64 {
    let annotations = object.pointer("/metadata/annotations").unwrap_or(&Value::Null);
    annotations.get(TEMPLATE_GENERATION).and_then(Value::as_str).and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn count_templates(object: &mut Value, count: i64) {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    child_or_new(meta, "annotations").insert(TEMPLATE_GENERATION.to_owned(), Value::from(count.to_string()));
}

fn check(object: &Value) -> ErrorList {
    let spec = match typed::whole::<DaemonSet>(object) {
        Ok(set) => set.spec,
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let selector = object.pointer("/spec/selector").filter(|s| !s.is_null()).map(|_| &spec.selector);
    workload::check_daemon_template(selector, &spec.template, object, &mut errors);
    non_negative(spec.min_ready_seconds.unwrap_or(0), &path.child("minReadySeconds"), &mut errors);
    check_strategy(&spec.update_strategy.unwrap_or_default(), &path.child("updateStrategy"), &mut errors);
    if let Some(limit) = spec.revision_history_limit {
        non_negative(limit, &path.child("revisionHistoryLimit"), &mut errors);
    }
    errors
}

fn check_strategy(strategy: &DaemonSetUpdateStrategy, path: &Path, errors: &mut ErrorList) {
    match strategy.type_.as_deref().unwrap_or_default() {
        "OnDelete" => {}
        "RollingUpdate" => match &strategy.rolling_update {
            None => errors.push(FieldError::required(&path.child("rollingUpdate"), "")),
            Some(rolling) => check_rolling(rolling, &path.child("rollingUpdate"), errors),
        },
        other => {
            let rolling = strategy.rolling_update.as_ref().map_or_else(|| "null".to_owned(), show_rolling);
            let value = format!("{{\"Type\":{},\"RollingUpdate\":{rolling}}}", quote(other));
            errors.push(FieldError::not_supported_shown(path, &value, &["RollingUpdate", "OnDelete"]));
        }
    }
}

/// What is left of the rolling part of an unknown strategy, as error messages show it.
fn show_rolling(rolling: &RollingUpdateDaemonSet) -> String {
    let number = |n: &Option<IntOrString>| shown(&json!(n.as_ref().unwrap_or(&IntOrString::Int(0))));
    let (unavailable, surge) = (number(&rolling.max_unavailable), number(&rolling.max_surge));
    format!("{{\"MaxUnavailable\":{unavailable},\"MaxSurge\":{surge}}}")
}

fn check_rolling(rolling: &RollingUpdateDaemonSet, path: &Path, errors: &mut ErrorList) {
    let (unavailable, surge) = (rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref());
    let (unavailable_path, surge_path) = (path.child("maxUnavailable"), path.child("maxSurge"));
    share::check(unavailable, &unavailable_path, errors);
    share::check_whole(unavailable, &unavailable_path, errors);
    share::check(surge, &surge_path, errors);
    share::check_whole(surge, &surge_path, errors);
    match (share::number(unavailable) != 0, share::number(surge) != 0) {
        (true, true) => {
            let value = json!(surge.unwrap_or(&IntOrString::Int(0)));
            errors.push(FieldError::invalid(&surge_path, value, "may not be set when maxUnavailable is non-zero"));
        }
        (false, false) => {
            errors.push(FieldError::required(&unavailable_path, "cannot be 0 when maxSurge is 0"));
        }
        _ => {}
    }
}

fn check_status(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
    ] {
        non_negative(int_at(new, &format!("/status/{field}")).unwrap_or(0), &path.child(field), &mut errors);
    }
    workload::check_collisions(new, old, &mut errors);
    errors
}
