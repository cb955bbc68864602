//! What every new pod gets: a priority, and patience with nodes that are briefly away.

use gantry_kinds::tree::{list_at, str_at};
use serde_json::{Value, json};

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// The classes that every cluster has, with their values.
const CLASSES: [(&str, i64); 2] = [("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];

/// Seconds that a pod stays on a node that is not ready or cannot be reached.
const PATIENCE: i64 = 300;

/// Resolves the priority class.
pub(crate) fn priority(case: &Case<'_>, pod: &mut Value) -> Result<(), Refusal> {
    let class = str_at(pod, "/spec/priorityClassName");
    let value = match CLASSES.iter().find(|(name, _)| *name == class) {
        Some((_, value)) => *value,
        None if class.is_empty() => 0,
        None => {
            let why = format!("no PriorityClass with name {class} was found");
            return Err(forbidden(case, pod, &why));
        }
    };
    if let Some(given) = pod.pointer("/spec/priority").and_then(Value::as_i64).filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        );
        return Err(forbidden(case, pod, &why));
    }
    let spec = meta::map(pod, "spec");
    spec.insert("priority".to_owned(), value.into());
    spec.entry("preemptionPolicy").or_insert_with(|| "PreemptLowerPriority".into());
    Ok(())
}

/// A change that does not speak of the priority keeps it.
pub(crate) fn keep_priority(new: &mut Value, old: &Value) {
    for key in ["priority", "preemptionPolicy"] {
        if let (None, Some(value)) = (new["spec"].get(key), old["spec"].get(key)) {
            meta::map(new, "spec").insert(key.to_owned(), value.clone());
        }
    }
}

/// Adds the tolerations of a short absence of the node, where the pod says nothing about it.
pub(crate) fn tolerations(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let about = |toleration: &Value| {
            ["", key].contains(&str_at(toleration, "/key"))
                && ["", "NoExecute"].contains(&str_at(toleration, "/effect"))
        };
        if !list_at(pod, "/spec/tolerations").iter().any(about) {
            let toleration =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE});
            meta::list(meta::map(pod, "spec"), "tolerations").push(toleration);
        }
    }
}
