//! The priority of pods, as their class says it, and the classes that may not go.
//!
//! Invariants: a class of the cluster's own counts from the first moment, before it is stored; a pod that was decided
//! on by a stored class, or by the absence of a default, is not decided anew when classes change later.

use gantry_kinds::kinds::priority_class::{PREEMPT, SYSTEM};
use gantry_kinds::tree::{int_at, str_at};
use gantry_kinds::{PRIORITY_CLASS, Status};
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

/// What a class gives to a pod.
struct Class {
    name: String,
    value: i64,
    policy: String,
}

/// Resolves the priority class of a new pod.
pub(crate) fn resolve(case: &Case<'_>, pod: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    let named = str_at(pod, "/spec/priorityClassName");
    let class = if named.is_empty() { default(case) } else { find(case, named, draft) };
    let Some(class) = class else {
        let why = format!("no PriorityClass with name {named} was found");
        return Err(forbidden(case, pod, &why));
    };
    if let Some(given) = int_at(pod, "/spec/priority").filter(|given| *given != class.value) {
        return Err(forbidden(case, pod, &computed("integer value of priority", &given.to_string(), &class.value)));
    }
    let given = str_at(pod, "/spec/preemptionPolicy");
    if !given.is_empty() && given != class.policy {
        return Err(forbidden(case, pod, &computed("string value of PreemptionPolicy", given, &class.policy)));
    }
    let spec = meta::map(pod, "spec");
    if !class.name.is_empty() {
        spec.insert("priorityClassName".to_owned(), class.name.into());
    }
    spec.insert("priority".to_owned(), class.value.into());
    spec.insert("preemptionPolicy".to_owned(), class.policy.into());
    Ok(())
}

fn computed(what: &str, given: &str, value: &dyn std::fmt::Display) -> String {
    format!(
        "the {what} ({given}) must not be provided in pod spec; priority admission controller computed {value} from \
         the given PriorityClass name"
    )
}

fn find(case: &Case<'_>, name: &str, draft: &mut Draft) -> Option<Class> {
    if let Some(stored) = case.view.get(&PRIORITY_CLASS, "", name) {
        draft.guards.push((stored.key().clone(), stored.header.revision));
        return Some(class(&stored.value()));
    }
    let (name, value, _) = SYSTEM.iter().find(|(system, ..)| *system == name)?;
    Some(Class { name: (*name).to_owned(), value: *value, policy: PREEMPT.to_owned() })
}

/// The class of pods that name none: the lowest of those that are marked so.
fn default(case: &Case<'_>) -> Option<Class> {
    let classes = case.view.list(&PRIORITY_CLASS, None).map(|object| object.value());
    let marked = classes.filter(|class| class.get("globalDefault") == Some(&Value::Bool(true)));
    let lowest = marked.min_by_key(|class| int_at(class, "/value").unwrap_or_default());
    let none = Class { name: String::new(), value: 0, policy: PREEMPT.to_owned() };
    Some(lowest.map_or(none, |lowest| class(&lowest)))
}

fn class(object: &Value) -> Class {
    let policy = Some(str_at(object, "/preemptionPolicy")).filter(|policy| !policy.is_empty());
    Class {
        name: str_at(object, "/metadata/name").to_owned(),
        value: int_at(object, "/value").unwrap_or_default(),
        policy: policy.unwrap_or(PREEMPT).to_owned(),
    }
}

/// A change that does not speak of the priority keeps it.
pub(crate) fn keep(new: &mut Value, old: &Value) {
    for key in ["priority", "preemptionPolicy"] {
        if let (None, Some(value)) = (new["spec"].get(key), old["spec"].get(key)) {
            meta::map(new, "spec").insert(key.to_owned(), value.clone());
        }
    }
}

/// Refuses to delete the classes that every cluster has.
pub(crate) fn delete(case: &Case<'_>) -> Result<(), Refusal> {
    let name = case.target().name.as_str();
    if case.kind() == &PRIORITY_CLASS && SYSTEM.iter().any(|(system, ..)| *system == name) {
        let why = "this is a system priority class and cannot be deleted";
        return Err(Status::forbidden(&PRIORITY_CLASS, name, why).into());
    }
    Ok(())
}
