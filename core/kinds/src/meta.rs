//! `metadata`: the rules that every object shares.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::names;
use crate::row::Kind;
use crate::typed;

/// All annotations of an object together may have this many bytes.
const ANNOTATIONS_MAX: usize = 256 * 1024;
/// wire: these kinds check `generateName` in full also in updates.
const CHECKS_PREFIX_AGAIN: [&str; 29] = [
    "CSINode",
    "CSIStorageCapacity",
    "ConfigMap",
    "ControllerRevision",
    "EndpointSlice",
    "Endpoints",
    "FlowSchema",
    "Ingress",
    "IngressClass",
    "LimitRange",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Pod",
    "PriorityLevelConfiguration",
    "ResourceClaim",
    "ResourceClaimTemplate",
    "RuntimeClass",
    "Secret",
    "ServiceAccount",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
];
const STANDARD_FINALIZERS: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// Checks the metadata of a new object.
pub fn validate(kind: &Kind, object: &Value) -> ErrorList {
    let path = Path::new("metadata");
    let meta: ObjectMeta = match typed::part(object, "metadata", &path) {
        Ok(meta) => meta,
        Err(error) => return vec![error],
    };
    let mut errors = ErrorList::new();
    if let Some(stem) = meta.generate_name.as_deref().filter(|stem| !stem.is_empty()) {
        errors.extend(FieldError::each(&path.child("generateName"), stem, kind.strategy.check_name(stem, true)));
    }
    match meta.name.as_deref().filter(|name| !name.is_empty()) {
        None => errors.push(FieldError::required(&path.child("name"), "name or generateName is required")),
        Some(name) => errors.extend(FieldError::each(&path.child("name"), name, kind.strategy.check_name(name, false))),
    }
    check(kind, &meta, &path, &mut errors);
    errors
}

/// Checks the metadata of a changed object: what may never change, and all of the new one but its name.
pub fn validate_update(kind: &Kind, new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("metadata");
    let (new, old): (ObjectMeta, ObjectMeta) =
        match (typed::part(new, "metadata", &path), typed::part(old, "metadata", &path)) {
            (Ok(new), Ok(old)) => (new, old),
            (Err(error), _) | (_, Err(error)) => return vec![error],
        };
    let mut errors = ErrorList::new();
    let prefix = new.generate_name.as_deref().unwrap_or_default();
    errors.extend(FieldError::each(&path.child("generateName"), prefix, names::path_segment(prefix, true)));
    let mut unchanged = |field: &str, new: Value, old: Value| {
        if new != old {
            errors.push(FieldError::invalid(&path.child(field), new, "field is immutable"));
        }
    };
    unchanged("name", new.name.clone().into(), old.name.clone().into());
    unchanged("namespace", new.namespace.clone().into(), old.namespace.clone().into());
    unchanged("uid", new.uid.clone().into(), old.uid.clone().into());
    let time = |t: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        Value::from(t.as_ref().map(|t| t.0.to_string()))
    };
    unchanged("creationTimestamp", time(&new.creation_timestamp), time(&old.creation_timestamp));
    unchanged("deletionTimestamp", time(&new.deletion_timestamp), time(&old.deletion_timestamp));
    unchanged(
        "deletionGracePeriodSeconds",
        new.deletion_grace_period_seconds.into(),
        old.deletion_grace_period_seconds.into(),
    );
    if old.deletion_timestamp.is_some() {
        let before = old.finalizers.unwrap_or_default();
        let added: Vec<_> = new.finalizers.iter().flatten().filter(|f| !before.contains(f)).map(|f| quote(f)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::forbidden(&path.child("finalizers"), detail));
        }
    }
    check(kind, &new, &path, &mut errors);
    if !prefix.is_empty() && CHECKS_PREFIX_AGAIN.contains(&kind.kind) {
        errors.extend(FieldError::each(&path.child("generateName"), prefix, kind.strategy.check_name(prefix, true)));
    }
    errors
}

fn check(kind: &Kind, meta: &ObjectMeta, path: &Path, errors: &mut ErrorList) {
    if let Some(generation) = meta.generation.filter(|g| *g < 0) {
        errors.push(FieldError::invalid(&path.child("generation"), generation, "must be greater than or equal to 0"));
    }
    if let Some(labels) = &meta.labels {
        check_labels(labels, &path.child("labels"), errors);
    }
    if let Some(annotations) = &meta.annotations {
        check_annotations(annotations, &path.child("annotations"), errors);
    }
    check_owners(meta.owner_references.as_deref().unwrap_or_default(), &path.child("ownerReferences"), errors);
    check_finalizers(kind, meta.finalizers.as_deref().unwrap_or_default(), &path.child("finalizers"), errors);
}

/// Checks a map of labels.
pub fn check_labels<'a>(
    labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (key, value) in labels {
        errors.extend(FieldError::each(path, key, names::qualified_name(key)));
        errors.extend(FieldError::each(path, value, names::label_value(value)));
    }
}

/// Checks a map of annotations.
pub fn check_annotations<'a>(
    annotations: impl IntoIterator<Item = (&'a String, &'a String)>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let mut size = 0;
    for (key, value) in annotations {
        size += key.len() + value.len();
        errors.extend(FieldError::each(path, key, names::qualified_name(&key.to_lowercase())));
    }
    if size > ANNOTATIONS_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_MAX));
    }
}

