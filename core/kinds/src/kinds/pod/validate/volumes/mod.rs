//! The volumes of a pod: each has a name of its own and one source.

mod files;
mod projected;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{EphemeralVolumeSource, HostPathVolumeSource, Volume};
use serde_json::{Value, json};

use self::files::{check_downward, check_files, check_mode};
pub use self::files::{check_local_path, check_no_backsteps};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{persistent_volume, persistent_volume_claim};
use crate::meta::{check_annotations, check_labels};
use crate::names;
use crate::quantity::Quantity;
use crate::rules;
use crate::tree::{int_at, str_at};

const ISCSI_FORM: &str = "must be valid format starting with iqn, eui, or naa";

/// Checks the volumes of the pod of that name; returns those that containers may use.
pub fn check<'a>(volumes: &'a [Volume], pod: Option<&str>, list: &Path, errors: &mut ErrorList) -> BTreeSet<&'a str> {
    let (mut seen, mut usable) = (BTreeSet::new(), BTreeSet::new());
    for (at, volume) in volumes.iter().enumerate() {
        let path = list.index(at);
        let mut found = ErrorList::new();
        check_source(volume, &path, &mut found);
        let name = volume.name.as_str();
        if let Some(pod) = pod.filter(|_| volume.ephemeral.is_some() && !name.is_empty()) {
            check_claim_name(name, pod, &path.child("name"), &mut found);
        }
        if name.is_empty() {
            found.push(FieldError::required(&path.child("name"), ""));
        } else {
            rules::each(name, names::dns_label(name), &path.child("name"), &mut found);
            if seen.contains(name) {
                found.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        if found.is_empty() {
            seen.insert(name);
            usable.insert(name);
        }
        errors.append(&mut found);
    }
    usable
}

/// The claim of an ephemeral volume has the names of pod and volume.
fn check_claim_name(name: &str, pod: &str, path: &Path, errors: &mut ErrorList) {
    let claim = format!("{pod}-{name}");
    for why in names::dns_subdomain(&claim) {
        errors.push(FieldError::invalid(path, name, format!("PVC name {}: {why}", crate::field::quote(&claim))));
    }
}

/// Sources in the order in which they are looked at, with the names by which a second one is told of.
const SOURCES: &[(&str, &str)] = &[
    ("emptyDir", "emptyDir"),
    ("hostPath", "hostPath"),
    ("gitRepo", "gitRepo"),
    ("gcePersistentDisk", "gcePersistentDisk"),
    ("awsElasticBlockStore", "awsElasticBlockStore"),
    ("secret", "secret"),
    ("nfs", "nfs"),
    ("iscsi", "iscsi"),
    ("glusterfs", "glusterfs"),
    ("flocker", "flocker"),
    ("persistentVolumeClaim", "persistentVolumeClaim"),
    ("rbd", "rbd"),
    ("cinder", "cinder"),
    ("cephfs", "cephFS"),
    ("quobyte", "quobyte"),
    // wire: misspelt so.
    ("downwardAPI", "downwarAPI"),
    ("fc", "fc"),
    ("flexVolume", "flexVolume"),
    ("configMap", "configMap"),
    ("azureFile", "azureFile"),
    ("vsphereVolume", "vsphereVolume"),
    ("photonPersistentDisk", "photonPersistentDisk"),
    ("portworxVolume", "portworxVolume"),
    ("azureDisk", "azureDisk"),
    ("storageos", "storageos"),
    ("projected", "projected"),
    ("scaleIO", "scaleIO"),
    ("csi", "csi"),
    ("ephemeral", "ephemeral"),
    ("image", "image"),
];

/// Checks that a volume has one source, and that it is sound.
fn check_source(volume: &Volume, path: &Path, errors: &mut ErrorList) {
    let tree = json!(volume);
    let mut given = SOURCES.iter().filter(|(source, _)| tree.get(*source).is_some_and(|s| !s.is_null()));
    let Some((source, _)) = given.next() else {
        errors.push(FieldError::required(path, "must specify a volume type"));
        return;
    };
    check_one(volume, source, &tree[*source], path, errors);
    for (_, told) in given {
        errors.push(FieldError::forbidden(&path.child(told), "may not specify more than 1 volume type"));
    }
}

fn check_one(volume: &Volume, source: &str, tree: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child(source);
    let required = |field: &str, errors: &mut ErrorList| {
        rules::required(str_at(tree, &format!("/{field}")), &here.child(field), errors);
    };
    match source {
        "emptyDir" => {
            if Quantity::parse(str_at(tree, "/sizeLimit")).is_ok_and(|size| size.sign() < 0) {
                let detail = "SizeLimit field must be a valid resource quantity";
                errors.push(FieldError::forbidden(&here.child("sizeLimit"), detail));
            }
        }
        "hostPath" => volume.host_path.iter().for_each(|host| check_host_path(host, &here, errors)),
        "gitRepo" => {
            required("repository", errors);
            check_local_path(str_at(tree, "/directory"), &here.child("directory"), errors);
        }
        "secret" => {
            required("secretName", errors);
            if let Some(secret) = &volume.secret {
                check_files(secret.default_mode, secret.items.as_deref().unwrap_or_default(), &here, errors);
            }
        }
        "configMap" => {
            required("name", errors);
            if let Some(map) = &volume.config_map {
                check_files(map.default_mode, map.items.as_deref().unwrap_or_default(), &here, errors);
            }
        }
        "downwardAPI" => {
            if let Some(downward) = &volume.downward_api {
                check_mode(downward.default_mode, &here.child("defaultMode"), errors);
                downward.items.iter().flatten().for_each(|file| check_downward(file, &here, errors));
            }
        }
        "projected" => volume.projected.iter().for_each(|all| projected::check(all, &here, errors)),
        "persistentVolumeClaim" => required("claimName", errors),
        "csi" => check_csi(tree, &here, errors),
        "ephemeral" => volume.ephemeral.iter().for_each(|one| check_ephemeral(one, &here, errors)),
        "image" => {
            required("reference", errors);
            let policies = ["Always", "IfNotPresent", "Never"];
            rules::one_of(str_at(tree, "/pullPolicy"), &policies, &here.child("pullPolicy"), errors);
        }
        _ => check_remote(volume, source, tree, path, errors),
    }
}

/// Checks a source that persistent volumes have too.
fn check_remote(volume: &Volume, source: &str, tree: &Value, path: &Path, errors: &mut ErrorList) {
    let here = path.child(source);
    if source == "iscsi" {
        for field in ["targetPortal", "iqn"] {
            rules::required(str_at(tree, &format!("/{field}")), &here.child(field), errors);
        }
        persistent_volume::check_iscsi(tree, ISCSI_FORM, false, &here, errors);
    } else {
        persistent_volume::check_shared_source(source, tree, path, errors);
    }
    if matches!(source, "cinder" | "storageos")
        && let Some(secret) = tree.get("secretRef").filter(|secret| !secret.is_null())
    {
        rules::required(str_at(secret, "/name"), &here.child("secretRef").child("name"), errors);
    }
    if source == "iscsi" && persistent_volume::is_portal_too_long(&volume.name, tree) {
        let detail = persistent_volume::PORTAL_TOO_LONG;
        errors.push(FieldError::invalid(&path.child("name"), volume.name.as_str(), detail));
    }
}

fn check_csi(tree: &Value, path: &Path, errors: &mut ErrorList) {
    rules::required(str_at(tree, "/driver"), &path.child("driver"), errors);
    persistent_volume::check_driver(str_at(tree, "/driver"), &path.child("driver"), errors);
    let Some(secret) = tree.get("nodePublishSecretRef").filter(|secret| !secret.is_null()) else { return };
    let name = str_at(secret, "/name");
    if name.is_empty() {
        errors.push(FieldError::required(&path.child("nodePublishSecretRef").child("name"), ""));
    } else {
        // wire: told of without the reference.
        rules::each(name, names::dns_subdomain(name), &path.child("name"), errors);
    }
}

fn check_host_path(host: &HostPathVolumeSource, path: &Path, errors: &mut ErrorList) {
    if host.path.is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
        return;
    }
    check_no_backsteps(&host.path, &path.child("path"), errors);
    let kind = host.type_.as_deref().unwrap_or_default();
    rules::one_of(kind, persistent_volume::HOST_PATH_TYPES, &path.child("type"), errors);
}

