//! The volumes of a pod.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, EphemeralVolumeSource, HostPathVolumeSource, KeyToPath, ProjectedVolumeSource,
    ServiceAccountTokenProjection, Volume, VolumeProjection,
};
use serde_json::{Value, json};

use super::env::{VOLUME_FIELDS, check_field, check_resource};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::rules;

const MODE_MAX: i32 = 0o777;
const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Checks the volumes of a pod.
pub fn check(volumes: &[Volume], list: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let path = list.index(at);
        let name = volume.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            rules::each(name, names::dns_label(name), &path.child("name"), errors);
        }
        check_source(volume, &path, errors);
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
    }
}

/// Checks that a volume has one source, and that it is sound.
fn check_source(volume: &Volume, path: &Path, errors: &mut ErrorList) {
    let tree = json!(volume);
    let sources: Vec<&str> =
        ORDER.iter().copied().filter(|source| tree.get(source).is_some_and(|s| !s.is_null())).collect();
    let known = tree.as_object().map_or(0, |map| map.len()) > 1;
    if sources.is_empty() && !known {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    for (at, source) in sources.iter().enumerate() {
        let path = path.child(source);
        if at > 0 {
            errors.push(FieldError::forbidden(&path, "may not specify more than 1 volume type"));
        } else {
            check_one(volume, source, &tree[source], &path, errors);
        }
    }
}

/// Sources in the order in which they are looked at.
const ORDER: &[&str] = &[
    "emptyDir",
    "hostPath",
    "secret",
    "nfs",
    "iscsi",
    "persistentVolumeClaim",
    "configMap",
    "downwardAPI",
    "projected",
    "csi",
    "ephemeral",
    "image",
];

/// Fields that a source must have.
const REQUIRED: &[(&str, &str)] = &[
    ("secret", "secretName"),
    ("nfs", "server"),
    ("nfs", "path"),
    ("persistentVolumeClaim", "claimName"),
    ("configMap", "name"),
    ("csi", "driver"),
    ("image", "reference"),
];

fn check_one(volume: &Volume, source: &str, tree: &Value, path: &Path, errors: &mut ErrorList) {
    let text = |field: &str| tree.get(field).and_then(Value::as_str).unwrap_or_default();
    for (_, field) in REQUIRED.iter().filter(|(of, _)| *of == source) {
        rules::required(text(field), &path.child(field), errors);
    }
    match source {
        "emptyDir" if Quantity::parse(text("sizeLimit")).is_ok_and(|q| q.sign() < 0) => {
            let detail = "SizeLimit field must be a valid resource quantity";
            errors.push(FieldError::forbidden(&path.child("sizeLimit"), detail));
        }
        "nfs" if !text("path").is_empty() && !text("path").starts_with('/') => {
            errors.push(FieldError::invalid(&path.child("path"), text("path"), "must be an absolute path"));
        }
        "csi" if !text("driver").is_empty() => {
            let wrong = names::dns_subdomain(&text("driver").to_lowercase());
            rules::each(text("driver"), wrong, &path.child("driver"), errors);
        }
        "image" => {
            let policies = ["Always", "IfNotPresent", "Never"];
            rules::one_of(text("pullPolicy"), &policies, &path.child("pullPolicy"), errors);
        }
        _ => check_parts(volume, source, path, errors),
    }
}

/// Checks a source that is made of parts.
fn check_parts(volume: &Volume, source: &str, path: &Path, errors: &mut ErrorList) {
    match source {
        "hostPath" => volume.host_path.iter().for_each(|host| check_host_path(host, path, errors)),
        "secret" => {
            if let Some(secret) = &volume.secret {
                check_files(secret.default_mode, secret.items.as_deref().unwrap_or_default(), path, errors);
            }
        }
        "configMap" => {
            if let Some(map) = &volume.config_map {
                check_files(map.default_mode, map.items.as_deref().unwrap_or_default(), path, errors);
            }
        }
        "downwardAPI" => {
            if let Some(downward) = &volume.downward_api {
                check_mode(downward.default_mode, &path.child("defaultMode"), errors);
                downward.items.iter().flatten().for_each(|file| check_downward(file, path, errors));
            }
        }
        "projected" => volume.projected.iter().for_each(|projected| check_projected(projected, path, errors)),
        "ephemeral" => volume.ephemeral.iter().for_each(|ephemeral| check_ephemeral(ephemeral, path, errors)),
        _ => {}
    }
}

fn check_host_path(host: &HostPathVolumeSource, path: &Path, errors: &mut ErrorList) {
    if host.path.is_empty() {
        errors.push(FieldError::required(&path.child("path"), ""));
        return;
    }
    check_no_backsteps(&host.path, &path.child("path"), errors);
    let kind = host.type_.as_deref().unwrap_or_default();
    rules::one_of(kind, HOST_PATH_TYPES, &path.child("type"), errors);
}

fn check_mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path, mode, detail));
    }
}

fn check_files(mode: Option<i32>, items: &[KeyToPath], path: &Path, errors: &mut ErrorList) {
    check_mode(mode, &path.child("defaultMode"), errors);
    for (at, item) in items.iter().enumerate() {
        check_item(item, &path.child("items").index(at), errors);
    }
}

fn check_item(item: &KeyToPath, path: &Path, errors: &mut ErrorList) {
    rules::required(&item.key, &path.child("key"), errors);
    rules::required(&item.path, &path.child("path"), errors);
    check_local_file(&item.path, &path.child("path"), errors);
    check_mode(item.mode, &path.child("mode"), errors);
}

