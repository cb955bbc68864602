//! What a slice says of each device: attributes, capacities, counters, places, taints and conditions.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::NodeSelector;
use serde_json::{Map, Value};

use super::capacity;
use super::check_taint;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::pod;
use crate::names;
use crate::rules;
use crate::tree::{list_at, map_at, str_at};
use crate::typed;

const DEVICES_MAX: usize = 128;
/// So many devices when they have taints or take from counters.
const DEVICES_MAX_DEEP: usize = 64;
const PROPERTIES_MAX: usize = 32;
const TAINTS_MAX: usize = 16;
const CONDITIONS_MAX: usize = 4;
const COUNTERS_MAX: usize = 32;
const SETS_MAX: usize = 8;
const CONSUMED_MAX: usize = 2;
const TEXT_MAX: usize = 64;
const DOMAIN_MAX: usize = 63;
const NAME_MAX: usize = 32;

/// The kinds of value that an attribute may have, in the order in which they are told; the lists are not served.
const VALUES: [&str; 4] = ["int", "bool", "string", "version"];
const LISTS: [&str; 4] = ["ints", "bools", "strings", "versions"];
const PLACES: [&str; 3] = ["nodeName", "nodeSelector", "allNodes"];

/// Drops what is not served yet from the devices of a slice.
pub fn drop_gated(spec: &mut Map<String, Value>) {
    spec.remove("partitionTypeAttribute");
    spec.remove("skipNodeOperations");
    for device in crate::tree::children(spec, "devices") {
        device.remove("nodeAllocatableResources");
        for consumed in crate::tree::children(device, "consumesCounters") {
            consumed.remove("compatibilityGroups");
        }
        let attributes = crate::tree::child(device, "attributes");
        for attribute in attributes.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
            LISTS.iter().for_each(|list| drop(attribute.remove(*list)));
        }
    }
}

/// Checks the devices of a slice; with `placed`, each says for itself which nodes reach it.
pub fn check(devices: &[Value], placed: bool, list: &Path, errors: &mut ErrorList) {
    let deep = devices.iter().any(|d| !list_at(d, "/taints").is_empty() || !list_at(d, "/consumesCounters").is_empty());
    let max = if deep { DEVICES_MAX_DEEP } else { DEVICES_MAX };
    if devices.len() > max {
        errors.push(FieldError::too_many(list, devices.len(), max));
        return;
    }
    let mut seen = BTreeSet::new();
    for (at, device) in devices.iter().enumerate() {
        let path = list.index(at);
        let name = str_at(device, "/name");
        check_device(device, placed, &path, errors);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path, name));
        }
    }
}

fn check_device(device: &Value, placed: bool, path: &Path, errors: &mut ErrorList) {
    let name = str_at(device, "/name");
    rules::each(name, names::dns_label(name), &path.child("name"), errors);
    let count = map_at(device, "/attributes").count() + map_at(device, "/capacity").count();
    if count > PROPERTIES_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {PROPERTIES_MAX}");
        errors.push(FieldError::invalid(path, count, detail));
    }
    for (name, value) in map_at(device, "/attributes") {
        check_qualified(name, &path.child("attributes"), errors);
        check_attribute(value, &path.child("attributes").key(name), errors);
    }
    let many = device["allowMultipleAllocations"] == true;
    for (name, value) in map_at(device, "/capacity") {
        check_qualified(name, &path.child("capacity"), errors);
        capacity::check(value, many, &path.child("capacity").key(name), errors);
    }
    let taints = list_at(device, "/taints");
    if taints.len() > TAINTS_MAX {
        errors.push(FieldError::too_many(&path.child("taints"), taints.len(), TAINTS_MAX));
    }
    for (at, taint) in taints.iter().enumerate() {
        check_taint(taint, &path.child("taints").index(at), errors);
    }
    check_consumed(list_at(device, "/consumesCounters"), &path.child("consumesCounters"), errors);
    check_place(device, placed, path, errors);
    check_conditions(device, path, errors);
}

/// A name of an attribute or capacity: a C identifier, perhaps with a domain before it.
fn check_qualified(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(FieldError::required(path, "name required"));
        return;
    }
    match name.split_once('/') {
        None => check_identifier(name, path, errors),
        Some((domain, rest)) => {
            if domain.is_empty() {
                errors.push(FieldError::invalid(path, "", "the domain must not be empty"));
            } else {
                check_domain(domain, "", path, errors);
            }
            if rest.is_empty() {
                errors.push(FieldError::invalid(path, "", "the name must not be empty"));
            } else {
                check_identifier(rest, path, errors);
            }
        }
    }
}

