//! The names of resources, as limits and quotas know them.

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::rules::{self, NON_NEGATIVE};

const HUGE: &str = "hugepages-";
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Resources that are shares of a node, under a prefix.
const PREFIXED: [&str; 6] = [
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
];
/// Resources that are numbers of objects.
const COUNTED: [&str; 9] = [
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Checks the name of any resource.
pub fn check(name: &str, path: &Path, errors: &mut ErrorList) {
    let wrong = names::qualified_name(name);
    if !wrong.is_empty() {
        rules::each(name, wrong, path, errors);
    } else if !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

/// Checks the name of a resource that a container may have.
pub fn check_for_containers(name: &str, path: &Path, errors: &mut ErrorList) {
    check(name, path, errors);
    if !name.contains('/') && !COMPUTE.contains(&name) && !name.starts_with(HUGE) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
    let extended = name.contains('/') && !name.contains("kubernetes.io/");
    if extended && (name.starts_with("requests.") || !names::qualified_name(name).is_empty()) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// Checks the name of a resource that a quota may bound.
pub fn check_for_quota(name: &str, path: &Path, errors: &mut ErrorList) {
    check(name, path, errors);
    if !name.contains('/') && !is_standard_for_quota(name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
    }
}

/// Checks an amount of a resource: not below zero, and whole where the resource is counted.
pub fn check_amount(name: &str, amount: &Quantity, path: &Path, errors: &mut ErrorList) {
    if amount.sign() < 0 {
        errors.push(FieldError::invalid(path, amount.to_string(), NON_NEGATIVE));
    }
    if (COUNTED.contains(&name) || is_extended(name)) && !amount.is_whole() {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be an integer"));
    }
}

/// Whether a quota knows the resource without a domain.
pub fn is_standard_for_quota(name: &str) -> bool {
    COMPUTE.contains(&name)
        || PREFIXED.contains(&name)
        || COUNTED.contains(&name)
        || name == "requests.storage"
        || name.starts_with(HUGE)
        || name.strip_prefix("requests.").is_some_and(|rest| rest.starts_with(HUGE))
}

/// Whether containers may together ask for less than they may use.
pub fn may_overcommit(name: &str) -> bool {
    is_native(name) && !name.starts_with(HUGE)
}

fn is_standard(name: &str) -> bool {
    is_standard_for_quota(name) || name == "storage"
}

fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.")
}
