//! What a Service may be.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use serde_json::{Value, json};

use super::change::needs_address;
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::meta::check_labels;
use crate::names;
use crate::rules;
use crate::tree::{int_at, str_at};
use crate::typed;

const AFFINITY_MAX: i32 = 86400;
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];
const POLICIES: &[&str] = &["Cluster", "Local"];

/// Checks a Service.
pub fn service(object: &Value) -> ErrorList {
    let spec = match typed::whole::<Service>(object) {
        Ok(service) => service.spec.unwrap_or_default(),
        Err(error) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let kind = spec.type_.as_deref().unwrap_or_default();
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(&path.child("ports"), ""));
    }
    check_type(&spec, kind, headless, &path, &mut errors);
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        check_port(port, ports.len() > 1, &mut seen, &path.child("ports").index(at), &mut errors);
    }
    if let Some(selector) = &spec.selector {
        check_labels(selector, &path.child("selector"), &mut errors);
    }
    check_affinity(&spec, &path, &mut errors);
    check_addresses(&spec, &path, &mut errors);
    rules::required_one_of(kind, TYPES, &path.child("type"), &mut errors);
    if kind == "ClusterIP" {
        for (at, _) in ports.iter().enumerate().filter(|(_, p)| p.node_port.unwrap_or(0) != 0) {
            let path = path.child("ports").index(at).child("nodePort");
            errors.push(FieldError::forbidden(&path, "may not be used when `type` is 'ClusterIP'"));
        }
    }
    check_distinct(ports, &path.child("ports"), &mut errors);
    check_load_balancer(&spec, kind, &path, &mut errors);
    check_traffic(&spec, kind, &path, &mut errors);
    errors
}

/// Checks a change of a Service.
pub fn update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let before = str_at(old, "/spec/clusterIP");
    let now = str_at(new, "/spec/clusterIP");
    let sound = now.is_empty() || now == "None" || names::ip(now).is_empty();
    if needs_address(old) && needs_address(new) && !before.is_empty() && now != before && sound {
        let list = new.pointer("/spec/clusterIPs").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), list, "may not change once set"));
    }
    let health = |service: &Value| {
        let local = str_at(service, "/spec/externalTrafficPolicy") == "Local";
        let port = int_at(service, "/spec/healthCheckNodePort").filter(|port| *port != 0);
        port.filter(|_| local && str_at(service, "/spec/type") == "LoadBalancer")
    };
    if let (Some(now), Some(before)) = (health(new), health(old))
        && now != before
    {
        errors.push(FieldError::forbidden(&path.child("healthCheckNodePort"), "field is immutable"));
    }
    let class = |service| str_at(service, "/spec/loadBalancerClass").to_owned();
    let balanced = |service| str_at(service, "/spec/type") == "LoadBalancer";
    if balanced(old) && balanced(new) && class(new) != class(old) {
        let path = path.child("loadBalancerClass");
        let told = new.pointer("/spec/loadBalancerClass").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(&path, told, "may not change once set"));
    }
    errors.extend(service(new));
    errors
}

/// Checks the status that a load balancer writes.
pub fn status(object: &Value) -> ErrorList {
    let status = match typed::whole::<Service>(object) {
        Ok(service) => service.status.unwrap_or_default(),
        Err(error) => return vec![error],
    };
    let path = Path::new("status").child("loadBalancer").child("ingress");
    let mut errors = ErrorList::new();
    let ingress = status.load_balancer.and_then(|b| b.ingress).unwrap_or_default();
    if !ingress.is_empty() && str_at(object, "/spec/type") != "LoadBalancer" {
        return vec![FieldError::forbidden(&path, "may only be used when `spec.type` is 'LoadBalancer'")];
    }
    for (at, ingress) in ingress.iter().enumerate() {
        if let Some(ip) = ingress.ip.as_deref().filter(|ip| !ip.is_empty()) {
            rules::each(ip, names::ip(ip), &path.index(at).child("ip"), &mut errors);
        }
        if let Some(mode) = ingress.ip_mode.as_deref() {
            rules::one_of(mode, &["Proxy", "VIP"], &path.index(at).child("ipMode"), &mut errors);
        }
        if let Some(host) = ingress.hostname.as_deref().filter(|host| !host.is_empty()) {
            rules::each(host, names::dns_subdomain(host), &path.index(at).child("hostname"), &mut errors);
        }
    }
    errors
}

