//! Devices that pods claim: classes, claims, their templates, what nodes offer, and taints.

mod allocation;
mod capacity;
mod device_class;
mod device_taint_rule;
mod devices;
mod requests;
mod resource_claim;
mod resource_claim_template;
mod resource_slice;

pub use self::device_class::DEVICE_CLASS;
pub use self::device_taint_rule::DEVICE_TAINT_RULE;
pub use self::resource_claim::RESOURCE_CLAIM;
pub use self::resource_claim_template::RESOURCE_CLAIM_TEMPLATE;
pub use self::resource_slice::RESOURCE_SLICE;

use serde_json::Value;

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;
use crate::tree::str_at;

/// Lists of selectors, requests, constraints and configurations may have this many items.
const LIST_MAX: usize = 32;
/// What a taint may do.
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "None"];

fn check_length(list: &[Value], path: &Path, errors: &mut ErrorList) {
    if list.len() > LIST_MAX {
        errors.push(FieldError::too_many(path, list.len(), LIST_MAX));
    }
}

/// Checks a name that is a label of a domain name.
fn check_label(name: &str, path: &Path, errors: &mut ErrorList) {
    rules::each(name, names::dns_label(name), path, errors);
}

/// Checks a name that must be there and be a subdomain.
fn check_subdomain(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        rules::each(name, names::dns_subdomain(name), path, errors);
    }
}

/// Checks the name of a pool: subdomains between slashes.
fn check_pool(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for part in name.split('/') {
        rules::each(part, names::dns_subdomain(part), path, errors);
    }
}

fn check_taint(taint: &Value, path: &Path, errors: &mut ErrorList) {
    let (key, value) = (str_at(taint, "/key"), str_at(taint, "/value"));
    rules::each(key, names::qualified_name(key), &path.child("key"), errors);
    if !value.is_empty() {
        rules::each(value, names::label_value(value), &path.child("value"), errors);
    }
    rules::required_one_of(str_at(taint, "/effect"), &EFFECTS, &path.child("effect"), errors);
}
