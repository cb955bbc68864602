//! EndpointSlices.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointHints, EndpointPort, EndpointSlice};
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{children, list_at, set_default, str_at, text};
use crate::typed;

/// The row of `EndpointSlice`.
pub static ENDPOINT_SLICE: Kind = Kind {
    group: "discovery.k8s.io",
    version: "v1",
    kind: "EndpointSlice",
    plural: "endpointslices",
    singular: "endpointslice",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.discovery.v1.EndpointSlice",
    strategy: &EndpointSliceStrategy,
    columns: &[
        NAME,
        Column::field("AddressType", "io.k8s.api.discovery.v1.EndpointSlice.addressType"),
        Column::field("Ports", "io.k8s.api.discovery.v1.EndpointSlice.ports"),
        Column::field("Endpoints", "io.k8s.api.discovery.v1.EndpointSlice.endpoints"),
        AGE,
    ],
    cells,
    selectable: &[],
};

const ENDPOINTS_MAX: usize = 1000;
const PORTS_MAX: usize = 20000;
/// An endpoint has at most this many hints of a kind.
const HINTS_MAX: usize = 8;
const ADDRESSES_MAX: usize = 100;
/// A cell names this many ports or addresses and counts the rest.
const SHOWN: usize = 3;

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let port = |p: &Value| if p.get("port").is_some() { text(p, "/port") } else { text(p, "/name") };
    let ports = list_at(o, "/ports").iter().map(port).collect();
    let endpoints = list_at(o, "/endpoints").iter();
    let addresses = endpoints.flat_map(|e| list_at(e, "/addresses")).filter_map(Value::as_str).map(str::to_owned);
    vec![
        name(o),
        Value::from(str_at(o, "/addressType")),
        Value::from(some_of(ports)),
        Value::from(some_of(addresses.collect())),
        age_of(o, now),
    ]
}

fn some_of(all: Vec<String>) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let shown = all.into_iter().take(SHOWN).collect::<Vec<_>>().join(",");
    match more {
        0 if shown.is_empty() => "<unset>".to_owned(),
        0 => shown,
        more => format!("{shown} + {more} more..."),
    }
}

struct EndpointSliceStrategy;

impl Strategy for EndpointSliceStrategy {
    fn default(&self, object: &mut Value) {
        let Some(slice) = object.as_object_mut() else { return };
        for port in children(slice, "ports") {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
        // Only an older version of the kind has a topology of its own.
        for endpoint in children(slice, "endpoints") {
            endpoint.remove("deprecatedTopology");
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let slice = match typed::whole::<EndpointSlice>(object) {
            Ok(slice) => slice,
            Err(error) => return vec![error],
        };
        let mut errors = ErrorList::new();
        check_ports(slice.ports.as_deref().unwrap_or_default(), &mut errors);
        check_endpoints(&slice, &mut errors);
        let family = Path::new("addressType");
        rules::required_one_of(&slice.address_type, &["FQDN", "IPv4", "IPv6"], &family, &mut errors);
        for (at, endpoint) in slice.endpoints.iter().flatten().enumerate() {
            if endpoint.addresses.is_empty() {
                let path = Path::new("endpoints").index(at).child("addresses");
                errors.push(FieldError::required(&path, ""));
            }
        }
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = self.validate(new);
        if new.get("addressType") != old.get("addressType") {
            errors.push(FieldError::invalid(&Path::new("addressType"), Value::Null, IMMUTABLE));
        }
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let fqdn = str_at(new, "/addressType") == "FQDN";
        fqdn.then(|| "spec.addressType: FQDN endpoints are deprecated".to_owned()).into_iter().collect()
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn bumps_generation(&self, new: &Value, old: &Value, _update: Update<'_>) -> bool {
        let labels = "/metadata/labels";
        ["addressType", "endpoints", "ports"].iter().any(|field| new.get(field) != old.get(field))
            || new.pointer(labels) != old.pointer(labels)
    }
}

fn check_ports(ports: &[EndpointPort], errors: &mut ErrorList) {
    let root = Path::new("ports");
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many(&root, ports.len(), PORTS_MAX));
        return;
    }
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = root.index(at);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            rules::each(name, names::dns_label(name), &path.child("name"), errors);
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&path.child("name"), name));
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        rules::one_of(protocol, &["SCTP", "TCP", "UDP"], &path.child("protocol"), errors);
        if let Some(app) = &port.app_protocol {
            rules::each(app, names::qualified_name(app), &path.child("appProtocol"), errors);
        }
    }
}

