//! The way from client-side to server-side apply: kubectl's annotation with the configuration it applied last.
//!
//! kubectl may take over what it applied itself without conflicts, and the annotation follows what it applies now.

use serde_json::{Map, Value};

use super::form::Form;
use super::set::FieldSet;
use super::{Actor, typed};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The only manager that this is for.
const KUBECTL: &str = "kubectl";

fn annotation(object: Option<&Value>) -> Option<&str> {
    object?["metadata"]["annotations"].get(ANNOTATION)?.as_str().filter(|text| !text.is_empty())
}

/// The fields that the actor may change though others own them: those of its last client-side apply that still hold.
pub(super) fn tolerated(live: Option<&Value>, config: &Value, actor: &Actor<'_>, form: Form<'_>) -> FieldSet {
    let last = match (live, annotation(live)) {
        (Some(live), Some(text)) if actor.manager == KUBECTL => {
            serde_json::from_str::<Value>(text).ok().map(|last| (live, last))
        }
        _ => None,
    };
    let Some((live, last)) = last else { return FieldSet::default() };
    if last["apiVersion"] != config["apiVersion"] {
        return FieldSet::default();
    }
    let applied = typed::fields_of(form, &last);
    let change = typed::compare(form, live, &typed::merge(form, Some(live), Some(&last)));
    applied.difference(&change.added.union(change.modified))
}

/// Writes the configuration into the annotation of an object that has one.
pub(super) fn refresh(live: Option<&Value>, config: &Value, actor: &Actor<'_>, result: &mut Value) {
    if actor.manager != KUBECTL || annotation(live).is_none() {
        return;
    }
    let mut last = config.clone();
    if let Some(metadata) = last.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove(ANNOTATION);
        }
    }
    if let Some(annotations) = result.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.insert(ANNOTATION.to_owned(), Value::String(format!("{last}\n")));
    }
}
