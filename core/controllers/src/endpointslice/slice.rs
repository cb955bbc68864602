//! Writing the slices of one Service that one controller keeps.

use std::collections::BTreeSet;
use std::sync::Arc;

use gantry_kinds::ENDPOINT_SLICE;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Intent, Object, Outcome, Turn, View};
use serde_json::{Map, Value, json};

use super::endpoint::{Group, Groups};
use super::placement::{Present, place};
use super::{MANAGED_BY, SERVICE_NAME};
use crate::selected::TRIGGER;
use crate::{owners, time, write};

/// Slices that belong together: whose they are, and how they look.
pub(super) struct Keeper<'a> {
    /// Who they belong to: an object with the Service's name.
    pub(super) owner: &'a Object,
    /// What they say of who keeps them.
    pub(super) manager: &'static str,
    /// Their labels.
    pub(super) labels: Map<String, Value>,
    /// Their annotations; where nothing is said, the time of what made a slice change.
    pub(super) annotations: Option<Map<String, Value>>,
    /// Endpoints of one slice at most.
    pub(super) size: usize,
    /// Whether an empty slice says that there are no endpoints.
    pub(super) keeps_empty: bool,
}

/// Contents of one slice to write.
struct Content {
    ports: Vec<Value>,
    endpoints: Vec<Value>,
    trigger: String,
}

/// The slices of the Service `name` that `manager` keeps and nobody has deleted.
fn own<'a>(
    namespace: &'a str,
    name: &'a str,
    manager: &'a str,
    view: &'a View,
) -> impl Iterator<Item = (&'a Arc<Object>, Value)> {
    let slices = view.list(&ENDPOINT_SLICE, Some(namespace)).filter(move |slice| {
        let labels = &slice.header.labels;
        labels.get(SERVICE_NAME).is_some_and(|service| service == name)
            && labels.get(MANAGED_BY).is_some_and(|by| by == manager)
            && slice.header.deleted.is_none()
    });
    slices.map(|slice| (slice, slice.value()))
}

/// Takes all slices of the Service `name` away that `manager` keeps.
pub(super) fn drop_all(namespace: &str, name: &str, manager: &str, view: &View, outcome: &mut Outcome) {
    outcome.intents.extend(own(namespace, name, manager, view).map(|(slice, _)| write::delete(slice)));
}

impl Keeper<'_> {
    fn own<'v>(&'v self, view: &'v View) -> impl Iterator<Item = (&'v Arc<Object>, Value)> {
        own(self.owner.namespace(), self.owner.name(), self.manager, view)
    }

    /// Makes the slices of one address type hold what is wanted.
    pub(super) fn reconcile(&self, family: &str, mut wanted: Groups, turn: Turn<'_>, outcome: &mut Outcome) {
        let of_family = |(_, content): &(&Arc<Object>, Value)| str_at(content, "/addressType") == family;
        let mut present: Vec<(&Arc<Object>, Value)> = self.own(turn.view).filter(of_family).collect();
        present.sort_by(|a, b| write::by_age(a.0, b.0));
        if wanted.is_empty() && self.keeps_empty {
            // Without endpoints one empty slice says so.
            wanted.insert("[]".to_owned(), Group::default());
        }
        let mut plan = Plan { unused: (0..present.len()).collect(), ..Plan::default() };
        for group in wanted.into_values() {
            let trigger = time::stamp(group.changed.or(self.owner.header.created).unwrap_or(turn.now));
            plan.arrange(group, trigger, self.size, &present, |at| self.read(&present[at]));
        }
        // What would be deleted is filled anew before anything is created.
        let mut unused = plan.unused.into_iter();
        let mut added = plan.added.into_iter();
        let refilled: Vec<_> =
            (0..unused.len().min(added.len())).filter_map(|_| unused.next().zip(added.next())).collect();
        let updates = plan.changed.into_iter().chain(refilled);
        let updates = updates.filter_map(|(at, content)| self.update(&present[at], content));
        outcome.intents.extend(updates);
        outcome.intents.extend(added.map(|content| self.create(family, content)));
        outcome.intents.extend(unused.map(|at| write::delete(present[at].0)));
    }

    /// Slices of an address type that the Service has no more go.
    pub(super) fn drop_other_families(&self, families: &[&str], view: &View, outcome: &mut Outcome) {
        let others = self.own(view).filter(|(_, content)| !families.contains(&str_at(content, "/addressType")));
        outcome.intents.extend(others.map(|(slice, _)| write::delete(slice)));
    }

    fn read(&self, (slice, content): &(&Arc<Object>, Value)) -> Present {
        let map = |pointer: &str| content.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        let stale = map("/metadata/labels") != self.labels
            || self.annotations.as_ref().is_some_and(|wanted| map("/metadata/annotations") != *wanted)
            || !owners::manages(self.owner, slice);
        Present { endpoints: list_at(content, "/endpoints").to_vec(), stale }
    }

    fn update(&self, (slice, before): &(&Arc<Object>, Value), content: Content) -> Option<Intent> {
        let mut old = json!({
            "labels": before["metadata"]["labels"],
            "ports": list_at(before, "/ports"), "endpoints": list_at(before, "/endpoints"),
        });
        let mut new = json!({"labels": self.labels, "ports": content.ports, "endpoints": content.endpoints});
        if let Some(annotations) = &self.annotations {
            old["annotations"] = before.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
            new["annotations"] = json!(annotations);
        }
        let owned = owners::manages(self.owner, slice);
        let mut change = match write::difference(&old, &new) {
            Some(change) => change,
            None if owned => return None,
            None => json!({}),
        };
        let mut metadata = match self.annotations {
            None => json!({"annotations": {TRIGGER: content.trigger}}),
            Some(_) => json!({}),
        };
        for field in ["labels", "annotations"] {
            if let Some(part) = change.as_object_mut().and_then(|change| change.remove(field)) {
                metadata[field] = part;
            }
        }
        if !owned {
            metadata["ownerReferences"] = json!([owners::reference(self.owner)]);
        }
        change["metadata"] = metadata;
        Some(write::patch(slice, "", change))
    }

    fn create(&self, family: &str, content: Content) -> Intent {
        let (namespace, name) = (self.owner.namespace(), self.owner.name());
        let annotations = match &self.annotations {
            None => json!({TRIGGER: content.trigger}),
            Some(annotations) => json!(annotations),
        };
        let body = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "generateName": format!("{name}-"), "namespace": namespace, "labels": self.labels,
                "annotations": annotations, "ownerReferences": [owners::reference(self.owner)],
            },
            "addressType": family, "endpoints": content.endpoints, "ports": content.ports,
        });
        Intent::Create { kind: &ENDPOINT_SLICE, namespace: namespace.to_owned(), body }
    }
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
        size: usize,
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
        let placement = place(&slices, endpoints, size);
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
