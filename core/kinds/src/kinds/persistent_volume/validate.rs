//! What a volume may be, and what may change in one.

use k8s_openapi::api::core::v1::NodeSelector;
use serde_json::{Map, Value, json};

use super::sources;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::persistent_volume_claim::check_access_modes;
use crate::kinds::pod;
use crate::names;
use crate::quantity::Quantity;
use crate::rules::{self, IMMUTABLE};
use crate::tree::{list_at, map_at, str_at};
use crate::typed;

/// The annotation that named mount options before there was a field for them.
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
/// Sources that are mounted with options.
const WITH_OPTIONS: [&str; 13] = [
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "nfs",
    "rbd",
    "quobyte",
    "iscsi",
    "cinder",
    "cephfs",
    "azureFile",
    "vsphereVolume",
    "azureDisk",
    "portworxVolume",
];

/// Checks a whole volume.
pub fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    check_attributes_class(spec, &path.child("volumeAttributesClassName"), &mut errors);
    if list_at(spec, "/accessModes").is_empty() {
        errors.push(FieldError::required(&path.child("accessModes"), ""));
    }
    check_access_modes(spec, &path.child("accessModes"), &mut errors);
    check_capacity(spec, &path.child("capacity"), &mut errors);
    let policy = str_at(spec, "/persistentVolumeReclaimPolicy");
    let policy_path = path.child("persistentVolumeReclaimPolicy");
    rules::one_of(policy, &["Delete", "Recycle", "Retain"], &policy_path, &mut errors);
    check_node_affinity(spec, &path.child("nodeAffinity"), &mut errors);
    sources::check(spec, &path, &mut errors);
    if sources::is_portal_too_long(str_at(object, "/metadata/name"), &spec["iscsi"]) {
        let portal = str_at(spec, "/iscsi/targetPortal");
        let path = path.child("iscsi").child("targetportal");
        errors.push(FieldError::invalid(&path, portal, sources::PORTAL_TOO_LONG));
    }
    if is_root(str_at(spec, "/hostPath/path")) && policy == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(&policy_path, detail));
    }
    let class = str_at(spec, "/storageClassName");
    if !class.is_empty() {
        rules::each(class, names::dns_subdomain(class), &path.child("storageClassName"), &mut errors);
    }
    if let Some(mode) = spec.get("volumeMode").and_then(Value::as_str) {
        rules::one_of(mode, &["Block", "Filesystem"], &path.child("volumeMode"), &mut errors);
    }
    if has(spec, "volumeAttributesClassName") && !has(spec, "csi") {
        let detail = "has to be specified when using volumeAttributesClassName";
        errors.push(FieldError::required(&path.child("csi"), detail));
    }
    check_mount_options(object, &mut errors);
    errors
}

fn has(spec: &Value, field: &str) -> bool {
    spec.get(field).is_some_and(|value| !value.is_null())
}

/// Whether the path leads to the root of the node's file system.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| part.is_empty() || part == ".")
}

fn check_attributes_class(spec: &Value, path: &Path, errors: &mut ErrorList) {
    match spec.get("volumeAttributesClassName").and_then(Value::as_str) {
        None => {}
        Some("") => errors.push(FieldError::required(path, "an empty string is disallowed")),
        Some(class) => rules::each(class, names::dns_subdomain(class), path, errors),
    }
}

fn check_capacity(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let amounts: Vec<_> = map_at(spec, "/capacity").collect();
    if amounts.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if amounts.len() != 1 || amounts[0].0 != "storage" {
        let capacity = spec.get("capacity").map_or_else(|| "null".to_owned(), shown);
        errors.push(FieldError::not_supported_shown(path, &capacity, &["storage"]));
    }
    for (resource, amount) in amounts {
        let Some(amount) = amount.as_str().and_then(|text| Quantity::parse(text).ok()) else { continue };
        let path = path.key(resource);
        if amount.sign() < 0 {
            errors.push(FieldError::invalid(&path, amount.value(), "must be a valid resource quantity"));
        }
        if amount.sign() <= 0 {
            errors.push(FieldError::invalid(&path, amount.to_string(), "must be greater than zero"));
        }
    }
}

fn check_node_affinity(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(affinity) = spec.get("nodeAffinity").filter(|affinity| !affinity.is_null()) else {
        if has(spec, "local") && !sources::fields().take_while(|field| *field != "local").any(|field| has(spec, field))
        {
            errors.push(FieldError::required(path, "Local volume requires node affinity"));
        }
        return;
    };
    let path = path.child("required");
    match affinity.get("required").filter(|required| !required.is_null()) {
        None => errors.push(FieldError::required(&path, "must specify required node constraints")),
        Some(_) => match typed::part::<NodeSelector>(affinity, "required", &path) {
            Ok(selector) => pod::check_node_selector(&selector, &path, errors),
            Err(error) => errors.push(error),
        },
    }
}

fn check_mount_options(object: &Value, errors: &mut ErrorList) {
    let annotated = object.pointer("/metadata/annotations").is_some_and(|all| all.get(MOUNT_OPTIONS).is_some());
    if annotated && !WITH_OPTIONS.iter().any(|source| has(&object["spec"], source)) {
        let path = Path::new("metadata").child("annotations").child(MOUNT_OPTIONS);
        errors.push(FieldError::forbidden(&path, "may not specify mount options for this volume type"));
    }
}

