//! Jobs.

mod indexes;
mod policy;
mod spec;
mod status;
#[cfg(test)]
mod tests;
mod update;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

pub use self::spec::check_template_spec;
use crate::age;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::ErrorList;
use crate::kinds::{pod, workload};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{child, child_or_new, children, fill, has, int_at, keep, list_at, set_default, str_at, text_or};

/// The row of `Job`.
pub static JOB: Kind = Kind {
    group: "batch",
    version: "v1",
    kind: "Job",
    plural: "jobs",
    singular: "job",
    version_of: None,
    short_names: &[],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "Job",
        schema: "io.k8s.api.batch.v1.Job",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.batch.v1.Job",
    strategy: &JobStrategy,
    columns: &[
        NAME,
        Column::text("Status", "Status of the job."),
        Column::field("Completions", "io.k8s.api.batch.v1.JobStatus.succeeded"),
        Column::text("Duration", "Time required to complete the job."),
        AGE,
        workload::CONTAINERS,
        workload::IMAGES,
        Column::field("Selector", "io.k8s.api.batch.v1.JobSpec.selector").wide(),
    ],
    cells,
    selectable: &[("status.successful", |o| text_or(o, "/status/succeeded", "0"))],
};

/// Labels that say which Job a pod is of; the first two are the old names.
const LEGACY_UID: &str = "controller-uid";
const LEGACY_NAME: &str = "job-name";
const UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let mut row = vec![
        name(o),
        Value::from(status(o)),
        Value::from(completions(o)),
        Value::from(duration(o, now)),
        age_of(o, now),
    ];
    row.extend(workload::wide_cells(o));
    row
}

fn condition<'a>(o: &'a Value, kind: &str) -> Option<&'a Value> {
    list_at(o, "/status/conditions").iter().find(|c| str_at(c, "/type") == kind && str_at(c, "/status") == "True")
}

fn status(o: &Value) -> &'static str {
    let has = |kind| condition(o, kind).is_some();
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if o.pointer("/metadata/deletionTimestamp").is_some() {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else if has("SuccessCriteriaMet") {
        "SuccessCriteriaMet"
    } else {
        "Running"
    }
}

fn completions(o: &Value) -> String {
    let done = int_at(o, "/status/succeeded").unwrap_or(0);
    match (int_at(o, "/spec/completions"), int_at(o, "/spec/parallelism").unwrap_or(0)) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, parallel) if parallel > 1 => format!("{done}/1 of {parallel}"),
        (None, _) => format!("{done}/1"),
    }
}

fn duration(o: &Value, now: Timestamp) -> String {
    let Some(start) = age::moment(o, "/status/startTime") else { return String::new() };
    let failed = condition(o, "Failed").and_then(|c| age::moment(c, "/lastTransitionTime"));
    let end = age::moment(o, "/status/completionTime").or(failed).unwrap_or(now);
    age::between(start, end)
}

struct JobStrategy;

impl Strategy for JobStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        default_spec(spec);
        // A Job that is still to get its selector gets its labels with it.
        let selected = spec.get("selector").and_then(|selector| selector.get("matchLabels"));
        if spec["manualSelector"] == true || selected.is_some_and(|labels| labels.get(UID).is_some()) {
            label_like_pods(object);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
        let manual = object.pointer("/spec/manualSelector") == Some(&Value::Bool(true));
        if !manual {
            select_own(object);
        }
        if let Some(object) = object.as_object_mut() {
            label_like_pods(object);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        spec::check_new(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { status::check(new, old) } else { update::check(new, old) }
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

fn default_spec(spec: &mut Map<String, Value>) {
    if !has(spec, "completions") && !has(spec, "parallelism") {
        set_default(spec, "completions", 1);
    }
    set_default(spec, "parallelism", 1);
    let per_index = has(spec, "backoffLimitPerIndex");
    set_default(spec, "backoffLimit", if per_index { i32::MAX } else { 6 });
    set_default(spec, "manualSelector", false);
    set_default(spec, "completionMode", "NonIndexed");
    set_default(spec, "suspend", false);
    let with_policy = has(spec, "podFailurePolicy");
    set_default(spec, "podReplacementPolicy", if with_policy { "Failed" } else { "TerminatingOrFailed" });
    // The scheduling of a whole Job is not served.
    spec.remove("scheduling");
    if let Some(policy) = child(spec, "podFailurePolicy") {
        for rule in children(policy, "rules") {
            children(rule, "onPodConditions").for_each(|pattern| fill(pattern, "status", "True"));
        }
    }
    pod::default_template(spec);
}

/// A Job without labels is labelled as its pods are.
fn label_like_pods(object: &mut Map<String, Value>) {
    let labels = object.get("spec").and_then(|spec| spec.pointer("/template/metadata/labels")).cloned();
    let Some(Value::Object(labels)) = labels.filter(|labels| labels.as_object().is_some_and(|l| !l.is_empty())) else {
        return;
    };
    let meta = child_or_new(object, "metadata");
    if meta.get("labels").and_then(Value::as_object).is_none_or(Map::is_empty) {
        meta.insert("labels".to_owned(), Value::Object(labels));
    }
}

/// Has the Job select the pods of its own uid, and no others.
fn select_own(object: &mut Value) {
    let (uid, name) = (str_at(object, "/metadata/uid").to_owned(), str_at(object, "/metadata/name").to_owned());
    let Some(object) = object.as_object_mut() else { return };
    let spec = child_or_new(object, "spec");
    let template = child_or_new(child_or_new(spec, "template"), "metadata");
    let labels = child_or_new(template, "labels");
    for (label, value) in [(LEGACY_UID, &uid), (LEGACY_NAME, &name), (UID, &uid), (JOB_NAME, &name)] {
        if !has(labels, label) {
            labels.insert(label.to_owned(), Value::from(value.as_str()));
        }
    }
    let selected = child_or_new(child_or_new(spec, "selector"), "matchLabels");
    if !has(selected, UID) {
        selected.insert(UID.to_owned(), Value::from(uid));
    }
}
