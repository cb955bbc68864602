//! Where a container mounts the pod's volumes.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::Scope;
use super::volumes::check_local_path;
use crate::field::{ErrorList, FieldError, Path};
use crate::rules;

/// Checks a container's mounts and devices; `path` is that of the container.
pub fn check(container: &Container, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let list = path.child("volumeMounts");
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let privileged = container.security_context.as_ref().and_then(|c| c.privileged).unwrap_or(false);
    let mut seen = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let here = list.index(at);
        check_names(mount, scope, &here, errors);
        if !mount.mount_path.is_empty() && !seen.insert(&mount.mount_path) {
            errors.push(FieldError::invalid(&here.child("mountPath"), mount.mount_path.as_str(), "must be unique"));
        }
        if devices.iter().any(|d| d.name == mount.name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(FieldError::invalid(&here.child("name"), mount.name.as_str(), detail));
        }
        check_options(mount, privileged, &list, &here, errors);
    }
    check_devices(container, scope, &path.child("volumeDevices"), errors);
}

/// Checks the mounts of an ephemeral container.
pub fn check_found(mounts: &[VolumeMount], scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    for (at, mount) in mounts.iter().enumerate() {
        let path = path.child("volumeMounts").index(at);
        check_names(mount, scope, &path, errors);
        for (field, value) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
            if value.as_deref().is_some_and(|v| !v.is_empty()) {
                errors.push(FieldError::forbidden(&path.child(field), "cannot be set for an Ephemeral Container"));
            }
        }
    }
}

fn check_names(mount: &VolumeMount, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    rules::required(&mount.name, &path.child("name"), errors);
    if !scope.volumes.contains_key(mount.name.as_str()) {
        errors.push(FieldError::not_found(&path.child("name"), mount.name.as_str()));
    }
    rules::required(&mount.mount_path, &path.child("mountPath"), errors);
}

/// Checks the rest of a mount. `list` is the path of all mounts: some errors are told of it.
fn check_options(mount: &VolumeMount, privileged: bool, list: &Path, here: &Path, errors: &mut ErrorList) {
    let sub = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    if !sub.is_empty() {
        check_local_path(sub, &list.child("subPath"), errors);
    }
    if !expression.is_empty() {
        if !sub.is_empty() {
            let detail = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(&here.child("subPathExpr"), expression, detail));
        }
        check_local_path(expression, &list.child("subPathExpr"), errors);
    }
    let propagation = mount.mount_propagation.as_deref();
    if let Some(mode) = propagation {
        let path = list.child("mountPropagation");
        rules::one_of(mode, &["Bidirectional", "HostToContainer", "None"], &path, errors);
        if mode == "Bidirectional" && !privileged {
            let detail = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(FieldError::forbidden(&path, detail));
        }
    }
    check_recursive(mount, propagation, &list.child("recursiveReadOnly"), errors);
}

fn check_recursive(mount: &VolumeMount, propagation: Option<&str>, path: &Path, errors: &mut ErrorList) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if propagation.is_some_and(|mode| mode != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(FieldError::forbidden(path, detail));
            }
        }
        Some(other) => {
            errors.push(FieldError::not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]));
        }
    }
}

fn check_devices(container: &Container, scope: &Scope<'_>, list: &Path, errors: &mut ErrorList) {
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let (mut devices, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for (at, device) in container.volume_devices.iter().flatten().enumerate() {
        let path = list.index(at);
        rules::required(&device.name, &path.child("name"), errors);
        let (name, file) = (device.name.as_str(), device.device_path.as_str());
        if !name.is_empty() && !devices.insert(name) {
            errors.push(FieldError::invalid(&path.child("name"), name, "must be unique"));
        }
        match scope.volumes.get(name) {
            None => errors.push(FieldError::not_found(&path.child("name"), name)),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(FieldError::invalid(&path.child("name"), name, detail));
            }
            Some(_) => {}
        }
        rules::required(file, &path.child("devicePath"), errors);
        if !file.is_empty() && !paths.insert(file) {
            errors.push(FieldError::invalid(&path.child("devicePath"), file, "must be unique"));
        }
        if file.split('/').any(|part| part == "..") {
            let detail = "can not contain backsteps ('..')";
            errors.push(FieldError::invalid(&path.child("devicePath"), file, detail));
        }
        if mounts.iter().any(|m| m.name == device.name) {
            let detail = "must not already exist in volumeMounts";
            errors.push(FieldError::invalid(&path.child("name"), name, detail));
        }
    }
}
