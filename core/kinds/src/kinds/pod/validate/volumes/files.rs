//! The files of a volume: where they lie in it, their modes, and what they show.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath};

use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::pod::validate::env::{VOLUME_FIELDS, check_field, check_resource};
use crate::rules;

const MODE_MAX: i32 = 0o777;

/// Checks the mode of a file.
pub fn check_mode(mode: Option<i32>, path: &Path, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=MODE_MAX).contains(mode)) {
        let detail = "must be a number between 0 and 0777 (octal), both inclusive";
        errors.push(FieldError::invalid(path, mode, detail));
    }
}

/// Checks the files that keys become.
pub fn check_files(mode: Option<i32>, items: &[KeyToPath], path: &Path, errors: &mut ErrorList) {
    check_mode(mode, &path.child("defaultMode"), errors);
    for (at, item) in items.iter().enumerate() {
        check_item(item, &path.child("items").index(at), errors);
    }
}

/// Checks the file that a key becomes.
pub fn check_item(item: &KeyToPath, path: &Path, errors: &mut ErrorList) {
    rules::required(&item.key, &path.child("key"), errors);
    rules::required(&item.path, &path.child("path"), errors);
    check_local_file(&item.path, &path.child("path"), errors);
    check_mode(item.mode, &path.child("mode"), errors);
}

/// Checks a file that shows a field or a resource of the pod.
pub fn check_downward(file: &DownwardAPIVolumeFile, path: &Path, errors: &mut ErrorList) {
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

/// A path inside the volume: relative, and never upwards.
pub fn check_local_path(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.starts_with('/') {
        errors.push(FieldError::invalid(path, text, "must be a relative path"));
    }
    check_no_backsteps(text, path, errors);
}

/// A path never goes upwards.
pub fn check_no_backsteps(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, text, "must not contain '..'"));
    }
}

/// A file of a volume: a path inside it whose first name does not start with two dots.
pub fn check_local_file(text: &str, path: &Path, errors: &mut ErrorList) {
    check_local_path(text, path, errors);
    if text.starts_with("..") && !text.starts_with("../") {
        errors.push(FieldError::invalid(path, text, "must not start with '..'"));
    }
}
