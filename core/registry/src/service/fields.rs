//! Which allocated and type-dependent fields a changed Service keeps.

use std::collections::BTreeMap;

use gantry_kinds::tree::{int_at, list_at, str_at};
use serde_json::{Map, Value};

use super::{has_address, has_ports};
use crate::meta;

/// Fills in what an update left out because the client does not know what was allocated.
pub(super) fn keep_allocated(new: &mut Value, old: &Value) {
    if has_address(new) && has_address(old) {
        let left_out = str_at(new, "/spec/clusterIP").is_empty() && list_at(new, "/spec/clusterIPs").is_empty();
        if left_out {
            copy(new, old, &["clusterIP", "clusterIPs"]);
        }
        for key in ["ipFamilies", "ipFamilyPolicy"] {
            if new["spec"].get(key).is_none() {
                copy(new, old, &[key]);
            }
        }
    }
    if has_ports(new) && has_ports(old) {
        let before: BTreeMap<&str, i64> = ports(old).filter(|(_, node)| *node != 0).collect();
        let mut used: Vec<i64> = ports(new).map(|(_, node)| node).collect();
        for port in meta::list(meta::map(new, "spec"), "ports") {
            let node = before.get(str_at(port, "/name")).copied();
            let unset = int_at(port, "/nodePort").unwrap_or_default() == 0;
            if let Some(node) = node.filter(|node| unset && !used.contains(node)) {
                port["nodePort"] = node.into();
                used.push(node);
            }
        }
    }
    if checks_health(new) && checks_health(old) && int_at(new, "/spec/healthCheckNodePort").is_none() {
        copy(new, old, &["healthCheckNodePort"]);
    }
}

/// Drops what the new type has no use for, where the client only left it as it was.
pub(super) fn drop_unused(new: &mut Value, old: &Value) {
    if has_address(old) && !has_address(new) {
        drop_same(new, old, &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"]);
    }
    if has_ports(old) && !has_ports(new) {
        let before: Vec<i64> = ports(old).map(|(_, node)| node).collect();
        let same = ports(new).map(|(_, node)| node).eq(before);
        if same {
            let ports = meta::list(meta::map(new, "spec"), "ports").iter_mut();
            ports.filter_map(Value::as_object_mut).for_each(|port| drop(port.remove("nodePort")));
        }
        drop_same(new, old, &["externalTrafficPolicy"]);
    }
    if checks_health(old) && !checks_health(new) {
        drop_same(new, old, &["healthCheckNodePort"]);
    }
    if balanced(old) && !balanced(new) {
        drop_same(new, old, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
}

fn balanced(service: &Value) -> bool {
    str_at(service, "/spec/type") == "LoadBalancer"
}

fn checks_health(service: &Value) -> bool {
    balanced(service) && str_at(service, "/spec/externalTrafficPolicy") == "Local"
}

fn ports(service: &Value) -> impl Iterator<Item = (&str, i64)> {
    let ports = list_at(service, "/spec/ports").iter();
    ports.map(|port| (str_at(port, "/name"), int_at(port, "/nodePort").unwrap_or_default()))
}

fn spec(service: &mut Value) -> &mut Map<String, Value> {
    meta::map(service, "spec")
}

fn copy(new: &mut Value, old: &Value, keys: &[&str]) {
    for key in keys {
        if let Some(value) = old["spec"].get(*key) {
            spec(new).insert((*key).to_owned(), value.clone());
        }
    }
}

fn drop_same(new: &mut Value, old: &Value, keys: &[&str]) {
    for key in keys {
        if new["spec"].get(*key) == old["spec"].get(*key) {
            spec(new).remove(*key);
        }
    }
}