fn check_owners(owners: &[OwnerReference], path: &Path, errors: &mut ErrorList) {
    let mut controller: Option<&OwnerReference> = None;
    for (at, owner) in owners.iter().enumerate() {
        check_owner(owner, &path.index(at), errors);
        if owner.controller != Some(true) {
            continue;
        }
        if let Some(first) = controller {
            let all: Vec<_> = owners.iter().map(show_owner).collect();
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references for {}/{} and {}/{}",
                first.kind, first.name, owner.kind, owner.name
            );
            errors.push(FieldError::invalid_shown(path, &format!("[{}]", all.join(",")), detail));
        } else {
            controller = Some(owner);
        }
    }
}

fn check_owner(owner: &OwnerReference, path: &Path, errors: &mut ErrorList) {
    let empty = "must not be empty";
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    if version.contains('/') {
        let detail = "must be <group>/<version> or <version>";
        errors.push(FieldError::invalid(&path.child("apiVersion"), owner.api_version.as_str(), detail));
    } else if version.is_empty() {
        errors.push(FieldError::required(&path.child("apiVersion"), empty));
    }
    for (field, text) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
        if text.is_empty() {
            errors.push(FieldError::required(&path.child(field), empty));
        }
    }
    if (group, version, owner.kind.as_str()) == ("", "v1", "Event") {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(FieldError::invalid_shown(path, &show_owner(owner), detail));
    }
}

/// An owner as error messages show it: the fields in the order of their declaration.
fn show_owner(owner: &OwnerReference) -> String {
    let text = |t: &str| shown(&Value::from(vec![t])).trim_matches(['[', ']']).to_owned();
    let flag = |name, value: Option<bool>| value.map_or(String::new(), |yes| format!(",\"{name}\":{yes}"));
    format!(
        "{{\"apiVersion\":{},\"kind\":{},\"name\":{},\"uid\":{}{}{}}}",
        text(&owner.api_version),
        text(&owner.kind),
        text(&owner.name),
        text(&owner.uid),
        flag("controller", owner.controller),
        flag("blockOwnerDeletion", owner.block_owner_deletion)
    )
}

fn check_finalizers(kind: &Kind, finalizers: &[String], path: &Path, errors: &mut ErrorList) {
    for finalizer in finalizers {
        errors.extend(FieldError::each(path, finalizer, names::qualified_name(finalizer)));
    }
    if finalizers.iter().any(|f| f == "orphan") && finalizers.iter().any(|f| f == "foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, finalizers.to_vec(), detail));
    }
    // wire: definitions and their objects may have finalizers without a path.
    let lenient = kind.is_custom() || kind.group == "apiextensions.k8s.io";
    for (at, finalizer) in finalizers.iter().enumerate().filter(|_| !lenient) {
        check_finalizer_name(finalizer, &path.index(at), errors);
    }
}

/// A finalizer is one of the standard ones or has a domain.
pub fn check_finalizer_name(finalizer: &str, path: &Path, errors: &mut ErrorList) {
    if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, finalizer, detail));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{CLUSTER_ROLE, CONFIG_MAP, NAMESPACE};

    fn heads(errors: &ErrorList) -> Vec<String> {
        errors.iter().map(|e| e.to_string().chars().take(60).collect()).collect()
    }

    #[test]
    fn names_follow_the_kind() {
        let check = |kind: &Kind, meta: Value, expected: &[&str]| {
            let errors = validate(kind, &json!({ "metadata": meta }));
            assert_eq!(errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), expected);
        };
        check(&CONFIG_MAP, json!({"name": "a.b"}), &[]);
        check(&NAMESPACE, json!({"name": "a.b"}), &["metadata.name"]);
        check(&CLUSTER_ROLE, json!({"name": "system:a"}), &[]);
        check(&CONFIG_MAP, json!({}), &["metadata.name"]);
        check(&CONFIG_MAP, json!({"generateName": "a-", "name": "a-x"}), &[]);
    }

    #[test]
    fn owners_and_finalizers() {
        let owner =
            |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u", "controller": true});
        let meta = json!({"name": "a", "ownerReferences": [owner("x"), owner("y")], "finalizers": ["a", "b/c"]});
        let errors = validate(&CONFIG_MAP, &json!({ "metadata": meta }));
        assert!(errors[0].message.ends_with("Found \"true\" in references for Pod/x and Pod/y"), "{errors:?}");
        assert!(
            errors[0].message.starts_with("Invalid value: [{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"x\"")
        );
        assert_eq!(errors[1].path.as_str(), "metadata.finalizers[0]");
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn what_never_changes() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z",
            "finalizers": ["a/b"]}});
        let mut new = old.clone();
        assert!(validate_update(&CONFIG_MAP, &new, &old).is_empty());
        new["metadata"]["uid"] = json!("v");
        new["metadata"]["finalizers"] = json!(["a/b", "c/d"]);
        let expected = [
            "metadata.uid: Invalid value: \"v\": field is immutable",
            "metadata.finalizers: Forbidden: no new finalizers can be add",
        ];
        assert_eq!(heads(&validate_update(&CONFIG_MAP, &new, &old)), expected);
    }
}
