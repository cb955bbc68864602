//! What a claim may be, and what may change in one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use super::CLASS;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;
use crate::quantity::Quantity;
use crate::rules::{self, IMMUTABLE};
use crate::tree::{list_at, map_at, remove, str_at};
use crate::typed;

const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const STATUSES: [&str; 5] = [
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];
const STORAGE: &str = "/resources/requests/storage";
const KEPT: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

/// Checks a whole claim.
pub fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    check_spec(&object["spec"], &Path::new("spec"), &mut errors);
    errors
}

/// Checks the access modes of a claim or volume.
pub fn check_access_modes(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let modes = list_at(spec, "/accessModes");
    for mode in modes.iter().filter_map(Value::as_str) {
        rules::one_of(mode, &MODES, path, errors);
    }
    let known = |mode: &&Value| mode.as_str().is_some_and(|mode| MODES.contains(&mode));
    let alone = |mode: &&Value| *mode == "ReadWriteOncePod";
    if modes.iter().any(|mode| alone(&mode)) && modes.iter().filter(known).any(|mode| !alone(&mode)) {
        errors.push(FieldError::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// Checks the spec of a claim.
pub fn check_spec(spec: &Value, path: &Path, errors: &mut ErrorList) {
    if list_at(spec, "/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), "at least 1 access mode is required"));
    }
    if let Ok(Some(selector)) = typed::part::<Option<LabelSelector>>(spec, "selector", path) {
        rules::label_selector(&selector, &path.child("selector"), errors);
    }
    check_access_modes(spec, &path.child("accessModes"), errors);
    let storage = path.child("resources").key("storage");
    match spec.pointer(STORAGE).and_then(Value::as_str).and_then(|text| Quantity::parse(text).ok()) {
        None => errors.push(FieldError::required(&storage, "")),
        Some(size) if size.sign() <= 0 => {
            errors.push(FieldError::invalid(&storage, size.to_string(), "must be greater than zero"));
        }
        Some(_) => {}
    }
    for field in ["storageClassName", "volumeAttributesClassName"] {
        let class = str_at(spec, &format!("/{field}"));
        if !class.is_empty() {
            rules::each(class, names::dns_subdomain(class), &path.child(field), errors);
        }
    }
    if let Some(mode) = spec.get("volumeMode").and_then(Value::as_str) {
        rules::one_of(mode, &["Block", "Filesystem"], &path.child("volumeMode"), errors);
    }
    check_sources(spec, path, errors);
}

fn check_sources(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let given = |field: &str| spec.get(field).filter(|source| !source.is_null());
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(source) = given(field) {
            check_source(source, &path.child(field), errors);
        }
    }
    let (Some(source), Some(reference)) = (given("dataSource"), given("dataSourceRef")) else { return };
    let told = |source: &Value, field: &str| str_at(source, field).to_owned();
    if ["/apiGroup", "/kind", "/name"].iter().any(|field| told(source, field) != told(reference, field)) {
        errors.push(FieldError::invalid_shown(path, "{}", "must match dataSourceRef"));
    }
}

fn check_source(source: &Value, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| str_at(source, field);
    rules::required(text("/name"), &path.child("name"), errors);
    rules::required(text("/kind"), &path.child("kind"), errors);
    let (group, kind) = (text("/apiGroup"), text("/kind"));
    if group.is_empty() && kind != "PersistentVolumeClaim" {
        let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
        errors.push(FieldError::invalid(path, kind, detail));
    }
    if !group.is_empty() {
        rules::each(group, names::dns_subdomain(group), &path.child("apiGroup"), errors);
    }
}

/// Checks a changed claim. A bound one may grow, and take another class of attributes; one that is not bound yet may
/// get its volume; a class may be given to one that has none.
pub fn check_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let class = |object: &Value| object.pointer("/metadata/annotations").and_then(|all| all.get(CLASS)).cloned();
    if class(old) != class(new) && !(class(old).is_some() && moved_class(new, old)) {
        let path = Path::new("metadata").child("annotations").child(CLASS);
        let text = class(new).as_ref().map_or_else(|| "\"\"".to_owned(), shown);
        errors.push(FieldError::invalid_shown(&path, &text, IMMUTABLE));
    }
    errors.extend(check(new));
    let (spec, before) = (comparable(new, old), old["spec"].clone());
    let path = Path::new("spec");
    if spec != before {
        errors.push(FieldError::forbidden(&path, format!("{KEPT}{}", rules::difference(&spec, &before))));
    }
    check_size(new, old, &mut errors);
    // wire: told of without `spec`.
    if new["spec"].get("volumeMode") != old["spec"].get("volumeMode") {
        let mode = new["spec"].get("volumeMode").map_or_else(|| "null".to_owned(), shown);
        errors.push(FieldError::invalid_shown(&Path::new("volumeMode"), &mode, IMMUTABLE));
    }
    let attributes = |object: &Value| object.pointer("/spec/volumeAttributesClassName").is_some();
    if attributes(old) && !attributes(new) {
        let path = path.child("volumeAttributesClassName");
        errors.push(FieldError::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    errors
}

/// Whether the class moves from the annotation to the field.
fn moved_class(new: &Value, old: &Value) -> bool {
    let annotated = old.pointer("/metadata/annotations").and_then(|all| all.get(CLASS));
    let field = |object: &Value| object.pointer("/spec/storageClassName").cloned();
    field(old).is_none() && field(new).as_ref() == annotated
}

/// The new spec with what may change as it was.
fn comparable(new: &Value, old: &Value) -> Value {
    let (mut spec, before) = (new["spec"].clone(), &old["spec"]);
    if str_at(before, "/volumeName").is_empty() {
        remove(&mut spec, "volumeName");
    }
    let annotated = old.pointer("/metadata/annotations").is_some_and(|all| all.get(CLASS).is_some());
    if before.get("storageClassName").is_none() && (!annotated || moved_class(new, old)) {
        remove(&mut spec, "storageClassName");
    }
    if str_at(new, "/status/phase") == "Bound" {
        if let (Some(size), Some(slot)) = (before.pointer(STORAGE), spec.pointer_mut(STORAGE)) {
            *slot = size.clone();
        }
        match before.get("volumeAttributesClassName") {
            Some(class) => spec["volumeAttributesClassName"] = class.clone(),
            None => remove(&mut spec, "volumeAttributesClassName"),
        }
    }
    spec
}

/// A claim may be asked to be smaller only down to what it has.
fn check_size(new: &Value, old: &Value, errors: &mut ErrorList) {
    let amount = |object: &Value, pointer: &str| {
        let text = object.pointer(pointer).and_then(Value::as_str);
        text.and_then(|text| Quantity::parse(text).ok()).unwrap_or(Quantity::ZERO)
    };
    let wanted = "/spec/resources/requests/storage";
    let (now, before) = (amount(new, wanted), amount(old, wanted));
    if now < before && now <= amount(old, "/status/capacity/storage") {
        let path = Path::new("spec").child("resources").child("requests").child("storage");
        errors.push(FieldError::forbidden(&path, "field can not be less than status.capacity"));
    }
}

/// Checks a changed status.
pub fn check_status(new: &Value, _old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    for list in ["capacity", "allocatedResources"] {
        let place = path.child(list);
        for (resource, amount) in map_at(new, &format!("/status/{list}")) {
            let wrong = names::qualified_name(resource);
            if list == "allocatedResources" && !wrong.is_empty() {
                rules::each(resource, wrong, &place, &mut errors);
                continue;
            }
            if list == "allocatedResources" && !is_allocatable(resource) {
                errors.push(FieldError::not_supported(&place, resource.as_str(), &["storage"]));
                continue;
            }
            let amount = amount.as_str().and_then(|text| Quantity::parse(text).ok());
            if let Some(amount) = amount.filter(|amount| amount.sign() < 0) {
                let detail = "must be a valid resource quantity";
                errors.push(FieldError::invalid(&place.key(resource), amount.value(), detail));
            }
        }
    }
    let place = path.child("allocatedResourceStatuses");
    for (resource, status) in map_at(new, "/status/allocatedResourceStatuses") {
        let wrong = names::qualified_name(resource);
        if !wrong.is_empty() {
            rules::each(resource, wrong, &place, &mut errors);
        } else if !is_allocatable(resource) {
            errors.push(FieldError::not_supported(&place, resource.as_str(), &["storage"]));
        } else if !status.as_str().is_some_and(|status| STATUSES.contains(&status)) {
            // wire: told of by the resource, not by the status.
            errors.push(FieldError::not_supported(&place, resource.as_str(), &STATUSES));
        }
    }
    errors
}

fn is_allocatable(resource: &str) -> bool {
    resource == "storage" || resource.split_once('/').is_some_and(|(domain, _)| !domain.ends_with("kubernetes.io"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({"metadata": {"name": "c"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}, "volumeMode": "Filesystem",
        }, "status": {"phase": "Pending"}});
        change(&mut object);
        object
    }

    fn paths(errors: &ErrorList) -> Vec<&str> {
        errors.iter().map(|error| error.path.as_str()).collect()
    }

    #[test]
    fn what_a_claim_says_is_checked() {
        let check = |change: fn(&mut Value), expected: &[&str]| assert_eq!(paths(&check(&claim(change))), expected);
        check(|_| {}, &[]);
        check(|c| c["spec"]["accessModes"] = json!([]), &["spec.accessModes"]);
        check(|c| c["spec"]["resources"] = json!({}), &["spec.resources[storage]"]);
        check(|c| c["spec"]["dataSource"] = json!({"kind": "Foo", "name": "a"}), &["spec.dataSource"]);
        check(
            |c| {
                c["spec"]["dataSource"] = json!({"kind": "PersistentVolumeClaim", "name": "a"});
                c["spec"]["dataSourceRef"] = json!({"kind": "PersistentVolumeClaim", "name": "b"});
            },
            &["spec"],
        );
    }

    #[test]
    fn a_bound_claim_may_grow_and_nothing_else() {
        let bound = |c: &mut Value| {
            c["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
            c["spec"]["volumeName"] = json!("v");
        };
        let check = |bind: bool, change: fn(&mut Value), expected: &[&str]| {
            let make = |change: fn(&mut Value)| {
                claim(|c| {
                    if bind {
                        bound(c);
                    }
                    change(&mut c["spec"]);
                })
            };
            assert_eq!(paths(&check_update(&make(change), &make(|_| {}))), expected);
        };
        check(true, |spec| spec["resources"]["requests"]["storage"] = json!("3Gi"), &[]);
        check(false, |spec| spec["resources"]["requests"]["storage"] = json!("3Gi"), &["spec"]);
        check(true, |spec| spec["resources"]["requests"]["storage"] = json!("1536Mi"), &[]);
        let smaller = "spec.resources.requests.storage";
        check(true, |spec| spec["resources"]["requests"]["storage"] = json!("1Gi"), &[smaller]);
        check(true, |spec| spec["volumeName"] = json!("w"), &["spec"]);
        check(false, |spec| spec["volumeName"] = json!("w"), &[]);
        check(false, |spec| spec["storageClassName"] = json!("gold"), &[]);
        check(true, |spec| spec["volumeMode"] = json!("Block"), &["spec", "volumeMode"]);
    }
}