fn check_downward(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut ErrorList) {
    rules::required(&file.path, &path.child("path"), errors);
    check_local_file(&file.path, &path.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), resource) => {
            check_field(field, VOLUME_FIELDS, true, &path.child("fieldRef"), errors);
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", detail));
            }
        }
        (None, Some(resource)) => check_resource(resource, true, &path.child("resourceFieldRef"), errors),
        (None, None) => {
            errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required"));
        }
    }
    check_mode(file.mode, &path.child("mode"), errors);
}

fn check_projected(projected: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    check_mode(projected.default_mode, &path.child("defaultMode"), errors);
    let mut files = BTreeSet::new();
    for (at, source) in projected.sources.iter().flatten().enumerate() {
        check_projection(source, path, &path.child("sources").index(at), &mut files, errors);
    }
}

/// Checks one source of a projected volume. `path` is that of the volume's source: some errors are told of it.
fn check_projection<'a>(
    source: &'a VolumeProjection,
    path: &Path,
    here: &Path,
    files: &mut BTreeSet<&'a str>,
    errors: &mut ErrorList,
) {
    let mut kinds = 0;
    for (field, keyed) in [
        ("secret", source.secret.as_ref().map(|s| (&s.name, s.items.as_deref()))),
        ("configMap", source.config_map.as_ref().map(|s| (&s.name, s.items.as_deref()))),
    ] {
        let Some((name, items)) = keyed.filter(|_| is_first(&mut kinds, here, errors)) else { continue };
        let here = here.child(field);
        rules::required(name, &here.child("name"), errors);
        for (at, item) in items.unwrap_or_default().iter().enumerate() {
            check_item(item, &here.child("items").index(at), errors);
            claim(&item.path, name, path, files, errors);
        }
    }
    if let Some(downward) = source.downward_api.as_ref().filter(|_| is_first(&mut kinds, here, errors)) {
        for file in downward.items.as_deref().unwrap_or_default() {
            check_downward(file, &here.child("downwardAPI"), errors);
            claim(&file.path, &file.path, path, files, errors);
        }
    }
    if let Some(token) = source.service_account_token.as_ref().filter(|_| is_first(&mut kinds, here, errors)) {
        check_token(token, path, &here.child("serviceAccountToken"), errors);
    }
    for present in [source.cluster_trust_bundle.is_some(), source.pod_certificate.is_some()] {
        if present {
            is_first(&mut kinds, here, errors);
        }
    }
}

/// Counts the kinds of one source, of which there may be one.
fn is_first(kinds: &mut usize, here: &Path, errors: &mut ErrorList) -> bool {
    *kinds += 1;
    if *kinds > 1 {
        errors.push(FieldError::forbidden(here, "may not specify more than 1 volume type per source"));
    }
    *kinds == 1
}

/// No two sources write the same file.
fn claim<'a>(file: &'a str, name: &str, path: &Path, files: &mut BTreeSet<&'a str>, errors: &mut ErrorList) {
    if !file.is_empty() && !files.insert(file) {
        errors.push(FieldError::invalid(path, name, "conflicting duplicate paths"));
    }
}

fn check_token(token: &ServiceAccountTokenProjection, path: &Path, here: &Path, errors: &mut ErrorList) {
    let seconds = token.expiration_seconds.unwrap_or(TOKEN_SECONDS_MIN);
    let expiration = here.child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        errors.push(FieldError::invalid(&expiration, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > TOKEN_SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(&expiration, seconds, detail));
    }
    rules::required(&token.path, &path.child("path"), errors);
    check_local_file(&token.path, &path.child("path"), errors);
}

fn check_ephemeral(ephemeral: &EphemeralVolumeSource, path: &Path, errors: &mut ErrorList) {
    let path = path.child("volumeClaimTemplate");
    let Some(claim) = &ephemeral.volume_claim_template else {
        errors.push(FieldError::required(&path, ""));
        return;
    };
    let spec = path.child("spec");
    let modes = claim.spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(FieldError::required(&spec.child("accessModes"), "at least 1 access mode is required"));
    }
    let known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    for mode in modes {
        rules::one_of(mode, &known, &spec.child("accessModes"), errors);
    }
    let requests = claim.spec.resources.as_ref().and_then(|r| r.requests.as_ref());
    match requests.and_then(|r| r.get("storage")) {
        None => errors.push(FieldError::required(&spec.child("resources").key("storage"), "")),
        Some(size) if Quantity::parse(&size.0).is_ok_and(|q| q.sign() <= 0) => {
            let path = spec.child("resources").key("storage");
            errors.push(FieldError::invalid(&path, size.0.as_str(), "must be greater than zero"));
        }
        Some(_) => {}
    }
}

/// A path inside the volume: relative, and never upwards.
pub fn check_local_path(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.starts_with('/') {
        errors.push(FieldError::invalid(path, text, "must be a relative path"));
    }
    check_no_backsteps(text, path, errors);
}

fn check_no_backsteps(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, text, "must not contain '..'"));
    }
}

/// A file of a volume: a path inside it whose first name does not start with two dots.
fn check_local_file(text: &str, path: &Path, errors: &mut ErrorList) {
    check_local_path(text, path, errors);
    if text.starts_with("..") && !text.starts_with("../") {
        errors.push(FieldError::invalid(path, text, "must not start with '..'"));
    }
}