/// Checks a changed volume.
pub fn check_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = check(new);
    let (spec, before) = (&new["spec"], &old["spec"]);
    let (source, source_before) = (source_of(spec, before), source_of(before, before));
    if source != source_before {
        let path = Path::new("spec").child("persistentvolumesource");
        let detail = "spec.persistentvolumesource is immutable after creation";
        let difference = rules::difference(&source, &source_before);
        errors.push(FieldError::forbidden(&path, format!("{detail}{difference}")));
    }
    // wire: these two are told of without `spec`.
    if spec.get("volumeMode") != before.get("volumeMode") {
        let mode = spec.get("volumeMode").map_or_else(|| "null".to_owned(), shown);
        errors.push(FieldError::invalid_shown(&Path::new("volumeMode"), &mode, IMMUTABLE));
    }
    if has(before, "nodeAffinity") && spec.get("nodeAffinity") != before.get("nodeAffinity") {
        let detail = "field is immutable, except for updating from beta label to GA";
        let affinity = show_affinity(spec.get("nodeAffinity"));
        errors.push(FieldError::invalid_shown(&Path::new("nodeAffinity"), &affinity, detail));
    }
    if has(before, "volumeAttributesClassName") && !has(spec, "volumeAttributesClassName") {
        let path = Path::new("spec").child("volumeAttributesClassName");
        errors.push(FieldError::forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    errors
}

/// The source of a volume, with the one part of it that may change as it was.
fn source_of(spec: &Value, before: &Value) -> Value {
    let given = sources::fields().filter_map(|field| Some((field.to_owned(), spec.get(field)?.clone())));
    let mut source = Value::Object(given.collect::<Map<_, _>>());
    if let Some(csi) = source.get_mut("csi").and_then(Value::as_object_mut) {
        let secret = "controllerExpandSecretRef";
        match before.pointer(&format!("/csi/{secret}")) {
            Some(kept) => csi.insert(secret.to_owned(), kept.clone()),
            None => csi.remove(secret),
        };
    }
    source
}

/// An affinity to nodes as error messages show it.
fn show_affinity(affinity: Option<&Value>) -> String {
    let Some(affinity) = affinity else { return "null".to_owned() };
    let list = |term: &Value, field: &str| {
        let expression = |e: &Value| {
            let values = shown(e.get("values").unwrap_or(&Value::Null));
            let text = |field: &str| shown(&json!(str_at(e, field)));
            format!("{{\"Key\":{},\"Operator\":{},\"Values\":{values}}}", text("/key"), text("/operator"))
        };
        let all: Vec<_> = list_at(term, field).iter().map(expression).collect();
        if all.is_empty() { "null".to_owned() } else { format!("[{}]", all.join(",")) }
    };
    let term = |term: &Value| {
        let (expressions, fields) = (list(term, "/matchExpressions"), list(term, "/matchFields"));
        format!("{{\"MatchExpressions\":{expressions},\"MatchFields\":{fields}}}")
    };
    let terms: Vec<_> = list_at(affinity, "/required/nodeSelectorTerms").iter().map(term).collect();
    format!("{{\"Required\":{{\"NodeSelectorTerms\":[{}]}}}}", terms.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({"metadata": {"name": "v"}, "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"},
            "persistentVolumeReclaimPolicy": "Retain", "volumeMode": "Filesystem",
        }});
        change(&mut object["spec"]);
        object
    }

    fn paths(errors: &ErrorList) -> Vec<&str> {
        errors.iter().map(|error| error.path.as_str()).collect()
    }

    #[test]
    fn what_a_volume_says_is_checked() {
        let check = |change: fn(&mut Value), expected: &[&str]| assert_eq!(paths(&check(&volume(change))), expected);
        check(|_| {}, &[]);
        check(|spec| spec["capacity"] = json!({}), &["spec.capacity", "spec.capacity"]);
        check(|spec| spec["capacity"] = json!({"storage": "0"}), &["spec.capacity[storage]"]);
        check(|spec| spec["accessModes"] = json!(["ReadWriteOncePod", "ReadOnlyMany"]), &["spec.accessModes"]);
        check(|spec| spec["volumeAttributesClassName"] = json!("gold"), &["spec.csi"]);
        check(
            |spec| {
                spec["hostPath"]["path"] = json!("/./");
                spec["persistentVolumeReclaimPolicy"] = json!("Recycle");
            },
            &["spec.persistentVolumeReclaimPolicy"],
        );
        check(
            |spec| {
                crate::tree::remove(spec, "hostPath");
                spec["local"] = json!({"path": "/x"});
            },
            &["spec.nodeAffinity"],
        );
    }

    #[test]
    fn the_source_of_a_volume_stays() {
        let old = volume(|_| {});
        let changed = |change: fn(&mut Value)| check_update(&volume(change), &old);
        assert_eq!(paths(&changed(|spec| spec["capacity"]["storage"] = json!("2Gi"))), Vec::<&str>::new());
        assert_eq!(paths(&changed(|spec| spec["hostPath"]["path"] = json!("/y"))), ["spec.persistentvolumesource"]);
        assert_eq!(paths(&changed(|spec| spec["volumeMode"] = json!("Block"))), ["volumeMode"]);
    }
}
