//! What a new Job may be.

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use serde_json::Value;

use super::{JOB_NAME, LEGACY_NAME, LEGACY_UID, UID, policy};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::pod;
use crate::names;
use crate::rules::{self, non_negative};
use crate::selector::LabelSelector;
use crate::tree::str_at;
use crate::typed;

const PARALLELISM_MAX: i32 = 100_000;
const FAILED_INDEXES_MAX: i32 = 100_000;
/// Above this many completions a limit per index asks for more.
const COMPLETIONS_SOFT_MAX: i32 = 100_000;
const PARALLELISM_MAX_ABOVE: i32 = 10_000;
const FAILED_INDEXES_MAX_ABOVE: i32 = 10_000;
const MANAGED_BY_MAX: usize = 63;

/// Checks a new Job.
pub fn check_new(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    if object.pointer("/spec/manualSelector") != Some(&Value::Bool(true)) && object.pointer("/spec/selector").is_some()
    {
        check_generated(object, &mut errors);
    }
    errors.extend(check(object));
    errors
}

/// Checks a whole Job.
pub fn check(object: &Value) -> ErrorList {
    let job = match typed::whole::<Job>(object) {
        Ok(job) => job,
        Err(error) => return vec![error],
    };
    let spec = job.spec.unwrap_or_default();
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    check_own_spec(&spec, object, &path, &mut errors);
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    if let Some(completions) = spec.completions.filter(|completions| indexed && *completions > 0) {
        let name = str_at(object, "/metadata/name");
        let last = format!("{name}-{}", completions - 1);
        if !names::dns_label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            errors.push(FieldError::invalid(&Path::new("metadata").child("name"), name, detail));
        }
    }
    errors
}

/// The template has the labels that the system gives it, and the selector selects them.
fn check_generated(object: &Value, errors: &mut ErrorList) {
    let (uid, name) = (str_at(object, "/metadata/uid"), str_at(object, "/metadata/name"));
    let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    let path = Path::new("spec").child("template").child("metadata").child("labels");
    for (label, expected) in [(LEGACY_UID, uid), (LEGACY_NAME, name), (UID, uid), (JOB_NAME, name)] {
        match labels.get(label).and_then(Value::as_str) {
            None => errors.push(FieldError::required(&path.key(label), &format!("must be '{expected}'"))),
            Some(value) if value != expected => {
                let detail = format!("must be '{expected}'");
                errors.push(FieldError::invalid(&path.key(label), labels.clone(), detail));
            }
            Some(_) => {}
        }
    }
    let expected = [(UID.to_owned(), uid.to_owned()), (JOB_NAME.to_owned(), name.to_owned())]
        .into_iter()
        .chain([(LEGACY_UID.to_owned(), uid.to_owned()), (LEGACY_NAME.to_owned(), name.to_owned())])
        .collect();
    let raw = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    if LabelSelector::from_value(raw).is_ok_and(|selector| !selector.matches(&expected)) {
        let path = Path::new("spec").child("selector");
        errors.push(FieldError::invalid_shown(&path, &rules::show_selector(raw), "`selector` not auto-generated"));
    }
}

/// Checks the spec of a Job itself, whose selector must be there.
pub fn check_own_spec(spec: &JobSpec, object: &Value, path: &Path, errors: &mut ErrorList) {
    check_template_spec(spec, path, errors);
    let selector_path = path.child("selector");
    let before = errors.len();
    match &spec.selector {
        None => errors.push(FieldError::required(&selector_path, "")),
        Some(selector) => rules::label_selector(selector, &selector_path, errors),
    }
    if spec.selector.is_some() && errors.len() > before {
        return;
    }
    let raw = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    let Ok(selector) = LabelSelector::from_value(raw) else { return };
    let labels = spec.template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    if !selector.matches(&labels) {
        let labels = object.pointer("/spec/template/metadata/labels").unwrap_or(&Value::Null);
        let path = path.child("template").child("metadata").child("labels");
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid_shown(&path, &shown(labels), detail));
    }
}

