//! What may change in a Job.

use serde_json::Value;

use super::spec;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::rules::{self, IMMUTABLE, non_negative};
use crate::tree::{int_at, remove, str_at};

/// Checks a changed Job.
pub fn check(new: &Value, old: &Value) -> ErrorList {
    let mut errors = spec::check(new);
    let path = Path::new("spec");
    check_completions(new, old, &path.child("completions"), &mut errors);
    let selector = |object: &Value| object.pointer("/spec/selector").cloned();
    if selector(new) != selector(old) {
        let text = rules::show_selector(&selector(new).unwrap_or(Value::Null));
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
        let text = now.map_or_else(|| "null".to_owned(), shown);
        errors.push(FieldError::invalid_shown(&Path::new("spec").child(field), &text, IMMUTABLE));
    }
}

/// The completions of an indexed Job change together with its parallelism.
fn check_completions(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let completions = |object| int_at(object, "/spec/completions");
    if completions(new) == completions(old) {
        return;
    }
    if str_at(new, "/spec/completionMode") != "Indexed" || completions(new).is_none() || completions(old).is_none() {
        unchanged(new, old, "completions", errors);
    } else if completions(new) != int_at(new, "/spec/parallelism") {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.push(FieldError::invalid(path, completions(new), detail));
    }
}

/// The template of a Job that is suspended and has not started may say where its pods go.
fn check_template(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let template = |object: &Value| object.pointer("/spec/template").cloned().unwrap_or_default();
    let (mut now, mut before) = (template(new), template(old));
    let suspended = old.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let started = old.pointer("/status/startTime").is_some_and(|time| !time.is_null());
    if suspended && !started {
        for template in [&mut now, &mut before] {
            for field in ["labels", "annotations"] {
                remove(&mut template["metadata"], field);
            }
            for field in ["affinity", "nodeSelector", "tolerations", "schedulingGates"] {
                remove(&mut template["spec"], field);
            }
        }
    }
    if now != before {
        errors.push(FieldError::invalid_shown(path, &shown(&template(new)), IMMUTABLE));
    }
}

/// Checks a changed status.
pub fn check_status(new: &Value, _old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    for field in ["active", "succeeded", "failed", "ready", "terminating"] {
        non_negative(int_at(new, &format!("/status/{field}")).unwrap_or(0), &path.child(field), &mut errors);
    }
    errors
}
