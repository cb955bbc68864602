//! From the pods of a Service to subsets: addresses that answer on the same ports.

use std::collections::BTreeMap;

use gantry_kinds::{LabelSelector, POD};
use gantry_view::{Object, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ADDRESSES_MAX;
use crate::pod_facts::PodFacts;
use crate::selected::{address, families, hostname, ports, publishes_unready, target};

/// What a Service's Endpoints should say.
pub(super) struct Found {
    pub(super) subsets: Vec<Value>,
    /// Whether there are more addresses than are named.
    pub(super) truncated: bool,
    /// When the last of the pods turned ready or not.
    pub(super) changed: Option<Timestamp>,
}

/// Addresses by text and pod: whether each is ready, and how it is written.
type Addresses = BTreeMap<(String, String), (bool, Value)>;

/// The subsets of a Service.
pub(super) fn of(service: &Object, value: &Value, selector: &LabelSelector, view: &View) -> Found {
    let family = families(value)[0];
    let all = publishes_unready(value);
    let mut changed = None;
    let mut by_port: BTreeMap<Option<String>, (Option<Value>, Addresses)> = BTreeMap::new();
    for pod in view.list(&POD, Some(service.namespace())).filter(|pod| selector.matches(&pod.header.labels)) {
        let facts = PodFacts::of(pod);
        let Some(ip) = address(&facts, family) else { continue };
        if facts.is_terminal() || (pod.header.deleted.is_some() && !all) {
            continue;
        }
        changed = changed.max(facts.ready_since);
        let identity = (ip.clone(), pod.uid().to_owned());
        let written = (all || facts.ready, written(service, pod, &facts, ip));
        let mut answers = |port: Option<Value>| {
            let (_, addresses) = by_port.entry(port.as_ref().map(Value::to_string)).or_insert((port, Addresses::new()));
            addresses.insert(identity.clone(), written.clone());
        };
        if value.pointer("/spec/ports").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            answers(None);
        } else {
            ports(value, &facts).into_iter().map(plain).for_each(|port| answers(Some(port)));
        }
    }
    let mut groups = merged(by_port.into_values());
    let truncated = truncate(&mut groups);
    Found { subsets: groups.into_iter().map(subset).collect(), truncated, changed }
}

/// An address as the object has it.
fn written(service: &Object, pod: &Object, facts: &PodFacts, ip: &str) -> Value {
    let mut address = json!({"ip": ip, "targetRef": target(pod)});
    if !facts.node.is_empty() {
        address["nodeName"] = facts.node.as_str().into();
    }
    if let Some(hostname) = hostname(service, facts) {
        address["hostname"] = hostname.into();
    }
    address
}

/// A port as the object has it: without a name where it has none.
fn plain(mut port: Value) -> Value {
    if let Some(fields) = port.as_object_mut().filter(|fields| fields["name"] == "") {
        fields.remove("name");
    }
    port
}

/// The ports that the same addresses answer on, and ready and other addresses.
struct Group {
    ports: Vec<Value>,
    ready: Vec<Value>,
    others: Vec<Value>,
}

/// Ports with the same addresses become one group; groups are in the order of their first ports.
fn merged(by_port: impl Iterator<Item = (Option<Value>, Addresses)>) -> Vec<Group> {
    let mut groups: Vec<(Vec<Value>, Addresses)> = Vec::new();
    for (port, addresses) in by_port {
        match groups.iter_mut().find(|(_, theirs)| *theirs == addresses) {
            Some((ports, _)) => ports.extend(port),
            None => groups.push((port.into_iter().collect(), addresses)),
        }
    }
    let group = |(ports, addresses): (Vec<Value>, Addresses)| {
        let (ready, others): (Vec<_>, Vec<_>) = addresses.into_values().partition(|(ready, _)| *ready);
        let texts = |list: Vec<(bool, Value)>| list.into_iter().map(|(_, address)| address).collect();
        Group { ports, ready: texts(ready), others: texts(others) }
    };
    groups.into_iter().map(group).collect()
}

/// Leaves out what is too much, first of what is not ready; whether anything was.
fn truncate(groups: &mut Vec<Group>) -> bool {
    let mut room = ADDRESSES_MAX;
    let mut truncated = false;
    let mut cut = |list: &mut Vec<Value>| {
        truncated |= list.len() > room;
        list.truncate(room);
        room -= list.len();
    };
    groups.iter_mut().for_each(|group| cut(&mut group.ready));
    groups.iter_mut().for_each(|group| cut(&mut group.others));
    groups.retain(|group| !group.ready.is_empty() || !group.others.is_empty());
    truncated
}

fn subset(group: Group) -> Value {
    let Group { ports, ready, others } = group;
    let mut subset = json!({});
    for (field, list) in [("addresses", ready), ("notReadyAddresses", others), ("ports", ports)] {
        if !list.is_empty() {
            subset[field] = list.into();
        }
    }
    subset
}