fn check_type(spec: &ServiceSpec, kind: &str, headless: bool, path: &Path, errors: &mut ErrorList) {
    match kind {
        "LoadBalancer" | "NodePort" if headless => {
            let detail = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(&path.child("clusterIPs").index(0), "None", detail));
        }
        "ExternalName" => {
            let detail = "may not be set for ExternalName services";
            let set = [
                ("clusterIPs", spec.cluster_ips.as_ref().is_some_and(|ips| !ips.is_empty())),
                ("ipFamilies", spec.ip_families.as_ref().is_some_and(|families| !families.is_empty())),
                ("ipFamilyPolicy", spec.ip_family_policy.is_some()),
            ];
            for (field, _) in set.iter().filter(|(_, set)| *set) {
                errors.push(FieldError::forbidden(&path.child(field), detail));
            }
            let name = spec.external_name.as_deref().unwrap_or_default();
            let path = path.child("externalName");
            if name.is_empty() {
                errors.push(FieldError::required(&path, ""));
            } else {
                let stem = name.strip_suffix('.').unwrap_or(name);
                rules::each(stem, names::dns_subdomain(stem), &path, errors);
            }
        }
        _ => {}
    }
}

fn check_port<'a>(
    port: &'a ServicePort,
    needs_name: bool,
    seen: &mut BTreeSet<&'a str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let name = port.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        if needs_name {
            errors.push(FieldError::required(&path.child("name"), ""));
        }
    } else {
        rules::each(name, names::dns_label(name), &path.child("name"), errors);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
    }
    rules::port_number(port.port, &path.child("port"), errors);
    let protocol = port.protocol.as_deref().unwrap_or_default();
    rules::required_one_of(protocol, PROTOCOLS, &path.child("protocol"), errors);
    if let Some(target) = &port.target_port {
        rules::port_ref(target, &path.child("targetPort"), errors);
    }
    if let Some(app) = &port.app_protocol {
        rules::each(app, names::qualified_name(app), &path.child("appProtocol"), errors);
    }
}

fn check_affinity(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let affinity = spec.session_affinity.as_deref().unwrap_or_default();
    rules::required_one_of(affinity, &["ClientIP", "None"], &path.child("sessionAffinity"), errors);
    if affinity != "ClientIP" {
        return;
    }
    let path = path.child("sessionAffinityConfig").child("clientIP").child("timeoutSeconds");
    let client = spec.session_affinity_config.as_ref().and_then(|c| c.client_ip.as_ref());
    match client.and_then(|c| c.timeout_seconds) {
        None => errors.push(FieldError::required(&path, "required when `sessionAffinity` is 'ClientIP'")),
        Some(seconds) if !(1..=AFFINITY_MAX).contains(&seconds) => {
            let detail = format!("must be greater than 0 and less than {AFFINITY_MAX}");
            errors.push(FieldError::invalid(&path, seconds, detail));
        }
        Some(_) => {}
    }
}

