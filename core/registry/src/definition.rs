//! CustomResourceDefinitions among each other: which names a new one gets, and its conditions, in the commit that
//! writes it. So a definition is established at once, and two that want the same name cannot both have it: the
//! commit relies on every definition of the group being as it was.

use gantry_kinds::CUSTOM_RESOURCE_DEFINITION;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::Object;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::commit::Draft;
use crate::meta;

/// Holds a definition until its objects are gone.
pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Settles the names and the conditions of a definition that is written.
pub(crate) fn settle(case: &Case<'_>, object: &mut Value, draft: &mut Draft) {
    let group = str_at(object, "/spec/group").to_owned();
    let own = meta::text(object, "name").to_owned();
    let others: Vec<_> = case
        .view
        .list(&CUSTOM_RESOURCE_DEFINITION, None)
        .filter(|other| other.name() != own && other.name().ends_with(&format!(".{group}")))
        .collect();
    draft.guards.extend(others.iter().map(|other| (other.key().clone(), other.header.revision)));
    let taken: Vec<Value> = others.iter().map(|other| accepted(other)).collect();
    let Accepted { names, conflict } = accept(object, &taken);
    let mut conditions = vec![match &conflict {
        None => ("NamesAccepted", true, "NoConflicts", "no conflicts found".to_owned()),
        Some((reason, message)) => ("NamesAccepted", false, *reason, message.clone()),
    }];
    let was = list_at(object, "/status/conditions")
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    if conflict.is_none() {
        let message = "the initial names have been accepted".to_owned();
        conditions.push(("Established", true, "InitialNamesAccepted", message));
    } else if !was {
        conditions.push(("Established", false, "NotAccepted", "not all names are accepted".to_owned()));
    }
    if let Some(approval) = object["metadata"]["annotations"][APPROVAL].as_str() {
        let (reason, message) = if approval.starts_with("unapproved") {
            let message = format!("not approved: {approval:?}");
            ("UnapprovedAnnotation", message)
        } else {
            ("ApprovedAnnotation", format!("approved in {approval}"))
        };
        conditions.push(("KubernetesAPIApprovalPolicyConformant", reason == "ApprovedAnnotation", reason, message));
    }
    let now = case.now();
    let status = meta::map(object, "status");
    status.insert("acceptedNames".to_owned(), names);
    for (kind, holds, reason, message) in conditions {
        set(status, kind, holds, reason, &message, &now);
    }
}

fn accepted(other: &Object) -> Value {
    other.value().pointer("/status/acceptedNames").cloned().unwrap_or_default()
}

struct Accepted {
    names: Value,
    /// Why not all names could be had.
    conflict: Option<(&'static str, String)>,
}

/// The names that nobody else of the group has; what was accepted before and cannot be had is kept.
fn accept(object: &Value, taken: &[Value]) -> Accepted {
    let wanted = &object["spec"]["names"];
    let before = object.pointer("/status/acceptedNames").cloned().unwrap_or_default();
    let has = |keys: &[&str], name: &str| {
        let one = |names: &Value| {
            keys.iter().any(|key| match &names[*key] {
                Value::String(text) => text == name,
                Value::Array(all) => all.iter().any(|text| text == name),
                _ => false,
            })
        };
        taken.iter().any(one)
    };
    let (resources, kinds) = (["plural", "singular", "shortNames"], ["kind", "listKind"]);
    let mut names = json!({"plural": "", "kind": ""});
    let mut conflicts: Vec<(&'static str, String)> = Vec::new();
    let fields = [
        ("plural", &resources[..], "PluralConflict"),
        ("singular", &resources[..], "SingularConflict"),
        ("shortNames", &resources[..], "ShortNamesConflict"),
        ("kind", &kinds[..], "KindConflict"),
        ("listKind", &kinds[..], "ListKindConflict"),
    ];
    for (key, among, reason) in fields {
        let asked: Vec<&str> = match &wanted[key] {
            Value::String(text) => vec![text],
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            _ => continue,
        };
        let used: Vec<&&str> = asked.iter().filter(|name| has(among, name)).collect();
        if used.is_empty() {
            names[key] = wanted[key].clone();
        } else {
            conflicts.extend(used.into_iter().map(|name| (reason, format!("{name:?} is already in use"))));
            if let Some(kept) = before.get(key) {
                names[key] = kept.clone();
            }
        }
    }
    if let Some(categories) = wanted.get("categories") {
        names["categories"] = categories.clone();
    }
    Accepted { names, conflict: conflicts.pop() }
}

fn set(status: &mut Map<String, Value>, kind: &str, holds: bool, reason: &str, message: &str, now: &str) {
    let conditions = meta::list(status, "conditions");
    let word = if holds { "True" } else { "False" };
    let new = |since: &Value| json!({"type": kind, "status": word, "lastTransitionTime": since, "reason": reason, "message": message});
    match conditions.iter_mut().find(|condition| condition["type"] == kind) {
        Some(there) if there["status"] == word => *there = new(&there["lastTransitionTime"].clone()),
        Some(there) => *there = new(&now.into()),
        None => conditions.push(new(&now.into())),
    }
}

/// Puts the finalizer on a definition that goes, and says that its objects will go first.
pub(crate) fn hold(case: &Case<'_>, object: &mut Value) {
    let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
    let (status, now) = (meta::map(object, "status"), case.now());
    set(status, "Terminating", true, "InstanceDeletionPending", message, &now);
    let finalizers = meta::list(meta::of(object), "finalizers");
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.into());
    }
}
