//! What the kinds that make pods share: a template, a selector, counts in the status, and columns.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::columns::or_none;
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::pod;
use crate::row::Column;
use crate::rules::{self, non_negative};
use crate::selector;
use crate::tree::{int_at, list_at, map_at, str_at};

/// The wide column of container names.
pub const CONTAINERS: Column = Column::text("Containers", "Names of each container in the template.").wide();
/// The wide column of images.
pub const IMAGES: Column = Column::text("Images", "Images referenced by each container in the template.").wide();

/// The wide cells: container names, images, selector.
pub fn wide_cells(object: &Value) -> [Value; 3] {
    let [containers, images] = container_cells(object, "/spec/template");
    let selector = object.pointer("/spec/selector").map_or_else(String::new, selector::describe);
    [containers, images, Value::from(selector)]
}

/// The names and the images of the containers of the template at a JSON pointer.
pub fn container_cells(object: &Value, template: &str) -> [Value; 2] {
    let containers = list_at(object, &format!("{template}/spec/containers"));
    let join = |field| Value::from(containers.iter().map(|c| str_at(c, field)).collect::<Vec<_>>().join(","));
    [join("/name"), join("/image")]
}

/// The map of labels at a JSON pointer, as `a=b,c=d`.
pub fn labels_cell(object: &Value, pointer: &str) -> Value {
    let labels = map_at(object, pointer).map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    or_none(labels.collect::<Vec<_>>().join(","))
}

/// Checks the selector and the template that it must match. `raw` is the selector as written.
pub fn check_selector_and_template(
    selector: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    object: &Value,
    errors: &mut ErrorList,
) {
    let spec = Path::new("spec");
    let path = spec.child("selector");
    let raw = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    match selector {
        None => errors.push(FieldError::required(&path, "")),
        Some(selector) => {
            rules::label_selector(selector, &path, errors);
            let labels = selector.match_labels.as_ref().is_some_and(|labels| !labels.is_empty());
            let expressions = selector.match_expressions.as_ref().is_some_and(|list| !list.is_empty());
            if !labels && !expressions {
                errors.push(FieldError::invalid_shown(&path, "{}", "empty selector is invalid for deployment"));
            }
        }
    }
    let Some(parsed) = selector::LabelSelector::from_value(raw).ok().filter(|_| is_valid(selector)) else {
        errors.push(FieldError::invalid_shown(&path, &rules::show_selector(raw), "invalid label selector"));
        return;
    };
    let path = spec.child("template");
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    if !parsed.is_everything() && !parsed.matches(&labels) {
        let shown = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or(Value::Null);
        let detail = "`selector` does not match template `labels`";
        errors.push(FieldError::invalid(&path.child("metadata").child("labels"), shown, detail));
    }
    pod::check_template(template, &path, errors);
    let spec = path.child("spec");
    let pod = template.spec.as_ref();
    let restart = pod.and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always");
    rules::one_of(restart, &["Always"], &spec.child("restartPolicy"), errors);
    if pod.is_some_and(|s| s.active_deadline_seconds.is_some()) {
        let detail = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(FieldError::forbidden(&spec.child("activeDeadlineSeconds"), detail));
    }
}

/// Checks what a DaemonSet selects, and its template.
pub fn check_daemon_template(
    selector: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    object: &Value,
    errors: &mut ErrorList,
) {
    let path = Path::new("spec");
    if let Some(selector) = selector {
        rules::label_selector(selector, &path.child("selector"), errors);
    }
    check_matches(selector, template, object, errors);
    if selector.is_some_and(is_empty) {
        let detail = "empty selector is invalid for daemonset";
        errors.push(FieldError::invalid_shown(&path.child("selector"), "{}", detail));
    }
    pod::check_template(template, &path.child("template"), errors);
    check_runs_always("DaemonSet", template, errors);
}