/// Checks a name that must have a domain before it.
pub fn check_fully_qualified(name: &str, path: &Path, errors: &mut ErrorList) {
    match name.split_once('/') {
        Some((domain, rest)) => {
            check_domain(domain, "prefix: ", path, errors);
            check_identifier(rest, path, errors);
        }
        None => {
            if name.is_empty() || name.len() > NAME_MAX {
                check_identifier(name, path, errors);
            }
            let detail = "a fully qualified name must be a domain and a name separated by a slash";
            errors.push(FieldError::invalid(path, name, detail));
        }
    }
}

fn check_domain(domain: &str, told: &str, path: &Path, errors: &mut ErrorList) {
    if domain.len() > DOMAIN_MAX {
        errors.push(FieldError::too_long(path, DOMAIN_MAX));
    }
    let wrong = names::dns_subdomain(domain).into_iter().map(|why| format!("{told}{why}")).collect();
    rules::each(domain, wrong, path, errors);
}

fn check_identifier(name: &str, path: &Path, errors: &mut ErrorList) {
    if name.len() > NAME_MAX {
        errors.push(FieldError::too_long(path, NAME_MAX));
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !name.chars().all(letters) || name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        let detail = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
            alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation \
            is '[A-Za-z_][A-Za-z0-9_]*')";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

fn check_attribute(value: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(text) = value.get("string").and_then(Value::as_str)
        && text.len() > TEXT_MAX
    {
        errors.push(FieldError::too_long(&path.child("string"), TEXT_MAX));
    }
    if let Some(version) = value.get("version").and_then(Value::as_str) {
        let path = path.child("version");
        if !is_version(version) {
            errors.push(FieldError::invalid(&path, version, "must be a string compatible with semver.org spec 2.0.0"));
        }
        if version.len() > TEXT_MAX {
            errors.push(FieldError::too_long(&path, TEXT_MAX));
        }
    }
    let given: Vec<_> = VALUES.into_iter().filter(|kind| value.get(*kind).is_some_and(|v| !v.is_null())).collect();
    let all: Vec<_> = VALUES.iter().chain(&LISTS).map(|kind| format!("`{kind}`")).collect();
    let all = all.join(", ");
    match given.len() {
        0 => errors.push(FieldError::invalid(path, "", format!("must specify one of: {all}"))),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", given.join(", "));
            errors.push(FieldError::invalid(path, shown, format!("must specify exactly one of: {all}")));
        }
    }
}

/// Whether a text is a semantic version.
fn is_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let word = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3
        && numbers.into_iter().all(number)
        && before.is_none_or(|b| b.split('.').all(|part| word(part) && (!digits(part) || number(part))))
        && build.is_none_or(|b| b.split('.').all(word))
}

/// Checks the counters that a device takes from sets.
fn check_consumed(consumed: &[Value], list: &Path, errors: &mut ErrorList) {
    check_of_sets(consumed, "counterSet", CONSUMED_MAX, list, errors);
}

/// Checks the sets of counters that devices share.
pub fn check_sets(sets: &[Value], list: &Path, errors: &mut ErrorList) {
    check_of_sets(sets, "name", SETS_MAX, list, errors);
}

/// Checks counters, each with the set that they are of in the field `named`.
fn check_of_sets(all: &[Value], named: &str, most: usize, list: &Path, errors: &mut ErrorList) {
    if all.len() > most {
        errors.push(FieldError::too_many(list, all.len(), most));
        return;
    }
    let name_of = |one: &Value| one.get(named).and_then(Value::as_str).unwrap_or_default().to_owned();
    for (at, one) in all.iter().enumerate() {
        let (path, name) = (list.index(at), name_of(one));
        if name.is_empty() {
            errors.push(FieldError::required(&path.child(named), ""));
        } else {
            rules::each(&name, names::dns_label(&name), &path.child(named), errors);
        }
        check_counters(one, &path.child("counters"), errors);
        if !name.is_empty() && all[..at].iter().any(|other| name_of(other) == name) {
            let (name, counters) = (shown(&name.into()), shown(&one["counters"]));
            errors.push(FieldError::duplicate_shown(&path, &format!("{{\"{named}\":{name},\"counters\":{counters}}}")));
        }
    }
}

fn check_counters(owner: &Value, path: &Path, errors: &mut ErrorList) {
    let count = map_at(owner, "/counters").count();
    if count == 0 {
        errors.push(FieldError::required(path, ""));
    } else if count > COUNTERS_MAX {
        errors.push(FieldError::too_many(path, count, COUNTERS_MAX));
    }
    for (name, _) in map_at(owner, "/counters") {
        rules::each(name, names::dns_label(name), path, errors);
    }
}

