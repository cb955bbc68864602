//! What may change in a Job.

use serde_json::Value;

use super::{policy, spec};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{children, int_at, str_at};

/// Checks a changed Job.
pub fn check(new: &Value, old: &Value) -> ErrorList {
    let mut errors = spec::check(new);
    let path = Path::new("spec");
    check_completions(new, old, &path.child("completions"), &mut errors);
    let selector = |object: &Value| object.pointer("/spec/selector").cloned();
    if selector(new) != selector(old) {
        let text = selector(new).as_ref().map_or_else(|| "null".to_owned(), rules::show_selector);
        errors.push(FieldError::invalid_shown(&path.child("selector"), &text, IMMUTABLE));
    }
    check_template(new, old, &path.child("template"), &mut errors);
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        unchanged(new, old, field, &mut errors);
    }
    errors
}

fn unchanged(new: &Value, old: &Value, field: &str, errors: &mut ErrorList) {
    let (now, before) = (new["spec"].get(field), old["spec"].get(field));
    if now != before {
        let text = match now {
            None => "null".to_owned(),
            Some(policy) if field == "podFailurePolicy" => policy::show_failure(policy),
            Some(policy) if field == "successPolicy" => policy::show_success(policy),
            Some(value) => shown(value),
        };
        errors.push(FieldError::invalid_shown(&Path::new("spec").child(field), &text, IMMUTABLE));
    }
}

/// The completions of an indexed Job change together with its parallelism.
fn check_completions(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let completions = |object| int_at(object, "/spec/completions");
    if completions(new) == completions(old) {
        return;
    }
    if str_at(new, "/spec/completionMode") != "Indexed" {
        unchanged(new, old, "completions", errors);
    } else if completions(new).is_some() && completions(new) != int_at(new, "/spec/parallelism") {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(FieldError::invalid(path, completions(new), detail));
    }
}

/// The template of a Job that is suspended and has not started may say where its pods go and what they use.
fn check_template(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let template = |object: &Value| object.pointer("/spec/template").cloned().unwrap_or_default();
    let (mut now, mut before) = (template(new), template(old));
    if !suspended(old) {
        if now != before {
            errors.push(FieldError::invalid_shown(path, &shown(&now), IMMUTABLE));
        }
        return;
    }
    for template in [&mut now, &mut before] {
        let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) else { continue };
        for field in ["affinity", "nodeSelector", "tolerations", "schedulingGates"] {
            spec.remove(field);
        }
        for list in ["containers", "initContainers"] {
            children(spec, list).for_each(|container| drop(container.remove("resources")));
        }
    }
    if now.get("spec") != before.get("spec") {
        let spec = new.pointer("/spec/template/spec").unwrap_or(&Value::Null);
        errors.push(FieldError::invalid_shown(&path.child("spec"), &shown(spec), IMMUTABLE));
    }
}

/// Whether the Job waits, and none of its pods has run since.
fn suspended(old: &Value) -> bool {
    let started = old.pointer("/status/startTime").is_some_and(|time| !time.is_null());
    old.pointer("/spec/suspend") == Some(&Value::Bool(true)) && !started
}
