//! EndpointSlices: where the pods of a Service are, and how they do.
//!
//! Invariants: at most `SLICE_MAX` endpoints in a slice; a change of one pod changes one slice; what is added or
//! changed is written before what is removed; slices of others are left alone.

mod api;
mod endpoint;
mod mirror;
mod placement;
mod slice;

use std::collections::BTreeSet;

use gantry_kinds::{ENDPOINT_SLICE, NODE, POD, SERVICE, tree};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Map, Value};

pub(crate) use self::api::ApiEndpoints;
pub(crate) use self::mirror::Mirrors;
use self::slice::Keeper;
use crate::selected::{HEADLESS, families, is_headless, moves_endpoint, selector, services_of, services_of_change};
use crate::{Controller, QueueKey, takes_objects};

/// Endpoints of one slice at most.
const SLICE_MAX: usize = 100;
/// Label of a slice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label of a slice that says whose it is.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// What ours say there.
const MANAGER: &str = "endpointslice-controller.k8s.io";
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
            out.extend(services_of_change(view, change));
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
        let keeper = Keeper {
            owner: service,
            manager: MANAGER,
            labels: labels(service, &value),
            annotations: None,
            size: SLICE_MAX,
            keeps_empty: true,
        };
        let mut outcome = Outcome::nothing();
        for family in families(&value) {
            let wanted = endpoint::wanted(service, &value, &selector, family, turn.view);
            keeper.reconcile(family, wanted, turn, &mut outcome);
        }
        keeper.drop_other_families(&families(&value), turn.view, &mut outcome);
        outcome
    }
}

/// The zone of a node, and whether there is one at all.
fn zone(node: Option<&Object>) -> (bool, Option<&String>) {
    (node.is_some(), node.and_then(|node| node.header.labels.get(ZONE)))
}

/// The labels of a Service's slices: its own, and those that say whose they are.
fn labels(service: &Object, value: &Value) -> Map<String, Value> {
    let own = tree::map_at(value, "/metadata/labels");
    let mut labels: Map<String, Value> = own
        .filter(|(key, _)| ![SERVICE_NAME, MANAGED_BY, HEADLESS].contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.insert(SERVICE_NAME.to_owned(), Value::from(service.name()));
    labels.insert(MANAGED_BY.to_owned(), Value::from(MANAGER));
    if is_headless(value) {
        labels.insert(HEADLESS.to_owned(), Value::from(""));
    }
    labels
}

#[cfg(test)]
mod tests;
