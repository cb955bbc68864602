//! What the runtime class of a new pod adds to it: overhead, and the nodes that have the runtime.

use gantry_kinds::RUNTIME_CLASS;
use gantry_kinds::tree::{list_at, map_at, str_at};
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

pub(crate) fn admit(case: &Case<'_>, pod: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    let name = str_at(pod, "/spec/runtimeClassName");
    let own = pod.pointer("/spec/overhead").filter(|own| own.as_object().is_some_and(|own| !own.is_empty()));
    if name.is_empty() {
        let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
        return own.map_or(Ok(()), |_| Err(forbidden(case, pod, why)));
    }
    let Some(class) = case.view.get(&RUNTIME_CLASS, "", name) else {
        return Err(forbidden(case, pod, &format!("pod rejected: RuntimeClass {name:?} not found")));
    };
    draft.guards.push((class.key().clone(), class.header.revision));
    let class = class.value();
    let theirs = class.pointer("/overhead/podFixed").filter(|fixed| fixed.as_object().is_some_and(|f| !f.is_empty()));
    match (own, theirs) {
        (Some(_), None) => {
            let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
            return Err(forbidden(case, pod, why));
        }
        (Some(own), Some(theirs)) if own != theirs => {
            let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
            return Err(forbidden(case, pod, why));
        }
        (None, Some(theirs)) => {
            meta::map(pod, "spec").insert("overhead".to_owned(), theirs.clone());
        }
        _ => {}
    }
    place(case, pod, &class)
}

fn place(case: &Case<'_>, pod: &mut Value, class: &Value) -> Result<(), Refusal> {
    for (key, value) in map_at(class, "/scheduling/nodeSelector") {
        let wanted = value.as_str().unwrap_or_default();
        let conflict = match pod["spec"]["nodeSelector"].get(key).and_then(Value::as_str) {
            Some(own) if own != wanted => format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {wanted}; pod.spec.nodeSelector[{key}] = {own}"
            ),
            _ => {
                let selector =
                    meta::map(pod, "spec").entry("nodeSelector").or_insert_with(|| Value::Object(Default::default()));
                selector[key.as_str()] = value.clone();
                continue;
            }
        };
        return Err(forbidden(case, pod, &conflict));
    }
    for toleration in list_at(class, "/scheduling/tolerations") {
        if !list_at(pod, "/spec/tolerations").contains(toleration) {
            meta::list(meta::map(pod, "spec"), "tolerations").push(toleration.clone());
        }
    }
    Ok(())
}
