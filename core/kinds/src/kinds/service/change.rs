//! What a Service gets where its author said nothing, and what a change of it keeps and drops: an address or a
//! port that was allocated stays while the type needs one, and goes when the new type does not.

use serde_json::Value;

use crate::tree::{child, child_or_new, children, fill, has, list_at, remove, set_default, str_at};

/// Seconds that a client stays with an endpoint under `ClientIP` affinity.
const AFFINITY_SECONDS: i64 = 10800;

/// Fills in a Service.
pub fn default(object: &mut Value) {
    let Some(object) = object.as_object_mut() else { return };
    if let Some(balancer) = child(object, "status").and_then(|status| child(status, "loadBalancer")) {
        for ingress in children(balancer, "ingress").filter(|ingress| has(ingress, "ip")) {
            set_default(ingress, "ipMode", "VIP");
        }
    }
    let spec = child_or_new(object, "spec");
    fill(spec, "sessionAffinity", "None");
    match spec["sessionAffinity"].as_str() {
        Some("None") => {
            spec.remove("sessionAffinityConfig");
        }
        Some("ClientIP") => {
            let config = child_or_new(child_or_new(spec, "sessionAffinityConfig"), "clientIP");
            set_default(config, "timeoutSeconds", AFFINITY_SECONDS);
        }
        _ => {}
    }
    fill(spec, "type", "ClusterIP");
    for port in children(spec, "ports") {
        fill(port, "protocol", "TCP");
        let unset = port.get("targetPort").is_none_or(|t| t.is_null() || *t == 0 || *t == "");
        if let Some(number) = port.get("port").cloned().filter(|_| unset) {
            port.insert("targetPort".to_owned(), number);
        }
    }
    let kind = spec["type"].as_str().unwrap_or_default().to_owned();
    let external_ips = spec.get("externalIPs").and_then(Value::as_array).is_some_and(|ips| !ips.is_empty());
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external_ips) {
        fill(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "ClusterIP" | "NodePort" | "LoadBalancer") {
        set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// Brings `clusterIPs` in line with `clusterIP`, which older clients set alone.
pub fn normalize_addresses(new: &mut Value, old: Option<&Value>) {
    let address = str_at(new, "/spec/clusterIP").to_owned();
    let list = new.pointer("/spec/clusterIPs").filter(|l| !l.is_null()).cloned();
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match old {
        None if !address.is_empty() && list.is_none() => {
            spec.insert("clusterIPs".to_owned(), Value::from(vec![address]));
        }
        None => {}
        Some(old) => {
            let unchanged = list.as_ref() == old.pointer("/spec/clusterIPs");
            if address != str_at(old, "/spec/clusterIP") && unchanged {
                if address.is_empty() {
                    spec.remove("clusterIPs");
                } else {
                    spec.insert("clusterIPs".to_owned(), Value::from(vec![address]));
                }
            } else if !address.is_empty() && list.is_none() {
                spec.insert("clusterIPs".to_owned(), Value::from(vec![address]));
            }
        }
    }
}

/// Whether services of this type have an address in the cluster.
pub fn needs_address(service: &Value) -> bool {
    matches!(str_at(service, "/spec/type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Whether the ports of services of this type may have node ports.
fn needs_node_port(service: &Value) -> bool {
    matches!(str_at(service, "/spec/type"), "NodePort" | "LoadBalancer")
}

fn needs_health_port(service: &Value) -> bool {
    str_at(service, "/spec/type") == "LoadBalancer" && str_at(service, "/spec/externalTrafficPolicy") == "Local"
}

fn is_external(service: &Value) -> bool {
    match str_at(service, "/spec/type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !list_at(service, "/spec/externalIPs").is_empty(),
        _ => false,
    }
}

/// Gives `new` what was allocated to `old`, where its author left it out.
pub fn keep_allocated(new: &mut Value, old: &Value) {
    let old_spec = &old["spec"];
    if needs_address(old) && needs_address(new) {
        if str_at(new, "/spec/clusterIP").is_empty() {
            copy(new, old_spec, "clusterIP");
        }
        if list_at(new, "/spec/clusterIPs").is_empty() && new["spec"].get("clusterIP") == old_spec.get("clusterIP") {
            copy(new, old_spec, "clusterIPs");
        }
    }
    if needs_node_port(old) && needs_node_port(new) {
        keep_node_ports(new, old);
    }
    if needs_health_port(old) && needs_health_port(new) && !given(new, "healthCheckNodePort") {
        copy(new, old_spec, "healthCheckNodePort");
    }
}

fn given(service: &Value, field: &str) -> bool {
    service["spec"].get(field).is_some_and(|v| !v.is_null() && *v != 0)
}

fn copy(new: &mut Value, old_spec: &Value, field: &str) {
    if let Some(value) = old_spec.get(field) {
        new["spec"][field] = value.clone();
    }
}

/// A port keeps its node port by its name.
fn keep_node_ports(new: &mut Value, old: &Value) {
    let number = |port: &Value| port.get("nodePort").and_then(Value::as_i64).unwrap_or(0);
    let mut used: Vec<i64> = list_at(new, "/spec/ports").iter().map(number).filter(|n| *n != 0).collect();
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for port in children(spec, "ports") {
        if port.get("nodePort").and_then(Value::as_i64).unwrap_or(0) != 0 {
            continue;
        }
        let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
        let before = list_at(old, "/spec/ports").iter().find(|p| str_at(p, "/name") == name).map_or(0, number);
        if before != 0 && !used.contains(&before) {
            used.push(before);
            port.insert("nodePort".to_owned(), Value::from(before));
        }
    }
}

/// Takes away what the new type does not need, where the author did not touch it.
pub fn drop_unneeded(new: &mut Value, old: &Value) {
    if needs_address(old) && !needs_address(new) {
        let same = |field: &str, new: &Value| new["spec"].get(field) == old["spec"].get(field);
        if same("clusterIP", new) && same("clusterIPs", new) {
            remove(&mut new["spec"], "clusterIP");
            remove(&mut new["spec"], "clusterIPs");
        }
        drop_same(new, old, &["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy", "trafficDistribution"]);
    }
    if needs_node_port(old) && !needs_node_port(new) {
        drop_node_ports(new, old);
    }
    if needs_health_port(old) && !needs_health_port(new) {
        drop_same(new, old, &["healthCheckNodePort"]);
    }
    if str_at(old, "/spec/type") == "LoadBalancer" && str_at(new, "/spec/type") != "LoadBalancer" {
        drop_same(new, old, &["allocateLoadBalancerNodePorts", "loadBalancerClass"]);
    }
    if is_external(old) && !is_external(new) {
        drop_same(new, old, &["externalTrafficPolicy"]);
    }
}

fn drop_same(new: &mut Value, old: &Value, fields: &[&str]) {
    for field in fields {
        if new["spec"].get(field) == old["spec"].get(field) {
            remove(&mut new["spec"], field);
        }
    }
}

fn drop_node_ports(new: &mut Value, old: &Value) {
    let numbers = |service: &Value| {
        let mut all: Vec<i64> =
            list_at(service, "/spec/ports").iter().filter_map(|p| p.get("nodePort")?.as_i64()).collect();
        all.sort_unstable();
        all
    };
    if numbers(new) != numbers(old) {
        return;
    }
    let Some(spec) = new.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for port in children(spec, "ports") {
        if has(port, "nodePort") {
            port.remove("nodePort");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ServiceStrategy;
    use super::*;
    use crate::row::{Strategy, Update};

    fn node_port() -> Value {
        let mut service = json!({"spec": {"type": "NodePort", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
            "ipFamilies": ["IPv4"], "ports": [{"name": "a", "port": 1, "nodePort": 30001}]}});
        default(&mut service);
        service
    }

    fn changed(change: impl FnOnce(&mut Value)) -> Value {
        let mut new = node_port();
        change(&mut new["spec"]);
        default(&mut new);
        ServiceStrategy.prepare_update(&mut new, &node_port(), Update::Main);
        new["spec"].take()
    }

    #[test]
    fn defaults_follow_the_type() {
        let spec = node_port()["spec"].take();
        assert_eq!(spec["externalTrafficPolicy"], "Cluster");
        assert_eq!(spec["ports"][0]["targetPort"], 1);
        assert_eq!(spec["ports"][0]["protocol"], "TCP");
        let mut named = json!({"spec": {"type": "ExternalName", "externalName": "a.b"}});
        default(&mut named);
        let expected = json!({"type": "ExternalName", "externalName": "a.b", "sessionAffinity": "None"});
        assert_eq!(named["spec"], expected);
    }

    #[test]
    fn what_was_allocated_stays() {
        let spec = changed(|spec| {
            spec["clusterIP"] = json!("");
            spec["ports"] = json!([{"name": "a", "port": 2}, {"name": "b", "port": 3}]);
        });
        assert_eq!(spec["clusterIP"], "10.0.0.1");
        assert_eq!(spec["clusterIPs"], json!(["10.0.0.1"]));
        assert_eq!(spec["ports"][0]["nodePort"], 30001);
        assert_eq!(spec["ports"][1].get("nodePort"), None);
    }

    #[test]
    fn what_the_type_does_not_need_goes() {
        let spec = changed(|spec| spec["type"] = json!("ClusterIP"));
        assert_eq!(spec["ports"][0].get("nodePort"), None);
        assert_eq!(spec.get("externalTrafficPolicy"), None);
        assert_eq!(spec["clusterIP"], "10.0.0.1");
        let spec = changed(|spec| {
            spec["type"] = json!("ExternalName");
            spec["externalName"] = json!("a");
        });
        let left: Vec<_> = spec.as_object().unwrap().keys().collect();
        assert_eq!(left, ["externalName", "ports", "sessionAffinity", "type"]);
    }

    #[test]
    fn a_new_address_alone_changes_the_list() {
        let spec = changed(|spec| spec["clusterIP"] = json!("10.0.0.2"));
        assert_eq!(spec["clusterIPs"], json!(["10.0.0.2"]));
    }
}