fn check_place(device: &Value, placed: bool, path: &Path, errors: &mut ErrorList) {
    let given: Vec<_> = PLACES.iter().filter(|place| device.get(**place).is_some_and(|v| !v.is_null())).collect();
    if !placed {
        if !given.is_empty() {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set \
                to true in the ResourceSlice spec";
            errors.push(FieldError::invalid(path, Value::Null, detail));
        }
        return;
    }
    let mut ways = Vec::new();
    if let Some(node) = device.get("nodeName").and_then(Value::as_str) {
        if node.is_empty() {
            errors.push(FieldError::invalid(&path.child("nodeName"), "", "must not be empty"));
        } else {
            rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), errors);
            ways.push("`nodeName`");
        }
    }
    if device.get("nodeSelector").is_some_and(|selector| !selector.is_null()) {
        ways.push("`nodeSelector`");
        check_selector(device, path, errors);
    }
    match device.get("allNodes") {
        Some(Value::Bool(true)) => ways.push("`allNodes`"),
        Some(Value::Bool(false)) => {
            let detail = "must be either unset or set to true";
            errors.push(FieldError::invalid(&path.child("allNodes"), false, detail));
        }
        _ => {}
    }
    let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` \
        is set to true in the ResourceSlice spec";
    match ways.len() {
        0 => errors.push(FieldError::required(path, detail)),
        1 => {}
        _ => errors.push(FieldError::invalid(path, format!("{{{}}}", ways.join(", ")), detail)),
    }
}

/// Checks the selector of nodes of a slice or device.
pub fn check_selector(owner: &Value, path: &Path, errors: &mut ErrorList) {
    let path = path.child("nodeSelector");
    match typed::part::<NodeSelector>(owner, "nodeSelector", &path) {
        Ok(selector) => pod::check_node_selector(&selector, &path, errors),
        Err(error) => errors.push(error),
    }
}

fn check_conditions(device: &Value, path: &Path, errors: &mut ErrorList) {
    let (good, bad) = ("bindingConditions", "bindingFailureConditions");
    let texts =
        |field: &str| -> Vec<&str> { list_at(device, &format!("/{field}")).iter().filter_map(Value::as_str).collect() };
    let (wanted, failed) = (texts(good), texts(bad));
    for (field, list) in [(good, &wanted), (bad, &failed)] {
        let path = path.child(field);
        if list.len() > CONDITIONS_MAX {
            errors.push(FieldError::too_many(&path, list.len(), CONDITIONS_MAX));
            continue;
        }
        for (at, name) in list.iter().enumerate() {
            rules::each(name, names::qualified_name(name), &path.index(at), errors);
            if list[..at].contains(name) {
                errors.push(FieldError::duplicate(&path.index(at), *name));
            }
        }
    }
    for (at, name) in failed.iter().enumerate().filter(|(_, name)| wanted.contains(name)) {
        let detail = "bindingFailureConditions must not overlap with bindingConditions";
        errors.push(FieldError::invalid(&path.child(bad).index(at), *name, detail));
    }
    for (missing, list, other, others) in [(good, &wanted, bad, &failed), (bad, &failed, good, &wanted)] {
        if list.is_empty() && !others.is_empty() {
            let detail = format!("{missing} are required to use {other}");
            errors.push(FieldError::invalid(&path.child(missing), Value::Null, detail));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(device: Value, placed: bool) -> Vec<String> {
        let mut errors = ErrorList::new();
        check(&[device], placed, &Path::new("d"), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn attributes_have_one_value() {
        let device = json!({"name": "a", "attributes": {"i": {"int": 1}, "d.e/v": {"version": "1.0.0-rc.1+b"}}});
        assert_eq!(texts(device, false), Vec::<String>::new());
        let found = texts(json!({"name": "a", "attributes": {"x": {"int": 1, "bool": true}}}), false);
        assert!(
            found[0].starts_with("d[0].attributes[x]: Invalid value: \"{int, bool}\": must specify exactly one of")
        );
        for bad in ["1.0", "01.0.0", "1.0.0-", "x", "1.0.0+"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn a_device_is_placed_where_the_slice_says_so() {
        assert_eq!(texts(json!({"name": "a", "nodeName": "n"}), true), Vec::<String>::new());
        assert!(
            texts(json!({"name": "a", "nodeName": "n"}), false)[0].starts_with("d[0]: Invalid value: null: `nodeName`")
        );
        assert!(texts(json!({"name": "a"}), true)[0].starts_with("d[0]: Required value: exactly one of"));
    }

    #[test]
    fn conditions_come_in_pairs() {
        let both = json!({"name": "a", "bindingConditions": ["x"], "bindingFailureConditions": ["y"]});
        assert_eq!(texts(both, false), Vec::<String>::new());
        assert_eq!(
            texts(json!({"name": "a", "bindingConditions": ["x"]}), false),
            [
                "d[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions"
            ]
        );
    }
}