fn check_addresses(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let list = spec.cluster_ips.as_deref().unwrap_or_default();
    let first = spec.cluster_ip.as_deref().unwrap_or_default();
    let whole = path.child("clusterIPs");
    if spec.type_.as_deref() != Some("ExternalName") {
        check_families(spec, path, errors);
        if !list.is_empty() && first.is_empty() {
            errors.push(FieldError::invalid(&whole, list.to_vec(), "must be empty when `clusterIP` is not specified"));
        } else if list.first().is_some_and(|ip| ip != first) {
            errors.push(FieldError::invalid(&whole, list.to_vec(), "first value must match `clusterIP`"));
        }
        if list.first().is_some_and(|ip| ip == "None") && list.len() > 1 {
            errors.push(FieldError::invalid(&whole, list.to_vec(), "'None' must be the first and only value"));
        }
        for (at, ip) in list.iter().enumerate() {
            if at > 0 || ip != "None" {
                rules::each(ip, names::ip(ip), &whole.index(at), errors);
                check_family(ip, spec, at, &whole.index(at), errors);
            }
        }
        let families: BTreeSet<bool> = list.iter().map(|ip| ip.contains(':')).collect();
        if list.len() > families.len() && names_are_ips(list) {
            let detail = "may specify no more than one IP for each IP family";
            errors.push(FieldError::invalid(&whole, list.to_vec(), detail));
        }
    }
    for (at, ip) in spec.external_ips.iter().flatten().enumerate() {
        let path = path.child("externalIPs").index(at);
        rules::each(ip, names::ip(ip), &path, errors);
        rules::ordinary_ip(ip, &path, errors);
    }
}

/// An address is of the family that is named for its place.
fn check_family(ip: &str, spec: &ServiceSpec, at: usize, path: &Path, errors: &mut ErrorList) {
    let Some(family) = spec.ip_families.as_deref().and_then(|families| families.get(at)) else { return };
    if names::ip(ip).is_empty() && ip.contains(':') != (family == "IPv6") {
        let detail = format!("expected an {family} value as indicated by `ipFamilies[{at}]`");
        errors.push(FieldError::invalid(path, ip, detail));
    }
}

fn names_are_ips(list: &[String]) -> bool {
    list.iter().all(|ip| names::ip(ip).is_empty())
}

fn check_families(spec: &ServiceSpec, path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, family) in spec.ip_families.iter().flatten().enumerate() {
        let path = path.child("ipFamilies").index(at);
        rules::one_of(family, &["IPv4", "IPv6"], &path, errors);
        if !seen.insert(family) {
            errors.push(FieldError::duplicate(&path, family.as_str()));
        }
    }
    if let Some(policy) = spec.ip_family_policy.as_deref() {
        let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        rules::one_of(policy, &policies, &path.child("ipFamilyPolicy"), errors);
    }
}

