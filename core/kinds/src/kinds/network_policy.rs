//! NetworkPolicies: which traffic pods take and send.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::selecting;
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::selector;
use crate::tree::{child_or_new, children, int_at, list_at, set_default, str_at};

/// The row of `NetworkPolicy`.
pub static NETWORK_POLICY: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    kind: "NetworkPolicy",
    plural: "networkpolicies",
    singular: "networkpolicy",
    version_of: None,
    short_names: &["netpol"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.networking.v1.NetworkPolicy",
    strategy: &PolicyStrategy,
    columns: &[NAME, Column::field("Pod-Selector", "io.k8s.api.networking.v1.NetworkPolicySpec.podSelector"), AGE],
    cells,
    selectable: &[],
};

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let selector = o.pointer("/spec/podSelector").map_or_else(String::new, selector::describe);
    vec![name(o), crate::columns::or_none(selector), age_of(o, now)]
}

struct PolicyStrategy;

impl Strategy for PolicyStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        child_or_new(spec, "podSelector");
        for way in ["ingress", "egress"] {
            for rule in children(spec, way) {
                children(rule, "ports").for_each(|port| set_default(port, "protocol", "TCP"));
            }
        }
        let egress = spec.get("egress").and_then(Value::as_array).is_some_and(|rules| !rules.is_empty());
        if spec.get("policyTypes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            spec.remove("policyTypes");
        }
        set_default(spec, "policyTypes", if egress { vec!["Ingress", "Egress"] } else { vec!["Ingress"] });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        check(new)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let (mut errors, mut last) = (ErrorList::new(), ErrorList::new());
    selecting::check(spec, "podSelector", &path, &mut errors);
    for (way, peers) in [("ingress", "from"), ("egress", "to")] {
        for (at, rule) in list_at(spec, &format!("/{way}")).iter().enumerate() {
            let path = path.child(way).index(at);
            for (at, port) in list_at(rule, "/ports").iter().enumerate() {
                check_port(port, &path.child("ports").index(at), &mut errors);
            }
            for (at, peer) in list_at(rule, &format!("/{peers}")).iter().enumerate() {
                check_peer(peer, &path.child(peers).index(at), &mut errors, &mut last);
            }
        }
    }
    let (types, path) = (list_at(spec, "/policyTypes"), path.child("policyTypes"));
    if types.len() > 2 {
        let detail = "may not specify more than two policyTypes";
        errors.push(FieldError::invalid(&path, types.to_vec(), detail));
    } else {
        for (at, kind) in types.iter().enumerate() {
            rules::one_of(kind.as_str().unwrap_or_default(), &["Ingress", "Egress"], &path.index(at), &mut errors);
        }
    }
    errors.extend(last);
    errors
}

fn check_port(port: &Value, path: &Path, errors: &mut ErrorList) {
    if let Some(protocol) = port.get("protocol").and_then(Value::as_str) {
        rules::one_of(protocol, &PROTOCOLS, &path.child("protocol"), errors);
    }
    let end = int_at(port, "/endPort");
    let end_path = path.child("endPort");
    let wrong_end = |detail: &str| end.map(|end| FieldError::invalid(&end_path, end, detail));
    match port.get("port").filter(|p| !p.is_null()) {
        None => errors.extend(wrong_end("may not be specified when `port` is not specified")),
        Some(Value::String(text)) => {
            errors.extend(wrong_end("may not be specified when `port` is non-numeric"));
            rules::each(text, names::port_name(text), &path.child("port"), errors);
        }
        Some(number) => {
            let number = number.as_i64().unwrap_or(0);
            if end.is_some_and(|end| end < number) {
                errors.extend(wrong_end("must be greater than or equal to `port`"));
            }
            for sentence in end.map(names::port_number).unwrap_or_default() {
                errors.extend(wrong_end(&sentence));
            }
            for sentence in names::port_number(number) {
                errors.push(FieldError::invalid(&path.child("port"), number, sentence));
            }
        }
    }
}

fn check_peer(peer: &Value, path: &Path, errors: &mut ErrorList, last: &mut ErrorList) {
    let mut parts = 0;
    for selector in ["podSelector", "namespaceSelector"] {
        if peer.get(selector).is_some_and(|s| !s.is_null()) {
            parts += 1;
            selecting::check(peer, selector, path, errors);
        }
    }
    let block = peer.get("ipBlock").filter(|b| !b.is_null());
    if let Some(block) = block {
        check_block(block, &path.child("ipBlock"), errors, last);
        if parts > 0 {
            errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
    } else if parts == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    }
}

/// A range of addresses and what is not of it. That the range is required comes after all other errors.
fn check_block(block: &Value, path: &Path, errors: &mut ErrorList, last: &mut ErrorList) {
    let cidr = str_at(block, "/cidr");
    if cidr.is_empty() {
        last.push(FieldError::required(&path.child("cidr"), ""));
        return;
    }
    let before = errors.len();
    rules::cidr(cidr, &path.child("cidr"), errors);
    if errors.len() > before {
        return;
    }
    for (at, except) in list_at(block, "/except").iter().filter_map(Value::as_str).enumerate() {
        let path = path.child("except").index(at);
        let before = errors.len();
        rules::cidr(except, &path, errors);
        if errors.len() == before && !strictly_inside(except, cidr) {
            errors.push(FieldError::invalid(&path, except, "must be a strict subset of `cidr`"));
        }
    }
}

fn strictly_inside(inner: &str, outer: &str) -> bool {
    use std::net::IpAddr;
    let parse = |text: &str| -> Option<(IpAddr, u32)> {
        let (ip, bits) = text.split_once('/')?;
        Some((ip.parse().ok()?, bits.parse().ok()?))
    };
    let (Some((inner, long)), Some((outer, short))) = (parse(inner), parse(outer)) else { return false };
    long > short
        && match (inner, outer) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(32 - short).unwrap_or(0) == 0,
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).checked_shr(128 - short).unwrap_or(0) == 0,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_follow_from_the_rules() {
        let types = |spec: Value| {
            let mut policy = json!({"spec": spec});
            PolicyStrategy.default(&mut policy);
            policy["spec"]["policyTypes"].clone()
        };
        assert_eq!(types(json!({})), json!(["Ingress"]));
        assert_eq!(types(json!({"egress": [{}]})), json!(["Ingress", "Egress"]));
        assert_eq!(types(json!({"egress": [{}], "policyTypes": ["Egress"]})), json!(["Egress"]));
    }

    #[test]
    fn peers_and_ports_are_checked() {
        let from = json!([{}, {"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8", "10.1.0.0/16"]}}]);
        let policy =
            json!({"spec": {"ingress": [{"from": from, "ports": [{"port": 80, "endPort": 70}, {"endPort": 9}]}]}});
        let texts: Vec<_> = check(&policy).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.ingress[0].ports[0].endPort: Invalid value: 70: must be greater than or equal to `port`",
                "spec.ingress[0].ports[1].endPort: Invalid value: 9: may not be specified when `port` is not specified",
                "spec.ingress[0].from[0]: Required value: must specify a peer",
                "spec.ingress[0].from[1].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
                "spec.ingress[0].from[1]: Forbidden: may not specify both ipBlock and another peer",
            ]
        );
    }
}
