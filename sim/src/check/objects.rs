//! What holds for single objects and between few of them: uids are used once and stay, what is allocated is
//! allocated once, nothing is made in a namespace that goes, and pods are bound where they fit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{NAMESPACE, NODE, POD, Quantity, SERVICE};
use gantry_view::{Change, Object, View};
use tokio::time::Instant;

pub(super) struct Objects {
    slack: Duration,
    uids: BTreeSet<String>,
    /// Since when nodes take no pods.
    cordoned: BTreeMap<String, Instant>,
}

impl Objects {
    pub(super) fn new(slack: Duration, view: &View) -> Self {
        let namespaces = view.list(&NAMESPACE, None).map(|object| object.uid().to_owned());
        Objects { slack, uids: namespaces.collect(), cordoned: BTreeMap::new() }
    }

    pub(super) fn step(&mut self, change: &Change, view: &View, at: Instant, found: &mut Vec<String>) {
        self.identity(change, found);
        let Some(after) = &change.after else {
            self.cordoned.remove(&*change.key.name);
            return;
        };
        if change.before.is_none() {
            in_a_namespace_that_stays(after, view, found);
        }
        if change.key.kind == &SERVICE {
            service(after, view, found);
        } else if change.key.kind == &NODE {
            self.node(after, view, at, found);
        } else if change.key.kind == &POD {
            self.bound(change, after, view, at, found);
        }
    }

    fn identity(&mut self, change: &Change, found: &mut Vec<String>) {
        match (&change.before, &change.after) {
            (None, Some(after)) if !after.uid().is_empty() && !self.uids.insert(after.uid().to_owned()) => {
                found.push(format!("{} is made with a uid that was used before: {}", change.key, after.uid()));
            }
            (Some(before), Some(after)) if before.uid() != after.uid() => {
                found.push(format!("{} becomes another object without being deleted", change.key));
            }
            (Some(before), Some(after)) if before.header.generation > after.header.generation => {
                found.push(format!("the generation of {} goes back", change.key));
            }
            _ => {}
        }
    }

    fn node(&mut self, node: &Object, view: &View, at: Instant, found: &mut Vec<String>) {
        let value = node.value();
        if value["spec"]["unschedulable"] == true {
            self.cordoned.entry(node.name().to_owned()).or_insert(at);
        } else {
            self.cordoned.remove(node.name());
        }
        let cidr = str_at(&value, "/spec/podCIDR").to_owned();
        let others = view.list(&NODE, None).filter(|other| other.name() != node.name());
        let same = others.filter(|other| !cidr.is_empty() && str_at(&other.value(), "/spec/podCIDR") == cidr);
        found.extend(same.map(|other| format!("the nodes {} and {} both have {cidr}", node.name(), other.name())));
    }

    fn bound(&self, change: &Change, pod: &Object, view: &View, at: Instant, found: &mut Vec<String>) {
        let node = pod.field("spec.nodeName").unwrap_or_default();
        let before = change.before.as_ref().and_then(|before| before.field("spec.nodeName")).unwrap_or_default();
        if node == before {
            return;
        }
        if !before.is_empty() {
            found.push(format!("{} moves from {before} to {node}", change.key));
        }
        if self.cordoned.get(node).is_some_and(|since| at.duration_since(*since) > self.slack) {
            found.push(format!("{} is bound to {node}, which has long been cordoned", change.key));
        }
        let Some(object) = view.get(&NODE, "", node) else { return };
        let room = milli(str_at(&object.value(), "/status/allocatable/cpu"));
        let there = view.by_field(&POD, "spec.nodeName", node).filter(|pod| !has_ended(pod));
        let used: i64 = there.map(|pod| requests(pod)).sum();
        if used > room {
            found.push(format!("{} is bound to {node}, which has {room}m CPU for {used}m", change.key));
        }
    }
}

fn has_ended(pod: &Object) -> bool {
    matches!(pod.field("status.phase"), Some("Failed" | "Succeeded"))
}

fn requests(pod: &Object) -> i64 {
    let value = pod.value();
    let containers = list_at(&value, "/spec/containers").iter();
    containers.map(|container| milli(str_at(container, "/resources/requests/cpu"))).sum()
}

fn milli(text: &str) -> i64 {
    Quantity::parse(text).map_or(0, |quantity| quantity.milli_value())
}

fn in_a_namespace_that_stays(object: &Object, view: &View, found: &mut Vec<String>) {
    if object.namespace().is_empty() || !object.key().kind.namespaced {
        return;
    }
    match view.get(&NAMESPACE, "", object.namespace()) {
        None => found.push(format!("{} is made in a namespace that is not there", object.key())),
        Some(namespace) if namespace.header.deleted.is_some() => {
            found.push(format!("{} is made in a namespace that is being deleted", object.key()));
        }
        Some(_) => {}
    }
}

fn service(service: &Object, view: &View, found: &mut Vec<String>) {
    let value = service.value();
    let ip = str_at(&value, "/spec/clusterIP");
    let ports = node_ports(service);
    for other in view.list(&SERVICE, None).filter(|other| other.uid() != service.uid()) {
        if !["", "None"].contains(&ip) && str_at(&other.value(), "/spec/clusterIP") == ip {
            found.push(format!("{} and {} both have {ip}", service.key(), other.key()));
        }
        if ports.intersection(&node_ports(other)).next().is_some() {
            found.push(format!("{} and {} share a node port", service.key(), other.key()));
        }
    }
}

fn node_ports(service: &Object) -> BTreeSet<i64> {
    let value = service.value();
    list_at(&value, "/spec/ports").iter().filter_map(|port| port["nodePort"].as_i64()).filter(|p| *p > 0).collect()
}
