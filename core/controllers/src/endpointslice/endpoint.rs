//! From the pods of a Service to endpoints, grouped by the ports that they answer on.

use std::collections::BTreeMap;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LabelSelector, NODE, POD};
use gantry_view::{Object, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ZONE;
use crate::pod_facts::PodFacts;
use crate::selected::{address, hostname, ports, publishes_unready, target};

/// The endpoints of all pods that answer on the same ports.
#[derive(Default)]
pub(super) struct Group {
    pub(super) ports: Vec<Value>,
    /// By identity.
    pub(super) endpoints: BTreeMap<String, Value>,
    /// When the last of them turned ready or not.
    pub(super) changed: Option<Timestamp>,
}

/// Groups by the text of their ports.
pub(super) type Groups = BTreeMap<String, Group>;

/// What the slices of one address type should hold.
pub(super) fn wanted(service: &Object, value: &Value, selector: &LabelSelector, family: &str, view: &View) -> Groups {
    let mut groups = Groups::new();
    for pod in view.list(&POD, Some(service.namespace())) {
        if !selector.matches(&pod.header.labels) {
            continue;
        }
        let facts = PodFacts::of(pod);
        let Some(endpoint) = endpoint(service, value, pod, &facts, family, view) else { continue };
        let ports = ports(value, &facts);
        let group = groups.entry(Value::from(ports.clone()).to_string()).or_default();
        group.ports = ports;
        group.changed = group.changed.max(facts.ready_since);
        group.endpoints.insert(identity(&endpoint), endpoint);
    }
    groups
}

/// By what an endpoint is known again: its pod and its address.
pub(super) fn identity(endpoint: &Value) -> String {
    let address = list_at(endpoint, "/addresses").first().and_then(Value::as_str).unwrap_or_default();
    format!("{} {address}", str_at(endpoint, "/targetRef/uid"))
}

fn endpoint(
    service: &Object,
    value: &Value,
    pod: &Object,
    facts: &PodFacts,
    family: &str,
    view: &View,
) -> Option<Value> {
    let address = address(facts, family)?;
    if facts.is_terminal() {
        return None;
    }
    let node = view.get(&NODE, "", &facts.node)?;
    let terminating = pod.header.deleted.is_some();
    let unready_too = publishes_unready(value);
    let mut endpoint = json!({
        "addresses": [address],
        "conditions": {
            "ready": unready_too || (facts.ready && !terminating), "serving": facts.ready, "terminating": terminating,
        },
        "nodeName": facts.node,
        "targetRef": target(pod),
    });
    if let Some(hostname) = hostname(service, facts) {
        endpoint["hostname"] = Value::from(hostname);
    }
    if let Some(zone) = node.header.labels.get(ZONE) {
        endpoint["zone"] = Value::from(zone.as_str());
    }
    Some(endpoint)
}
