//! What must have come to be once faults have ended and time has passed, as a list of what has not yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{DEPLOYMENT, ENDPOINT_SLICE, LabelSelector, NODE, POD, REPLICA_SET, SERVICE};
use gantry_view::{Object, View};
use serde_json::Value;

use super::counts::is_ready;
use crate::agent::Machines;
use crate::world::World;

/// What is not yet as it must become.
pub fn unsettled(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    world.history.look(|view| {
        leaving(view, &mut left);
        orphans(view, &mut left);
        nodes(view, &world.machines, &mut left);
        pods(view, &world.machines, &mut left);
        view.list(&DEPLOYMENT, None).for_each(|deployment| self::deployment(view, deployment, &mut left));
        view.list(&SERVICE, None).for_each(|service| endpoints(view, service, &mut left));
    });
    for slot in &world.servers {
        let shown = slot.cluster().map(|cluster| world.history.differs(&cluster.view()));
        match shown {
            None => left.push(format!("{} does not run", slot.name)),
            Some(Some(key)) => left.push(format!("{} shows another {key}", slot.name)),
            Some(None) => {}
        }
    }
    left
}

fn leaving(view: &View, left: &mut Vec<String>) {
    for object in gantry_registry::stored_kinds().flat_map(|kind| view.list(kind, None)) {
        if object.header.deleted.is_some() {
            left.push(format!("{} is still being deleted", object.key()));
        }
    }
}

fn orphans(view: &View, left: &mut Vec<String>) {
    for object in gantry_registry::stored_kinds().flat_map(|kind| view.list(kind, None)) {
        let owners = &object.header.owners;
        if !owners.is_empty() && owners.iter().all(|owner| view.by_uid(&owner.uid).is_none()) {
            left.push(format!("the owner of {} is gone", object.key()));
        }
    }
}

fn nodes(view: &View, machines: &Machines, left: &mut Vec<String>) {
    for machine in machines.all() {
        let ready = view.get(&NODE, "", &machine.name).is_some_and(|node| is_ready(node));
        if !ready {
            left.push(format!("{} is not ready", machine.name));
        }
    }
    for node in view.list(&NODE, None) {
        if machines.get(node.name()).is_none() {
            left.push(format!("{} has no machine", node.name()));
        }
        if !list_at(&node.value(), "/spec/taints").is_empty() {
            left.push(format!("{} is tainted", node.name()));
        }
    }
}

/// Pods run where they are bound, are ready, and nothing else runs.
fn pods(view: &View, machines: &Machines, left: &mut Vec<String>) {
    let mut there = BTreeSet::new();
    for pod in view.list(&POD, None) {
        let node = pod.field("spec.nodeName").unwrap_or_default();
        let ended = matches!(pod.field("status.phase"), Some("Failed" | "Succeeded"));
        let container = machines.get(node).and_then(|machine| machine.container(pod.uid()));
        there.insert(pod.uid().to_owned());
        if !node.is_empty() && view.get(&NODE, "", node).is_none() {
            left.push(format!("the node of {} is gone", pod.key()));
        }
        match container {
            Some(_) if ended => left.push(format!("{} has ended and runs", pod.key())),
            Some(_) if !is_ready(pod) => left.push(format!("{} runs and is not ready", pod.key())),
            None if !ended => left.push(format!("{} does not run", pod.key())),
            _ => {}
        }
    }
    for machine in machines.all() {
        let unknown = machine.running().into_iter().filter(|uid| !there.contains(uid));
        left.extend(unknown.map(|uid| format!("{uid} runs on {} and is no pod", machine.name)));
    }
}

fn deployment(view: &View, deployment: &Arc<Object>, left: &mut Vec<String>) {
    let value = deployment.value();
    let wanted = int_at(&value, "/spec/replicas").unwrap_or(1);
    let count = |path: &str| int_at(&value, path).unwrap_or(0);
    if count("/status/observedGeneration") != deployment.header.generation {
        left.push(format!("{} is not observed", deployment.key()));
    }
    let sets: Vec<Value> = view
        .owned_by(deployment.uid())
        .filter(|set| set.key().kind == &REPLICA_SET && set.controller().is_some_and(|o| o.uid == deployment.uid()))
        .map(|set| set.value())
        .collect();
    let paused = value["spec"]["paused"] == true;
    let template = stripped(&value["spec"]["template"]);
    let current: Vec<&Value> = sets.iter().filter(|set| stripped(&set["spec"]["template"]) == template).collect();
    if current.len() > 1 {
        left.push(format!("{} has {} ReplicaSets of one template", deployment.key(), current.len()));
    }
    let of_current: i64 = current.iter().map(|set| int_at(set, "/spec/replicas").unwrap_or(1)).sum();
    let in_all: i64 = sets.iter().map(|set| int_at(set, "/spec/replicas").unwrap_or(1)).sum();
    if !paused && (of_current != wanted || in_all != wanted) {
        left.push(format!("{} wants {wanted}, has {of_current} of {in_all} new", deployment.key()));
    }
    let numbers =
        [("/status/replicas", in_all), ("/status/readyReplicas", in_all), ("/status/availableReplicas", in_all)];
    for (path, expected) in numbers {
        if count(path) != expected {
            left.push(format!("{path} of {} is {}, not {expected}", deployment.key(), count(path)));
        }
    }
    for set in &sets {
        let (asked, there) = (int_at(set, "/spec/replicas").unwrap_or(1), int_at(set, "/status/readyReplicas"));
        let pods = view.owned_by(str_at(set, "/metadata/uid")).filter(|object| object.key().kind == &POD).count();
        if there.unwrap_or(0) != asked || pods as i64 != asked {
            left.push(format!("{} asks for {asked}, has {there:?} of {pods}", str_at(set, "/metadata/name")));
        }
    }
}

/// A template without the label that tells ReplicaSets apart.
fn stripped(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove("pod-template-hash");
    }
    template
}

/// The slices of a Service have exactly the ready pods that it selects.
fn endpoints(view: &View, service: &Arc<Object>, left: &mut Vec<String>) {
    let value = service.value();
    let Some(selector) = value["spec"]["selector"].as_object().filter(|selector| !selector.is_empty()) else { return };
    let labels = selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let Ok(selector) = LabelSelector::parse(&labels.collect::<Vec<_>>().join(",")) else { return };
    let pods = view.list(&POD, Some(service.namespace())).filter(|pod| selector.matches(&pod.header.labels));
    let ready: BTreeSet<String> =
        pods.filter(|pod| is_ready(pod)).map(|pod| str_at(&pod.value(), "/status/podIP").to_owned()).collect();
    let slices = view.list(&ENDPOINT_SLICE, Some(service.namespace()));
    let ours = slices.filter(|slice| {
        slice.header.labels.get("kubernetes.io/service-name").map(String::as_str) == Some(service.name())
    });
    let shown: BTreeSet<String> = ours.flat_map(|slice| addresses(&slice.value())).collect();
    if shown != ready {
        left.push(format!("the endpoints of {} are {shown:?}, and {ready:?} are ready", service.key()));
    }
}

fn addresses(slice: &Value) -> Vec<String> {
    let endpoints = list_at(slice, "/endpoints").iter().filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let addresses = endpoints.flat_map(|endpoint| list_at(endpoint, "/addresses").to_vec());
    addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect()
}