/// No two ports share a number and protocol, nor a node port.
fn check_distinct(ports: &[ServicePort], path: &Path, errors: &mut ErrorList) {
    let (mut node_ports, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (at, port) in ports.iter().enumerate() {
        let node_port = port.node_port.unwrap_or(0);
        if node_port != 0 && !node_ports.insert((&port.protocol, node_port)) {
            errors.push(FieldError::duplicate(&path.index(at).child("nodePort"), node_port));
        }
    }
    for (at, port) in ports.iter().enumerate() {
        if !numbers.insert((&port.protocol, port.port)) {
            let protocol = quote(port.protocol.as_deref().unwrap_or_default());
            let value = format!(
                "{{\"Name\":\"\",\"Protocol\":{protocol},\"AppProtocol\":null,\"Port\":{},\"TargetPort\":0,\"NodePort\":0}}",
                port.port
            );
            errors.push(FieldError::duplicate_shown(&path.index(at), &value));
        }
    }
}

fn check_load_balancer(spec: &ServiceSpec, kind: &str, path: &Path, errors: &mut ErrorList) {
    const ONLY: &str = "may only be used when `type` is 'LoadBalancer'";
    let balanced = kind == "LoadBalancer";
    let ranges = spec.load_balancer_source_ranges.as_deref().unwrap_or_default();
    if !ranges.is_empty() {
        // wire: the field prints with a capital.
        let path = path.child("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(FieldError::forbidden(&path, ONLY));
        }
        for (at, range) in ranges.iter().enumerate() {
            rules::cidr(range.trim(), &path.index(at), errors);
        }
    }
    if spec.allocate_load_balancer_node_ports.is_some() && !balanced {
        errors.push(FieldError::forbidden(&path.child("allocateLoadBalancerNodePorts"), ONLY));
    }
    if let Some(class) = spec.load_balancer_class.as_deref() {
        let path = path.child("loadBalancerClass");
        if balanced {
            rules::each(class, names::qualified_name(class), &path, errors);
        } else {
            errors.push(FieldError::forbidden(&path, ONLY));
        }
    }
}

fn check_traffic(spec: &ServiceSpec, kind: &str, path: &Path, errors: &mut ErrorList) {
    let external = spec.external_traffic_policy.as_deref().unwrap_or_default();
    let has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    let reachable = matches!(kind, "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && has_external_ips);
    let external_path = path.child("externalTrafficPolicy");
    if reachable {
        rules::required_one_of(external, POLICIES, &external_path, errors);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(&external_path, external, detail));
    }
    let health = spec.health_check_node_port.unwrap_or(0);
    if health != 0 && kind == "LoadBalancer" && external == "Local" {
        rules::port_number(health, &path.child("healthCheckNodePort"), errors);
    }
    if health != 0 && !(kind == "LoadBalancer" && external == "Local") {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(FieldError::invalid(&path.child("healthCheckNodePort"), json!(health), detail));
    }
    if let Some(internal) = spec.internal_traffic_policy.as_deref() {
        rules::one_of(internal, POLICIES, &path.child("internalTrafficPolicy"), errors);
    }
    if let Some(distribution) = spec.traffic_distribution.as_deref() {
        let known = ["PreferClose", "PreferSameZone", "PreferSameNode"];
        rules::one_of(distribution, &known, &path.child("trafficDistribution"), errors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
        let mut object = json!({"spec": {"ports": [{"port": 80}]}});
        change(&mut object["spec"]);
        super::super::change::default(&mut object);
        super::super::change::normalize_addresses(&mut object, None);
        let errors: Vec<_> = service(&object).iter().map(ToString::to_string).collect();
        assert_eq!(errors, expected);
    }

    #[test]
    fn ports() {
        check(|_| {}, &[]);
        check(|s| s["ports"] = json!([]), &["spec.ports: Required value"]);
        check(
            |s| s["ports"] = json!([{"port": 1, "name": "a"}, {"port": 1, "name": "b"}, {"port": 0, "name": "b"}]),
            &[
                "spec.ports[2].name: Duplicate value: \"b\"",
                "spec.ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[2].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[1]: Duplicate value: {\"Name\":\"\",\"Protocol\":\"TCP\",\"AppProtocol\":null,\"Port\":1,\
                 \"TargetPort\":0,\"NodePort\":0}",
            ],
        );
        check(
            |s| s["ports"][0]["nodePort"] = json!(30000),
            &["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
        );
    }

    #[test]
    fn types() {
        check(
            |s| s["type"] = json!("X"),
            &["spec.type: Unsupported value: \"X\": supported values: \"ClusterIP\", \"ExternalName\", \
               \"LoadBalancer\", \"NodePort\""],
        );
        check(|s| s["type"] = json!("ExternalName"), &["spec.externalName: Required value"]);
        check(
            |s| {
                s["type"] = json!("NodePort");
                s["clusterIP"] = json!("None");
            },
            &["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
        );
    }

    #[test]
    fn an_address_stays() {
        let service = |ip: &str| {
            let mut object = json!({"spec": {"ports": [{"port": 80}], "clusterIP": ip, "clusterIPs": [ip]}});
            super::super::change::default(&mut object);
            object
        };
        let errors = update(&service("10.0.0.2"), &service("10.0.0.1"));
        let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["spec.clusterIPs[0]: Invalid value: [\"10.0.0.2\"]: may not change once set"]);
    }
}
