//! The default roles and bindings as objects, and what stored ones lack of them.

use gantry_kinds::tree::list_at;
use gantry_policy::Rule;
use gantry_policy::defaults::{DefaultBinding, DefaultRole, bindings, roles};
use gantry_policy::escalation::uncovered;
use serde_json::{Map, Value, json};

use super::AUTOUPDATE;

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles first, then what binds them.
pub(super) fn objects() -> impl Iterator<Item = Value> {
    roles().iter().map(role).chain(bindings().iter().map(binding))
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {AUTOUPDATE: "true"},
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}

fn label(name: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{name}")
}

fn role(role: &DefaultRole) -> Value {
    let kind = if role.namespace.is_empty() { "ClusterRole" } else { "Role" };
    let mut object = json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata(role.namespace, role.name)});
    if let Some(to) = role.aggregated_to {
        object["metadata"]["labels"][label(to)] = "true".into();
    }
    match role.aggregates {
        Some(from) => {
            object["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label(from): "true"}}]});
            object["rules"] = json!([]);
        }
        None => object["rules"] = role.rules.iter().map(Rule::to_value).collect(),
    }
    object
}

fn binding(binding: &DefaultBinding) -> Value {
    let kind = if binding.namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    let subject = |(kind, namespace, name): &(&str, &str, &str)| match *kind {
        "ServiceAccount" => json!({"kind": kind, "namespace": namespace, "name": name}),
        _ => json!({"apiGroup": GROUP, "kind": kind, "name": name}),
    };
    let mut object = json!({
        "apiVersion": API_VERSION, "kind": kind, "metadata": metadata(binding.namespace, binding.name),
        "roleRef": {"apiGroup": GROUP, "kind": binding.role_kind, "name": binding.role},
    });
    if !binding.subjects.is_empty() {
        object["subjects"] = binding.subjects.iter().map(subject).collect();
    }
    object
}

/// The patch that gives a stored role the rules and labels that it lacks.
pub(super) fn add_rules(there: &Value, wanted: &Value) -> Option<Value> {
    let owned = Rule::list(&there["rules"]);
    let lacking: Vec<Value> = list_at(wanted, "/rules")
        .iter()
        .filter(|rule| !uncovered(&owned, &Rule::list(&Value::Array(vec![(*rule).clone()]))).is_empty())
        .cloned()
        .collect();
    let mut patch = marks(there, wanted)?;
    if !lacking.is_empty() {
        let all: Vec<Value> = list_at(there, "/rules").iter().cloned().chain(lacking).collect();
        patch.insert("rules".to_owned(), all.into());
    }
    if there["aggregationRule"].is_null() && !wanted["aggregationRule"].is_null() {
        patch.insert("aggregationRule".to_owned(), wanted["aggregationRule"].clone());
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The patch that gives a stored binding the subjects and labels that it lacks.
pub(super) fn add_subjects(there: &Value, wanted: &Value) -> Option<Value> {
    if there.get("roleRef") != wanted.get("roleRef") {
        return None;
    }
    let mut patch = marks(there, wanted)?;
    let have = list_at(there, "/subjects");
    let lacking = list_at(wanted, "/subjects").iter().filter(|subject| !have.contains(subject));
    let lacking: Vec<Value> = lacking.cloned().collect();
    if !lacking.is_empty() {
        patch.insert("subjects".to_owned(), have.iter().cloned().chain(lacking).collect());
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// Labels and annotations that are missing; `None` where the object is not to be touched.
fn marks(there: &Value, wanted: &Value) -> Option<Map<String, Value>> {
    if there["metadata"]["annotations"].get(AUTOUPDATE).is_some_and(|on| on == "false") {
        return None;
    }
    let mut metadata = Map::new();
    for field in ["labels", "annotations"] {
        let lacks = |key: &str| there["metadata"].get(field).and_then(|map| map.get(key)).is_none();
        let wanted = wanted["metadata"][field].as_object().into_iter().flatten();
        let missing: Map<String, Value> =
            wanted.filter(|(key, _)| lacks(key)).map(|(key, value)| (key.clone(), value.clone())).collect();
        if !missing.is_empty() {
            metadata.insert(field.to_owned(), missing.into());
        }
    }
    let mut patch = Map::new();
    if !metadata.is_empty() {
        patch.insert("metadata".to_owned(), metadata.into());
    }
    Some(patch)
}
