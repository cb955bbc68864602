//! Endpoints: the addresses behind a Service in one object, as clients knew them before EndpointSlices.
//!
//! Invariants: at most `ADDRESSES_MAX` addresses in one object, ready ones first; addresses are in the order of their
//! texts; what else somebody wrote into the object's annotations stays. With its Service an object goes, whoever
//! wrote it; one that never had a Service is nobody's business here.

mod api;
mod subsets;

use gantry_kinds::tree::{list_at, map_at};
use gantry_kinds::{ENDPOINTS, POD, SERVICE};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use serde_json::{Map, Value, json};

pub(crate) use self::api::ApiAddresses;
use crate::selected::{HEADLESS, TRIGGER, is_headless, moves_endpoint, selector, services_of_change};
use crate::{Controller, QueueKey, takes_objects, time, write};

/// Addresses in one object at most.
const ADDRESSES_MAX: usize = 1000;
/// Label that says whose an object is.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// What ours say there.
const MANAGER: &str = "endpoint-controller";
/// Annotation of an object from which addresses are missing.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// What it says.
const TRUNCATED: &str = "truncated";

/// The controller of the Endpoints of all Services that select pods.
pub(crate) struct EndpointsOfServices;

impl Controller for EndpointsOfServices {
    fn name(&self) -> &'static str {
        "endpoint-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let services = view.list(&SERVICE, None).map(|service| QueueKey::of(service.key()));
        // What was ours and has lost its Service while nobody looked.
        let ours = view
            .list(&ENDPOINTS, None)
            .filter(|endpoints| endpoints.header.labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER));
        services.chain(ours.map(|endpoints| key(endpoints.key()))).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let kind = change.key.kind;
        if kind == &SERVICE {
            out.push(QueueKey::of(&change.key));
        } else if kind == &ENDPOINTS {
            let has_service = view.get(&SERVICE, &change.key.namespace, &change.key.name).is_some();
            out.extend(has_service.then(|| key(&change.key)));
        } else if kind == &POD && moves_endpoint(change) {
            out.extend(services_of_change(view, change));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(key) = key.object() else { return outcome };
        let there = turn.view.get(&ENDPOINTS, &key.namespace, &key.name);
        let Some(service) = turn.view.at(key) else {
            outcome
                .intents
                .extend(there.filter(|there| there.header.deleted.is_none()).map(|there| write::delete(there)));
            return outcome;
        };
        let value = service.value();
        let Some(selector) = selector(&value).filter(|_| takes_objects(turn.view, service.namespace())) else {
            return outcome;
        };
        let found = subsets::of(service, &value, &selector, turn.view);
        let trigger = time::stamp(found.changed.or(service.header.created).unwrap_or(turn.now));
        let labels = labels(&value);
        outcome.intents.extend(match there {
            None => Some(create(service, labels, found, trigger)),
            Some(there) => update(there, &labels, &found, trigger),
        });
        outcome
    }
}

/// The key of the Service of the same name.
fn key(endpoints: &ObjectKey) -> QueueKey {
    QueueKey::Object(ObjectKey::new(&SERVICE, &endpoints.namespace, &endpoints.name))
}

/// The labels of a Service's Endpoints: its own, and those that say whose they are.
fn labels(service: &Value) -> Map<String, Value> {
    let own = map_at(service, "/metadata/labels").filter(|(name, _)| *name != HEADLESS);
    let mut labels: Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    labels.insert(MANAGED_BY.to_owned(), MANAGER.into());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), "".into());
    }
    labels
}

fn create(service: &Object, labels: Map<String, Value>, found: subsets::Found, trigger: String) -> Intent {
    let mut body = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": service.name(), "namespace": service.namespace(), "labels": labels,
            "annotations": {TRIGGER: trigger},
        },
    });
    if found.truncated {
        body["metadata"]["annotations"][OVER_CAPACITY] = TRUNCATED.into();
    }
    if !found.subsets.is_empty() {
        body["subsets"] = found.subsets.into();
    }
    Intent::Create { kind: &ENDPOINTS, namespace: service.namespace().to_owned(), body }
}

fn update(there: &Object, labels: &Map<String, Value>, found: &subsets::Found, trigger: String) -> Option<Intent> {
    let value = there.value();
    let capacity = map_at(&value, "/metadata/annotations").find(|(name, _)| *name == OVER_CAPACITY);
    let old = json!({
        "labels": value.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({})),
        "capacity": capacity.map(|(_, text)| text), "subsets": list_at(&value, "/subsets"),
    });
    let new = json!({
        "labels": labels, "capacity": found.truncated.then_some(TRUNCATED), "subsets": found.subsets,
    });
    let mut change = write::difference(&old, &new)?;
    let mut patch = json!({"metadata": {"annotations": {TRIGGER: trigger, OVER_CAPACITY: new["capacity"]}}});
    if let Some(labels) = change.get_mut("labels") {
        patch["metadata"]["labels"] = labels.take();
    }
    if change.get("subsets").is_some() {
        patch["subsets"] = if found.subsets.is_empty() { Value::Null } else { found.subsets.clone().into() };
    }
    Some(write::patch(there, "", patch))
}

#[cfg(test)]
mod tests;
