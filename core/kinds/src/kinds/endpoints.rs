//! Endpoints: the addresses behind a Service, as clients knew them before EndpointSlices.

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::{ErrorList, FieldError, Path};
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
        check(object, None)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        check(new, Some(old))
    }

    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        vec!["v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice".to_owned()]
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn check(object: &Value, _old: Option<&Value>) -> ErrorList {
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
    if ip.parse::<IpAddr>().is_err() {
        rules::each(ip, names::ip(ip), &path.child("ip"), errors);
    }
    let host = str_at(address, "/hostname");
    if !host.is_empty() {
        rules::each(host, names::dns_label(host), &path.child("hostname"), errors);
    }
    if let Some(node) = address.get("nodeName").and_then(Value::as_str) {
        rules::each(node, names::dns_subdomain(node), &path.child("nodeName"), errors);
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
    let protocol = str_at(port, "/appProtocol");
    if !protocol.is_empty() {
        rules::each(protocol, names::qualified_name(protocol), &path.child("appProtocol"), errors);
    }
}
