//! A node may touch its own Node, lease and pods, whatever the roles say.

use gantry_kinds::tree::str_at;
use gantry_kinds::{LEASE, NODE, POD, Status, Update};
use gantry_view::Object;
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// Labels below this prefix are for administrators: workloads are kept off nodes by them.
const RESTRICTED: &str = "node-restriction.kubernetes.io/";

pub(crate) fn create(case: &Case<'_>, object: &Value) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    let name = meta::text(object, "name");
    if case.kind() == &NODE {
        own(case, node, name)?;
        return labels(case, node, object, &Value::Null);
    }
    if case.kind() == &LEASE && name != node {
        return Err(forbidden(case, object, "can only access node lease with the same name as the requesting node"));
    }
    if case.kind() == &POD {
        if object.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_none() {
            let why = format!(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node {node:?} can only create mirror pods"
            );
            return Err(forbidden(case, object, &why));
        }
        if str_at(object, "/spec/nodeName") != node {
            let why = format!("node {node:?} can only create pods with spec.nodeName set to itself");
            return Err(forbidden(case, object, &why));
        }
    }
    Ok(())
}

pub(crate) fn update(case: &Case<'_>, new: &Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    if case.kind() == &NODE {
        own(case, node, &case.target().name)?;
        if way == Update::Main && new.pointer("/spec/taints") != old.pointer("/spec/taints") {
            let why = format!("node {node:?} is not allowed to modify taints");
            return Err(forbidden(case, new, &why));
        }
        return labels(case, node, new, old);
    }
    if case.kind() == &POD && str_at(old, "/spec/nodeName") != node {
        let why = format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself");
        return Err(forbidden(case, new, &why));
    }
    if case.kind() == &POD && new.pointer("/metadata/labels") != old.pointer("/metadata/labels") {
        let why = format!("node {node:?} cannot update labels through pod status");
        return Err(forbidden(case, new, &why));
    }
    Ok(())
}

pub(crate) fn delete(case: &Case<'_>, old: &Object) -> Result<(), Refusal> {
    let Some(node) = case.user().node() else { return Ok(()) };
    if case.kind() == &NODE {
        return own(case, node, old.name());
    }
    if case.kind() == &POD && old.field("spec.nodeName") != Some(node) {
        let what = if case.target().subresource == "eviction" { "evict" } else { "delete" };
        let why = format!("node {node:?} can only {what} pods with spec.nodeName set to itself");
        return Err(Status::forbidden(&POD, old.name(), &why).into());
    }
    Ok(())
}

fn own(case: &Case<'_>, node: &str, name: &str) -> Result<(), Refusal> {
    if name == node {
        return Ok(());
    }
    let why = format!("node {node:?} is not allowed to modify node {name:?}");
    Err(Status::forbidden(case.kind(), name, &why).into())
}

fn labels(case: &Case<'_>, node: &str, new: &Value, old: &Value) -> Result<(), Refusal> {
    let of =
        |object: &Value| object.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
    let (new_labels, old_labels) = (of(new), of(old));
    let touched = new_labels.keys().chain(old_labels.keys());
    let mut touched: Vec<&str> = touched
        .filter(|key| key.starts_with(RESTRICTED) && new_labels.get(*key) != old_labels.get(*key))
        .map(String::as_str)
        .collect();
    touched.sort_unstable();
    touched.dedup();
    if touched.is_empty() {
        return Ok(());
    }
    let why = format!("node {node:?} is not allowed to modify labels: {}", touched.join(", "));
    Err(forbidden(case, new, &why))
}
