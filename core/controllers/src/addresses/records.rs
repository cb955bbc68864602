//! IPAddresses that somebody removed are made again, and those that no Service has any more go.

use std::sync::Arc;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{IP_ADDRESS, SERVICE};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Value, json};

use super::{FAMILY, MANAGED_BY, MANAGER, is_allocated};
use crate::{Controller, QueueKey, write};

/// The controller of the IPAddresses of Services.
pub(crate) struct AddressRecords;

impl Controller for AddressRecords {
    fn name(&self) -> &'static str {
        "ip-address-repair"
    }

    fn component(&self) -> &'static str {
        "ipallocator-repair-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let all = view.list(&SERVICE, None).chain(view.list(&IP_ADDRESS, None));
        all.map(|object| QueueKey::of(object.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if [&SERVICE, &IP_ADDRESS].contains(&change.key.kind) {
            out.push(QueueKey::of(&change.key));
        }
        if change.key.kind == &IP_ADDRESS && change.after.is_none() {
            out.extend(service_of(&change.object().value()).map(QueueKey::Object));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(object) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        if object.key().kind == &SERVICE {
            missing(object, turn.view, &mut outcome);
        } else if is_allocated(object) && object.header.deleted.is_none() {
            leaked(object, turn.view, &mut outcome);
        }
        outcome
    }
}

/// The Service that an IPAddress names.
fn service_of(address: &Value) -> Option<ObjectKey> {
    let part = |field: &str| str_at(address, &format!("/spec/parentRef/{field}"));
    let of_service = part("group").is_empty() && part("resource") == "services";
    of_service.then(|| ObjectKey::new(&SERVICE, part("namespace"), part("name")))
}

/// The addresses that a Service has.
fn addresses(service: &Value) -> impl Iterator<Item = &str> {
    let has_any = str_at(service, "/spec/type") != "ExternalName";
    let all = list_at(service, "/spec/clusterIPs").iter().filter(move |_| has_any).filter_map(Value::as_str);
    all.filter(|address| !["", "None"].contains(address))
}

fn missing(service: &Object, view: &View, outcome: &mut Outcome) {
    let value = service.value();
    for address in addresses(&value).filter(|address| view.get(&IP_ADDRESS, "", address).is_none()) {
        let family = if address.contains(':') { "IPv6" } else { "IPv4" };
        let body = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
            "metadata": {"name": address, "labels": {FAMILY: family, MANAGED_BY: MANAGER}},
            "spec": {"parentRef": {
                "resource": "services", "namespace": service.namespace(), "name": service.name(),
            }},
        });
        let message = format!("Cluster IP [{family}]: {address} is not allocated; repairing");
        outcome.push(write::warning(service.key(), "ClusterIPNotAllocated", message));
        outcome.push(Intent::Create { kind: &IP_ADDRESS, namespace: String::new(), body });
    }
}

fn leaked(address: &Arc<Object>, view: &View, outcome: &mut Outcome) {
    let service = service_of(&address.value());
    let has = |service: &Arc<Object>| addresses(&service.value()).any(|has| has == address.name());
    if service.as_ref().and_then(|key| view.at(key)).is_some_and(has) {
        return;
    }
    let (namespace, name) = service.as_ref().map_or(("", ""), |key| (&*key.namespace, &*key.name));
    let message =
        format!("IPAddress: {} for Service {namespace}/{name} appears to have leaked: cleaning up", address.name());
    outcome.push(write::warning(address.key(), "IPAddressNotAllocated", message));
    outcome.push(write::delete(address));
}
