//! Environment variables and the fields and resources that they may show.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector,
};

use super::Scope;
use super::volumes::check_no_backsteps;
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::rules;

const ENV_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that a file of a downward volume may show.
pub const VOLUME_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
/// Every field that a reference may name without being misspelt.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "spec.hostNetwork",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
    "status.nominatedNodeName",
];
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
const CPU_DIVISORS: &[&str] = &["1m", "1"];
const BYTE_DIVISORS: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

/// Checks a container's variables.
pub fn check(variables: &[EnvVar], scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    for (at, variable) in variables.iter().enumerate() {
        let path = path.index(at);
        if variable.name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            rules::each(&variable.name, names::env_var_name(&variable.name), &path.child("name"), errors);
        }
        if let Some(source) = &variable.value_from {
            let valued = variable.value.as_deref().is_some_and(|v| !v.is_empty());
            let path = path.child("valueFrom");
            check_source(source, valued, &path, errors);
            if let Some(file) = &source.file_key_ref {
                check_file_volume(file, scope, &path.child("fileKeyRef"), errors);
            }
        }
    }
}

fn check_source(source: &EnvVarSource, valued: bool, path: &Path, errors: &mut ErrorList) {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        check_field(field, ENV_FIELDS, true, &path.child("fieldRef"), errors);
    }
    if let Some(resource) = &source.resource_field_ref {
        sources += 1;
        check_resource(resource, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(key) = &source.config_map_key_ref {
        sources += 1;
        check_key(&key.name, &key.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(key) = &source.secret_key_ref {
        sources += 1;
        check_key(&key.name, &key.key, &path.child("secretKeyRef"), errors);
    }
    if let Some(file) = &source.file_key_ref {
        sources += 1;
        check_file(file, &path.child("fileKeyRef"), errors);
    }
    let detail = match sources {
        0 => "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        _ if valued => "may not be specified when `value` is not empty",
        1 => return,
        _ => "may not have more than one field specified at a time",
    };
    errors.push(FieldError::invalid(path, "", detail));
}

/// A key of a file that an init container has written into a volume.
fn check_file(file: &FileKeySelector, path: &Path, errors: &mut ErrorList) {
    rules::required(&file.key, &path.child("key"), errors);
    rules::required(&file.volume_name, &path.child("volumeName"), errors);
    rules::required(&file.path, &path.child("path"), errors);
    check_no_backsteps(&file.path, &path.child("path"), errors);
}

/// The volume with the file must be an empty directory of the pod's own.
fn check_file_volume(file: &FileKeySelector, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let at = path.child("volumeName");
    match scope.volumes.get(file.volume_name.as_str()) {
        None => errors.push(FieldError::not_found(&at, file.volume_name.as_str())),
        Some(volume) if volume.empty_dir.is_none() => {
            let detail = "referenced volume must be of type emptyDir";
            errors.push(FieldError::invalid(&at, file.volume_name.as_str(), detail));
        }
        Some(_) => {}
    }
}

fn check_key(name: &str, key: &str, path: &Path, errors: &mut ErrorList) {
    rules::each(name, names::dns_subdomain(name), &path.child("name"), errors);
    let path = path.child("key");
    if key.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else {
        rules::each(key, names::config_map_key(key), &path, errors);
    }
}

/// A reference to a field of the pod; `subscripts` says whether `metadata.labels['key']` may be meant.
pub fn check_field(field: &ObjectFieldSelector, known: &[&str], subscripts: bool, path: &Path, errors: &mut ErrorList) {
    let version = field.api_version.as_deref().unwrap_or_default();
    let label = field.field_path.as_str();
    let label_path = path.child("fieldPath");
    if version.is_empty() {
        errors.push(FieldError::required(&path.child("apiVersion"), ""));
    } else if label.is_empty() {
        errors.push(FieldError::required(&label_path, ""));
    } else if let Err(why) = convert(version, label) {
        errors.push(FieldError::invalid(&label_path, label, format!("error converting fieldPath: {why}")));
    } else if let Some((map, key)) = subscript(label).filter(|_| subscripts) {
        let key = if map == "metadata.annotations" { key.to_lowercase() } else { key.to_owned() };
        rules::each(&key, names::qualified_name(&key), path, errors);
    } else {
        rules::one_of(label, known, &label_path, errors);
    }
}

/// `metadata.labels['key']` as map and key.
fn subscript(label: &str) -> Option<(&str, &str)> {
    let (map, rest) = label.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

fn convert(version: &str, label: &str) -> Result<(), String> {
    if version != "v1" {
        return Err(format!("unsupported pod version: {version}"));
    }
    match subscript(label) {
        Some(("metadata.annotations" | "metadata.labels", _)) => Ok(()),
        Some(_) => Err(format!("field label does not support subscript: {label}")),
        None if KNOWN_FIELDS.contains(&label) => Ok(()),
        None => Err(format!("field label not supported: {label}")),
    }
}

/// A reference to a request or limit; in a volume it names the container.
pub fn check_resource(resource: &ResourceFieldSelector, volume: bool, path: &Path, errors: &mut ErrorList) {
    let name = resource.resource.as_str();
    if volume && resource.container_name.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&path.child("containerName"), ""));
    } else if name.is_empty() {
        errors.push(FieldError::required(&path.child("resource"), ""));
    } else if !RESOURCES.contains(&name) && !is_huge(name) {
        errors.push(FieldError::not_supported(&path.child("resource"), name, RESOURCES));
    } else if let Some(divisor) = &resource.divisor {
        check_divisor(name, &divisor.0, &path.child("divisor"), errors);
    }
}

fn is_huge(resource: &str) -> bool {
    resource
        .split_once('.')
        .is_some_and(|(of, name)| matches!(of, "limits" | "requests") && name.starts_with("hugepages-"))
}

fn check_divisor(resource: &str, divisor: &str, path: &Path, errors: &mut ErrorList) {
    let Ok(divisor) = Quantity::parse(divisor) else { return };
    if divisor.is_zero() {
        return;
    }
    let kind = resource.split_once('.').map_or("", |(_, kind)| kind);
    let divisors = if kind == "cpu" { CPU_DIVISORS } else { BYTE_DIVISORS };
    if !divisors.iter().any(|d| *d == divisor.to_string()) {
        let kind = if kind == "ephemeral-storage" { "local ephemeral storage" } else { kind };
        let known = match divisors {
            [a, b] => format!("{a} and {b}"),
            many => many.join(", "),
        };
        let detail = format!("only divisor's values {known} are supported with the {kind} resource");
        errors.push(FieldError::invalid(path, resource, detail));
    }
}

/// Checks the sources of whole sets of variables.
pub fn check_from(sources: &[EnvFromSource], path: &Path, errors: &mut ErrorList) {
    for (at, source) in sources.iter().enumerate() {
        let here = path.index(at);
        if let Some(prefix) = source.prefix.as_deref().filter(|p| !p.is_empty()) {
            rules::each(prefix, names::env_var_name(prefix), &here.child("prefix"), errors);
        }
        let named = [
            ("configMapRef", source.config_map_ref.as_ref().map(|r| r.name.as_str())),
            ("secretRef", source.secret_ref.as_ref().map(|r| r.name.as_str())),
        ];
        let mut count = 0;
        for (field, name) in named {
            let Some(name) = name else { continue };
            count += 1;
            let path = here.child(field).child("name");
            if name.is_empty() {
                errors.push(FieldError::required(&path, ""));
            } else {
                rules::each(name, names::dns_subdomain(name), &path, errors);
            }
        }
        // wire: the count of sources is told of the list.
        match count {
            0 => errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => {
                errors.push(FieldError::invalid(path, "", "may not have more than one field specified at a time"));
            }
        }
    }
}