/// What the claim of an ephemeral volume gets from its pod.
const NOT_IN_TEMPLATES: &[(&str, &str)] = &[
    ("name", "name"),
    ("generateName", "generateName"),
    ("namespace", "namespace"),
    ("selfLink", "selfLink"),
    ("uid", "uID"),
    ("resourceVersion", "resourceVersion"),
    ("generation", "generation"),
    ("creationTimestamp", "creationTimestamp"),
    ("deletionTimestamp", "deletionTimestamp"),
    ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ("ownerReferences", "ownerReferences"),
    ("finalizers", "finalizers"),
    ("managedFields", "managedFields"),
];

fn check_ephemeral(ephemeral: &EphemeralVolumeSource, path: &Path, errors: &mut ErrorList) {
    let path = path.child("volumeClaimTemplate");
    let Some(claim) = &ephemeral.volume_claim_template else {
        errors.push(FieldError::required(&path, ""));
        return;
    };
    if let Some(meta) = &claim.metadata {
        let here = path.child("metadata");
        check_annotations(meta.annotations.iter().flatten(), &here.child("annotations"), errors);
        check_labels(meta.labels.iter().flatten(), &here.child("labels"), errors);
        let tree = json!(meta);
        for (field, told) in NOT_IN_TEMPLATES {
            let nothing = match &tree[*field] {
                Value::Array(list) => list.is_empty(),
                Value::String(text) => text.is_empty(),
                Value::Number(_) => int_at(&tree, &format!("/{field}")) == Some(0) && *field == "generation",
                other => other.is_null(),
            };
            if !nothing {
                errors.push(FieldError::forbidden(&here.child(told), "cannot be set"));
            }
        }
    }
    persistent_volume_claim::check_spec(&json!(claim.spec), &path.child("spec"), errors);
}
