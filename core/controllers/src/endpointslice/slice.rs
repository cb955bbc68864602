//! Writing the slices of a Service.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::ENDPOINT_SLICE;
use gantry_kinds::tree::{self, list_at, str_at};
use gantry_view::{Intent, Object, Outcome, Turn, View};
use serde_json::{Map, Value, json};

use super::endpoint::{Group, Groups};
use super::placement::{Present, place};
use super::{HEADLESS, MANAGED_BY, MANAGER, SERVICE_NAME, is_headless};
use crate::{owners, time, write};

/// Annotation with the time of what made a slice change, by which delays are measured.
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Contents of one slice to write.
struct Content {
    ports: Vec<Value>,
    endpoints: Vec<Value>,
    trigger: String,
}

/// The slices of `service` that are ours.
fn own<'a>(service: &'a Object, view: &'a View) -> impl Iterator<Item = (&'a Arc<Object>, Value)> {
    let slices = view.list(&ENDPOINT_SLICE, Some(service.namespace())).filter(move |slice| {
        let labels = &slice.header.labels;
        labels.get(SERVICE_NAME).is_some_and(|name| name == service.name())
            && labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
    });
    slices.map(|slice| (slice, slice.value()))
}

/// Makes the slices of one address type hold what is wanted.
pub(super) fn reconcile(
    service: &Object,
    value: &Value,
    family: &str,
    mut wanted: Groups,
    turn: Turn<'_>,
    outcome: &mut Outcome,
) {
    let labels = labels(service, value);
    let mut present: Vec<(&Arc<Object>, Value)> = own(service, turn.view)
        .filter(|(slice, content)| str_at(content, "/addressType") == family && slice.header.deleted.is_none())
        .collect();
    present.sort_by(|a, b| write::by_age(a.0, b.0));
    if wanted.is_empty() {
        // Without endpoints one empty slice says so.
        wanted.insert("[]".to_owned(), Group::default());
    }
    let mut plan = Plan { unused: (0..present.len()).collect(), ..Plan::default() };
    for group in wanted.into_values() {
        let trigger = time::stamp(group.changed.or(service.header.created).unwrap_or(turn.now));
        plan.arrange(group, trigger, &present, |at| read(&present[at], &labels, service));
    }
    // What would be deleted is filled anew before anything is created.
    let mut unused = plan.unused.into_iter();
    let mut added = plan.added.into_iter();
    let refilled: Vec<_> = (0..unused.len().min(added.len())).filter_map(|_| unused.next().zip(added.next())).collect();
    let updates = plan.changed.into_iter().chain(refilled);
    let updates = updates.filter_map(|(at, content)| update(&present[at], &labels, content, service));
    outcome.intents.extend(updates);
    outcome.intents.extend(added.map(|content| create(service, family, &labels, content)));
    outcome.intents.extend(unused.map(|at| write::delete(present[at].0)));
}

/// What to do with the slices that there are.
#[derive(Default)]
struct Plan {
    changed: Vec<(usize, Content)>,
    added: Vec<Content>,
    /// Slices that nothing is left for.
    unused: BTreeSet<usize>,
}

impl Plan {
    /// Gives the endpoints of one group their slices.
    fn arrange(
        &mut self,
        group: Group,
        trigger: String,
        present: &[(&Arc<Object>, Value)],
        read: impl Fn(usize) -> Present,
    ) {
        let Group { ports, endpoints, .. } = group;
        let places: Vec<usize> =
            (0..present.len()).filter(|at| list_at(&present[*at].1, "/ports") == ports.as_slice()).collect();
        let slices: Vec<Present> = places.iter().map(|at| read(*at)).collect();
        let content = |endpoints| Content { ports: ports.clone(), endpoints, trigger: trigger.clone() };
        if endpoints.is_empty() {
            // One slice stays to say that there is nothing.
            match places.first() {
                Some(first) => {
                    self.unused.remove(first);
                    self.changed.push((*first, content(Vec::new())));
                }
                None => self.added.push(content(Vec::new())),
            }
            return;
        }
        let placement = place(&slices, endpoints);
        for (at, place) in places.iter().enumerate() {
            match placement.changed.get(&at) {
                Some(endpoints) if endpoints.is_empty() => continue,
                Some(endpoints) => self.changed.push((*place, content(endpoints.clone()))),
                None if slices[at].endpoints.is_empty() => continue,
                None => {}
            }
            self.unused.remove(place);
        }
        self.added.extend(placement.added.into_iter().map(content));
    }
}

/// Slices of an address type that the Service has no more go.
pub(super) fn drop_other_families(service: &Object, families: &[&str], view: &View, outcome: &mut Outcome) {
    let others = own(service, view).filter(|(slice, content)| {
        slice.header.deleted.is_none() && !families.contains(&str_at(content, "/addressType"))
    });
    outcome.intents.extend(others.map(|(slice, _)| write::delete(slice)));
}

fn read((slice, content): &(&Arc<Object>, Value), labels: &Map<String, Value>, service: &Object) -> Present {
    let own = content.pointer("/metadata/labels").and_then(Value::as_object);
    let stale = own != Some(labels) || !owners::manages(service, slice);
    Present { endpoints: list_at(content, "/endpoints").to_vec(), stale }
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

fn update(
    (slice, before): &(&Arc<Object>, Value),
    labels: &Map<String, Value>,
    content: Content,
    service: &Object,
) -> Option<Intent> {
    let old = json!({
        "labels": before["metadata"]["labels"],
        "ports": list_at(before, "/ports"), "endpoints": list_at(before, "/endpoints"),
    });
    let new = json!({"labels": labels, "ports": content.ports, "endpoints": content.endpoints});
    let owned = owners::manages(service, slice);
    let mut change = match write::difference(&old, &new) {
        Some(change) => change,
        None if owned => return None,
        None => json!({}),
    };
    let mut metadata = json!({"annotations": {TRIGGER: content.trigger}});
    if let Some(labels) = change.as_object_mut().and_then(|change| change.remove("labels")) {
        metadata["labels"] = labels;
    }
    if !owned {
        metadata["ownerReferences"] = json!([owners::reference(service)]);
    }
    change["metadata"] = metadata;
    Some(write::patch(slice, "", change))
}

fn create(service: &Object, family: &str, labels: &Map<String, Value>, content: Content) -> Intent {
    let body = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", service.name()), "namespace": service.namespace(), "labels": labels,
            "annotations": {TRIGGER: content.trigger}, "ownerReferences": [owners::reference(service)],
        },
        "addressType": family, "endpoints": content.endpoints, "ports": content.ports,
    });
    Intent::Create { kind: &ENDPOINT_SLICE, namespace: service.namespace().to_owned(), body }
}