/// Checks what a StatefulSet selects, and its template.
pub fn check_stateful_template(
    selector: Option<&LabelSelector>,
    template: &PodTemplateSpec,
    object: &Value,
    errors: &mut ErrorList,
) {
    let path = Path::new("spec");
    match selector {
        None => errors.push(FieldError::required(&path.child("selector"), "")),
        Some(selector) => {
            rules::label_selector(selector, &path.child("selector"), errors);
            if is_empty(selector) {
                let detail = "empty selector is invalid for statefulset";
                errors.push(FieldError::invalid_shown(&path.child("selector"), "{}", detail));
            }
        }
    }
    if is_valid(selector) {
        check_matches(selector, template, object, errors);
    } else {
        let shown = rules::show_selector(object.pointer("/spec/selector").unwrap_or(&Value::Null));
        errors.push(FieldError::invalid_shown(&path.child("selector"), &shown, ""));
    }
    pod::check_template(template, &path.child("template"), errors);
    check_runs_always("StatefulSet", template, errors);
}

fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty())
        && selector.match_expressions.as_ref().is_none_or(|list| list.is_empty())
}

/// The selector selects what the template makes.
fn check_matches(selector: Option<&LabelSelector>, template: &PodTemplateSpec, object: &Value, errors: &mut ErrorList) {
    let raw = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    let Some(parsed) = selector::LabelSelector::from_value(raw).ok().filter(|_| is_valid(selector)) else { return };
    let labels = template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default();
    if !parsed.matches(&labels) {
        let shown = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or(Value::Null);
        let path = Path::new("spec").child("template").child("metadata").child("labels");
        errors.push(FieldError::invalid(&path, shown, "`selector` does not match template `labels`"));
    }
}

/// The pods of the template are always restarted, and have no deadline.
fn check_runs_always(kind: &str, template: &PodTemplateSpec, errors: &mut ErrorList) {
    let path = Path::new("spec").child("template").child("spec");
    let pod = template.spec.as_ref();
    let restart = pod.and_then(|s| s.restart_policy.as_deref()).unwrap_or("Always");
    rules::one_of(restart, &["Always"], &path.child("restartPolicy"), errors);
    if pod.is_some_and(|s| s.active_deadline_seconds.is_some()) {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(FieldError::forbidden(&path.child("activeDeadlineSeconds"), detail));
    }
}

/// The count of collisions is not below zero, and only grows.
pub fn check_collisions(new: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Path::new("status").child("collisionCount");
    let collisions = |object| int_at(object, "/status/collisionCount");
    let count = collisions(new).unwrap_or(0);
    non_negative(count, &path, errors);
    if collisions(old).is_some_and(|before| collisions(new).is_none_or(|now| now < before)) {
        errors.push(FieldError::invalid(&path, count, "cannot be decremented"));
    }
}

fn is_valid(selector: Option<&LabelSelector>) -> bool {
    let mut errors = ErrorList::new();
    if let Some(selector) = selector {
        rules::label_selector(selector, &Path::default(), &mut errors);
    }
    errors.is_empty()
}

/// Checks that a selector has not changed.
pub fn check_same_selector(new: &Value, old: &Value, errors: &mut ErrorList) {
    let (new, old) = (new.pointer("/spec/selector"), old.pointer("/spec/selector"));
    if new != old {
        let shown = new.filter(|new| !new.is_null()).map_or_else(|| "null".to_owned(), rules::show_selector);
        errors.push(FieldError::invalid_shown(&Path::new("spec").child("selector"), &shown, rules::IMMUTABLE));
    }
}

/// Checks the counts of a status: none below zero, those in `parts` not above `replicas`, available not above ready.
pub fn check_counts(object: &Value, counts: &[&str], parts: &[&str], errors: &mut ErrorList) {
    let path = Path::new("status");
    let count = |field: &str| object.get("status").and_then(|s| s.get(field)).and_then(Value::as_i64).unwrap_or(0);
    for field in counts {
        non_negative(count(field), &path.child(field), errors);
    }
    for field in parts {
        if count(field) > count("replicas") {
            let detail = "cannot be greater than status.replicas";
            errors.push(FieldError::invalid(&path.child(field), count(field), detail));
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let available = count("availableReplicas");
        let detail = "cannot be greater than readyReplicas";
        errors.push(FieldError::invalid(&path.child("availableReplicas"), available, detail));
    }
}