fn check_endpoints(slice: &EndpointSlice, errors: &mut ErrorList) {
    let root = Path::new("endpoints");
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many(&root, endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (at, endpoint) in endpoints.iter().enumerate() {
        check_endpoint(endpoint, &slice.address_type, &root.index(at), errors);
    }
}

fn check_endpoint(endpoint: &Endpoint, family: &str, path: &Path, errors: &mut ErrorList) {
    let addresses = path.child("addresses");
    if endpoint.addresses.len() > ADDRESSES_MAX {
        errors.push(FieldError::too_many(&addresses, endpoint.addresses.len(), ADDRESSES_MAX));
    } else {
        for (at, address) in endpoint.addresses.iter().enumerate() {
            check_address(address, family, &addresses, at, errors);
        }
    }
    if let Some(node) = endpoint.node_name.as_deref() {
        rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), errors);
    }
    if let Some(hostname) = endpoint.hostname.as_deref() {
        rules::each(hostname, names::dns_label(hostname), &path.child("hostname"), errors);
    }
    if let Some(hints) = &endpoint.hints {
        check_hints(hints, &path.child("hints"), errors);
    }
}

/// Zones and nodes that an endpoint should serve.
fn check_hints(hints: &EndpointHints, path: &Path, errors: &mut ErrorList) {
    let zones: Vec<_> = hints.for_zones.iter().flatten().map(|zone| zone.name.as_str()).collect();
    let nodes: Vec<_> = hints.for_nodes.iter().flatten().map(|node| node.name.as_str()).collect();
    check_hint_names(&zones, names::label_value, &path.child("forZones"), errors);
    check_hint_names(&nodes, names::dns_subdomain, &path.child("forNodes"), errors);
}

fn check_hint_names(given: &[&str], rule: fn(&str) -> Vec<String>, path: &Path, errors: &mut ErrorList) {
    if given.len() > HINTS_MAX {
        errors.push(FieldError::too_many(path, given.len(), HINTS_MAX));
        return;
    }
    for (at, name) in given.iter().enumerate() {
        let path = path.index(at).child("name");
        if given[..at].contains(name) {
            errors.push(FieldError::duplicate(&path, *name));
        }
        rules::each(name, rule(name), &path, errors);
    }
}

fn check_address(address: &str, family: &str, path: &Path, at: usize, errors: &mut ErrorList) {
    let here = path.index(at);
    match family {
        "FQDN" if address.is_empty() => errors.push(FieldError::required(&here, "")),
        "FQDN" => {
            let wrong = names::dns_subdomain(address);
            if wrong.is_empty() && !address.trim_end_matches('.').contains('.') {
                let detail = "should be a domain with at least two segments separated by dots";
                errors.push(FieldError::invalid(&here, address, detail));
            }
            rules::each(address, wrong, &here, errors);
        }
        "IPv4" | "IPv6" => {
            let wrong = names::ip(address);
            let valid = wrong.is_empty();
            rules::each(address, wrong, &here, errors);
            if valid && address.contains(':') != (family == "IPv6") {
                let detail = if family == "IPv4" { "must be an IPv4 address" } else { "must be an IPv6 address" };
                errors.push(FieldError::invalid(path, address, detail));
            }
            rules::ordinary_ip(address, &here, errors);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_name_three() {
        let check = |object: Value, expected: [&str; 2]| {
            let row = cells(&object, Timestamp::UNIX_EPOCH);
            assert_eq!(Value::from(&row[2..4]), json!(expected));
        };
        check(json!({}), ["<unset>", "<unset>"]);
        check(
            json!({"ports": [{"port": 1}, {"name": "x"}],
                "endpoints": [{"addresses": ["a", "b"]}, {"addresses": ["c", "d"]}]}),
            ["1,x", "a,b,c + 1 more..."],
        );
    }

    #[test]
    fn addresses_are_of_the_family_and_ordinary() {
        let check = |address: &str, expected: &[&str]| {
            let slice = json!({"addressType": "IPv4", "endpoints": [{"addresses": [address]}]});
            let errors = EndpointSliceStrategy.validate(&slice);
            assert_eq!(errors.iter().map(|e| e.path.to_string()).collect::<Vec<_>>(), expected, "{address}");
        };
        check("10.0.0.1", &[]);
        check("a", &["endpoints[0].addresses[0]"]);
        check("2001:db8::1", &["endpoints[0].addresses"]);
        check("127.0.0.1", &["endpoints[0].addresses[0]"]);
    }
}
