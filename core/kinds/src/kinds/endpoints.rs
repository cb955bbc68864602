//! Endpoints: the addresses behind a Service, as clients knew them before EndpointSlices.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules;
use crate::tree::{children, fill, int_at, list_at, str_at};

/// The row of `Endpoints`.
pub static ENDPOINTS: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    version_of: None,
    short_names: &["ep"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.Endpoints",
    strategy: &EndpointsStrategy,
    columns: &[NAME, Column::field("Endpoints", "io.k8s.api.core.v1.Endpoints.subsets"), AGE],
    cells,
    selectable: &[],
};

/// A cell names this many addresses and counts the rest.
const SHOWN: usize = 3;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(o), or_none(endpoints(o)), age_of(o, now)]
}

fn endpoints(o: &Value) -> String {
    let mut all = Vec::new();
    for subset in list_at(o, "/subsets") {
        let addresses = list_at(subset, "/addresses").iter().map(|address| str_at(address, "/ip"));
        let ports = list_at(subset, "/ports");
        if ports.is_empty() {
            all.extend(addresses.map(str::to_owned));
            continue;
        }
        let addresses: Vec<_> = addresses.collect();
        for port in ports {
            let port = int_at(port, "/port").unwrap_or(0);
            all.extend(addresses.iter().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    let shown = all.join(",");
    if more > 0 { format!("{shown} + {more} more...") } else { shown }
}

struct EndpointsStrategy;

impl Strategy for EndpointsStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        for subset in children(object, "subsets") {
            children(subset, "ports").for_each(|port| fill(port, "protocol", "TCP"));
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        check(new)
    }

    fn deprecation(&self) -> Option<&'static str> {
        Some(DEPRECATED)
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        for (at, subset) in list_at(new, "/subsets").iter().enumerate() {
            for list in ["addresses", "notReadyAddresses"] {
                let path = Path::new("subsets").index(at).child(list);
                for (at, address) in list_at(subset, &format!("/{list}")).iter().enumerate() {
                    warnings.extend(odd_spelling(str_at(address, "/ip"), &path.index(at).child("ip")));
                }
            }
        }
        warnings
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

const DEPRECATED: &str = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// An IPv6 address that is not written as it should be.
fn odd_spelling(ip: &str, path: &Path) -> Option<String> {
    let Ok(IpAddr::V6(address)) = ip.parse() else { return None };
    let canonical = address.to_string();
    let (is, should) = (quote(ip), quote(&canonical));
    (canonical != ip).then(|| format!("{path}: IPv6 address {is} should be in RFC 5952 canonical format ({should})"))
}

fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    for (at, subset) in list_at(object, "/subsets").iter().enumerate() {
        check_subset(subset, &Path::new("subsets").index(at), &mut errors);
    }
    errors
}

fn check_subset(subset: &Value, path: &Path, errors: &mut ErrorList) {
    let (ready, others) = (list_at(subset, "/addresses"), list_at(subset, "/notReadyAddresses"));
    if ready.is_empty() && others.is_empty() {
        errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for (list, addresses) in [("addresses", ready), ("notReadyAddresses", others)] {
        for (at, address) in addresses.iter().enumerate() {
            check_address(address, &path.child(list).index(at), errors);
        }
    }
    let ports = list_at(subset, "/ports");
    for (at, port) in ports.iter().enumerate() {
        check_port(port, ports.len() > 1, &path.child("ports").index(at), errors);
    }
}

fn check_address(address: &Value, path: &Path, errors: &mut ErrorList) {
    let ip = str_at(address, "/ip");
    let wrong = names::ip(ip);
    // wire: what is no address at all is told so twice.
    let nothing = wrong.iter().any(|sentence| sentence.starts_with("must be a valid IP"));
    rules::each(ip, wrong, &path.child("ip"), errors);
    if matches!(ip.parse::<IpAddr>(), Ok(IpAddr::V6(v6)) if v6.to_ipv4_mapped().is_some()) {
        errors.push(FieldError::invalid(&path.child("ip"), ip, "must not be an IPv4-mapped IPv6 address"));
    }
    let host = str_at(address, "/hostname");
    if !host.is_empty() {
        rules::each(host, names::dns_label(host), &path.child("hostname"), errors);
    }
    if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
        rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), errors);
    }
    if nothing {
        errors.push(FieldError::invalid(&path.child("ip"), ip, "must be a valid IP address"));
    }
    rules::ordinary_ip(ip, &path.child("ip"), errors);
}

fn check_port(port: &Value, needs_name: bool, path: &Path, errors: &mut ErrorList) {
    let name = str_at(port, "/name");
    if !name.is_empty() {
        rules::each(name, names::dns_label(name), &path.child("name"), errors);
    } else if needs_name {
        errors.push(FieldError::required(&path.child("name"), ""));
    }
    let number = int_at(port, "/port").unwrap_or(0);
    for sentence in names::port_number(number) {
        errors.push(FieldError::invalid(&path.child("port"), number, sentence));
    }
    let known = ["SCTP", "TCP", "UDP"];
    rules::required_one_of(str_at(port, "/protocol"), &known, &path.child("protocol"), errors);
    if let Some(protocol) = port.get("appProtocol").and_then(Value::as_str) {
        rules::each(protocol, names::qualified_name(protocol), &path.child("appProtocol"), errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cell_names_a_few_addresses() {
        let subset =
            json!({"addresses": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "ports": [{"port": 80}, {"port": 81}]});
        let object = json!({"metadata": {"name": "e"}, "subsets": [subset]});
        assert_eq!(endpoints(&object), "10.0.0.1:80,[fd00::1]:80,10.0.0.1:81 + 1 more...");
        assert_eq!(endpoints(&json!({})), "");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |subset: Value, expected: &[&str]| {
            let object = json!({"metadata": {"name": "e"}, "subsets": [subset]});
            let errors = EndpointsStrategy.validate(&object);
            assert_eq!(errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), expected, "{errors:?}");
        };
        let ports = json!([{"port": 80, "protocol": "TCP"}]);
        check(json!({"addresses": [{"ip": "10.0.0.1"}], "ports": ports}), &[]);
        check(json!({"ports": ports}), &["subsets[0]"]);
        check(json!({"addresses": [{"ip": "x"}]}), &["subsets[0].addresses[0].ip", "subsets[0].addresses[0].ip"]);
        check(json!({"addresses": [{"ip": "127.0.0.1"}]}), &["subsets[0].addresses[0].ip"]);
        let two = json!([{"port": 80, "protocol": "TCP", "name": "a"}, {"port": 0, "protocol": "X"}]);
        check(
            json!({"addresses": [{"ip": "10.0.0.1"}], "ports": two}),
            &["subsets[0].ports[1].name", "subsets[0].ports[1].port", "subsets[0].ports[1].protocol"],
        );
    }
}