/// Checks what holds for the spec of a Job and for that of a template of Jobs.
pub fn check_template_spec(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    for (field, count) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
    ] {
        non_negative(count.unwrap_or(0), &path.child(field), errors);
    }
    if let Some(limit) = spec.max_failed_indexes {
        non_negative(limit, &path.child("maxFailedIndexes"), errors);
        if spec.backoff_limit_per_index.is_none() {
            let path = path.child("backoffLimitPerIndex");
            errors.push(FieldError::required(&path, "when maxFailedIndexes is specified"));
        }
    }
    if let Some(manager) = spec.managed_by.as_deref() {
        let path = path.child("managedBy");
        policy::check_prefixed(manager, &path, errors);
        if manager.len() > MANAGED_BY_MAX {
            errors.push(FieldError::too_long(&path, MANAGED_BY_MAX));
        }
    }
    check_mode(spec, path, errors);
    policy::check(spec, path, errors);
    pod::check_template(&spec.template, &path.child("template"), errors);
    check_restart(spec, &path.child("template").child("spec").child("restartPolicy"), errors);
}

fn check_mode(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let mode = spec.completion_mode.as_deref();
    if let Some(mode) = mode.filter(|mode| !["NonIndexed", "Indexed"].contains(mode)) {
        let known = ["NonIndexed", "Indexed"];
        errors.push(FieldError::not_supported(&path.child("completionMode"), mode, &known));
    }
    if mode == Some("Indexed") {
        check_indexed(spec, path, errors);
    }
    if matches!(mode, None | Some("NonIndexed")) {
        let limits =
            [("backoffLimitPerIndex", spec.backoff_limit_per_index), ("maxFailedIndexes", spec.max_failed_indexes)];
        for (field, value) in limits {
            if let Some(value) = value {
                errors.push(FieldError::invalid(&path.child(field), value, "requires indexed completion mode"));
            }
        }
    }
}

fn check_indexed(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let completions = spec.completions.unwrap_or(0);
    if spec.completions.is_none() {
        errors.push(FieldError::required(&path.child("completions"), "when completion mode is Indexed"));
    }
    let mut at_most = |field: &str, value: Option<i32>, max: i32, detail: &str| {
        if let Some(value) = value.filter(|value| *value > max) {
            errors.push(FieldError::invalid(&path.child(field), value, detail));
        }
    };
    let detail = format!("must be less than or equal to {PARALLELISM_MAX} when completion mode is Indexed");
    at_most("parallelism", spec.parallelism, PARALLELISM_MAX, &detail);
    if spec.completions.is_some() {
        at_most("maxFailedIndexes", spec.max_failed_indexes, completions, "must be less than or equal to completions");
    }
    let detail = format!("must be less than or equal to {FAILED_INDEXES_MAX}");
    at_most("maxFailedIndexes", spec.max_failed_indexes, FAILED_INDEXES_MAX, &detail);
    if completions <= COMPLETIONS_SOFT_MAX || spec.backoff_limit_per_index.is_none() {
        return;
    }
    let above = |max: i32| {
        format!(
            "must be less than or equal to {max} when completions are above {COMPLETIONS_SOFT_MAX} and used with \
             backoff limit per index"
        )
    };
    at_most("parallelism", spec.parallelism, PARALLELISM_MAX_ABOVE, &above(PARALLELISM_MAX_ABOVE));
    at_most("maxFailedIndexes", spec.max_failed_indexes, FAILED_INDEXES_MAX_ABOVE, &above(FAILED_INDEXES_MAX_ABOVE));
    if spec.max_failed_indexes.is_none() {
        let detail = format!("must be specified when completions is above {COMPLETIONS_SOFT_MAX}");
        errors.push(FieldError::required(&path.child("maxFailedIndexes"), &detail));
    }
}

fn check_restart(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let restart = spec.template.spec.as_ref().and_then(|s| s.restart_policy.as_deref()).unwrap_or_default();
    match restart {
        "" | "Always" => errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        known => rules::one_of(known, &["OnFailure", "Never"], path, errors),
    }
    if spec.pod_failure_policy.is_some() && restart == "OnFailure" {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        errors.push(FieldError::invalid(path, restart, detail));
    }
}
