//! EndpointSlices: where the pods of a Service are, and how they do.
//!
//! Invariants: at most `SLICE_MAX` endpoints in a slice; a change of one pod changes one slice; what is added or
//! changed is written before what is removed; slices of others are left alone.

mod api;
mod endpoint;
mod placement;
mod slice;

use std::collections::BTreeSet;

use gantry_kinds::tree::str_at;
use gantry_kinds::{ENDPOINT_SLICE, LabelSelector, NODE, POD, SERVICE, tree};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};
use serde_json::Value;

pub(crate) use self::api::ApiEndpoints;
use crate::pod_facts::PodFacts;
use crate::{Controller, QueueKey, takes_objects};

/// Endpoints of one slice at most.
const SLICE_MAX: usize = 100;
/// Label of a slice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label of a slice that says whose it is.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// What ours say there.
const MANAGER: &str = "endpointslice-controller.k8s.io";
/// Label of the slices of a Service without an address of its own.
const HEADLESS: &str = "service.kubernetes.io/headless";
/// Label of a node that names its zone.
const ZONE: &str = "topology.kubernetes.io/zone";

/// The controller of the slices of all Services that select pods.
pub(crate) struct EndpointSlices;

impl Controller for EndpointSlices {
    fn name(&self) -> &'static str {
        "endpointslice-controller"
    }

    fn component(&self) -> &'static str {
        "endpoint-slice-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&SERVICE, None).map(|service| QueueKey::of(service.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let kind = change.key.kind;
        if kind == &SERVICE {
            out.push(QueueKey::of(&change.key));
        } else if kind == &ENDPOINT_SLICE {
            let service = change.object().header.labels.get(SERVICE_NAME);
            let key = service.map(|name| ObjectKey::new(&SERVICE, &change.key.namespace, name));
            out.extend(key.map(QueueKey::Object));
        } else if kind == &POD && moves_endpoint(change) {
            for pod in [&change.before, &change.after].into_iter().flatten() {
                out.extend(services_of(view, pod));
            }
        } else if kind == &NODE && zone(change.before.as_deref()) != zone(change.after.as_deref()) {
            let pods = view.by_field(&POD, "spec.nodeName", &change.key.name);
            let services: BTreeSet<QueueKey> = pods.flat_map(|pod| services_of(view, pod)).collect();
            out.extend(services);
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(service) = key.object().and_then(|key| turn.view.at(key)) else { return Outcome::nothing() };
        let value = service.value();
        let alive = service.header.deleted.is_none() && takes_objects(turn.view, service.namespace());
        let Some(selector) = selector(&value).filter(|_| alive) else { return Outcome::nothing() };
        let mut outcome = Outcome::nothing();
        for family in families(&value) {
            let wanted = endpoint::wanted(service, &value, &selector, family, turn.view);
            slice::reconcile(service, &value, family, wanted, turn, &mut outcome);
        }
        slice::drop_other_families(service, &families(&value), turn.view, &mut outcome);
        outcome
    }
}

/// The zone of a node, and whether there is one at all.
fn zone(node: Option<&Object>) -> (bool, Option<&String>) {
    (node.is_some(), node.and_then(|node| node.header.labels.get(ZONE)))
}

/// Whether a change of a pod can be seen in a slice.
fn moves_endpoint(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    if before.header.labels != after.header.labels || before.header.deleted != after.header.deleted {
        return true;
    }
    let (old, new) = (PodFacts::of(before), PodFacts::of(after));
    old.ready != new.ready
        || old.addresses != new.addresses
        || old.node != new.node
        || old.is_terminal() != new.is_terminal()
        || (&old.hostname, &old.subdomain, &old.ports) != (&new.hostname, &new.subdomain, &new.ports)
}

fn services_of(view: &View, pod: &Object) -> Vec<QueueKey> {
    let services = view.list(&SERVICE, Some(pod.namespace()));
    let selecting = services.filter(|service| match service.derived::<Option<LabelSelector>>(read_selector) {
        Some(selector) => selects(selector.as_ref(), pod),
        None => selects(read_selector(service).as_ref(), pod),
    });
    selecting.map(|service| QueueKey::of(service.key())).collect()
}

fn read_selector(service: &Object) -> Option<LabelSelector> {
    selector(&service.value())
}

fn selects(selector: Option<&LabelSelector>, pod: &Object) -> bool {
    selector.is_some_and(|selector| selector.matches(&pod.header.labels))
}

/// The selector of a Service whose endpoints are ours to keep.
fn selector(service: &Value) -> Option<LabelSelector> {
    if str_at(service, "/spec/type") == "ExternalName" {
        return None;
    }
    let labels = service.pointer("/spec/selector")?.as_object()?;
    let labels: std::collections::BTreeMap<String, String> =
        labels.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    (!labels.is_empty()).then(|| LabelSelector::from_labels(&labels))
}

/// The address types of a Service; `IPv4` where it does not say.
fn families(service: &Value) -> Vec<&'static str> {
    let named: Vec<_> = tree::list_at(service, "/spec/ipFamilies")
        .iter()
        .filter_map(|family| ["IPv4", "IPv6"].into_iter().find(|known| family == known))
        .collect();
    if named.is_empty() { vec!["IPv4"] } else { named }
}

fn is_headless(service: &Value) -> bool {
    str_at(service, "/spec/clusterIP") == "None"
}

#[cfg(test)]
mod tests;
