//! Quotas: `status.hard` is what the spec bounds, `status.used` what the namespace's objects use of it. Admission adds
//! to it what new objects take; this controller counts everything anew when something may have been given back.
//!
//! Invariants: a count holds only for the revision of the quota that it was made on, so that it never undoes what
//! admission has added since.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_kinds::quota::{Amounts, amounts, concerns, covers, usage};
use gantry_kinds::tree::map_at;
use gantry_kinds::{KindRef, POD, Quantity, RESOURCE_QUOTA};
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{Controller, QueueKey, write};

/// How often everything is counted, changes or not: pods that do not end in time cease to count by the clock.
const RECOUNT: Duration = Duration::from_secs(300);

/// The controller of quotas.
pub(crate) struct ResourceQuotas;

impl Controller for ResourceQuotas {
    fn name(&self) -> &'static str {
        "resourcequota-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&RESOURCE_QUOTA, None).map(|quota| QueueKey::of(quota.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let kind = change.key.kind;
        if kind == &RESOURCE_QUOTA && change.after.is_some() {
            out.push(QueueKey::of(&change.key));
        }
        if change.key.namespace.is_empty() {
            return;
        }
        for quota in view.list(&RESOURCE_QUOTA, Some(&change.key.namespace)) {
            // Whatever was written together with the quota has been added to it.
            let added = change.before.is_none() && quota.header.revision == change.revision;
            if !added && is_bounded(quota, kind) && matters(change) {
                out.push(QueueKey::of(quota.key()));
            }
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(quota) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = quota.value();
        let hard: Map<String, Value> =
            map_at(&value, "/spec/hard").map(|(name, amount)| (name.clone(), amount.clone())).collect();
        let mut used = Map::new();
        for (resource, amount) in count(turn.view, quota.namespace(), &value["spec"], turn.now) {
            used.insert(resource, amount.to_string().into());
        }
        let status = json!({"hard": hard, "used": used});
        outcome.intents.extend(write::status(quota, &value["status"], &status));
        outcome.again_in(RECOUNT);
        outcome
    }
}

/// Whether a change can have changed what an object uses. Of pods only the status changes often.
fn matters(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    if change.key.kind != &POD {
        return true;
    }
    let (before, after) = (before.value(), after.value());
    let parts = ["/status/phase", "/spec", "/metadata/deletionTimestamp", "/metadata/deletionGracePeriodSeconds"];
    parts.iter().any(|part| before.pointer(part) != after.pointer(part))
        || before.pointer("/status/containerStatuses/0/resources")
            != after.pointer("/status/containerStatuses/0/resources")
}

/// Whether the quota bounds something that objects of the kind use.
fn is_bounded(quota: &Object, kind: KindRef) -> bool {
    map_at(&quota.value(), "/spec/hard").any(|(resource, _)| concerns(kind, resource))
}

/// The stored kinds whose objects use a resource.
fn kinds_of(kinds: &[KindRef], resource: &str) -> Vec<KindRef> {
    kinds.iter().copied().filter(|kind| kind.namespaced && concerns(kind, resource)).collect()
}

/// What the objects of a namespace use of what a quota bounds. Of a resource that no kind uses nothing is said.
fn count(view: &View, namespace: &str, spec: &Value, now: Timestamp) -> Amounts {
    let hard = amounts(spec, "/hard");
    let mut used = Amounts::new();
    let (stored, mut kinds) = (view.stored_kinds(), BTreeSet::new());
    for resource in hard.keys() {
        let users = kinds_of(&stored, resource);
        if !users.is_empty() {
            used.insert(resource.clone(), Quantity::ZERO);
        }
        kinds.extend(users);
    }
    for kind in kinds {
        for object in view.list(kind, Some(namespace)) {
            let object = object.value();
            if !covers(spec, kind, &object) {
                continue;
            }
            for (resource, amount) in usage(kind, &object, now) {
                if let Some(sum) = used.get_mut(&resource) {
                    *sum = sum.add(&amount);
                }
            }
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{CONFIG_MAP, DEPLOYMENT};
    use gantry_view::ObjectKey;

    use super::*;
    use crate::harness::World;

    fn used(world: &World, key: &ObjectKey) -> Value {
        world.view.at(key).unwrap().value()["status"]["used"].clone()
    }

    #[test]
    fn what_is_gone_or_has_ended_is_given_back() {
        let mut world = World::new();
        let hard = json!({"pods": "5", "requests.cpu": "2", "count/deployments.apps": "1", "count/foos.bar": "1"});
        let quota = json!({"metadata": {"name": "q", "namespace": "web"}, "spec": {"hard": hard}});
        let key = world.put(&RESOURCE_QUOTA, quota);
        let resources = json!({"requests": {"cpu": "300m"}});
        let mut pods = Vec::new();
        for name in ["a", "b", "c"] {
            let metadata = json!({"name": name, "namespace": "web"});
            let spec = json!({"containers": [{"name": "c", "resources": resources}]});
            pods.push(world.put(&POD, json!({"metadata": metadata, "spec": spec})));
        }
        world.put(&DEPLOYMENT, json!({"metadata": {"name": "d", "namespace": "web"}}));
        world.settle(&mut [&mut ResourceQuotas]);
        let expected = json!({"count/deployments.apps": "1", "pods": "3", "requests.cpu": "900m"});
        assert_eq!(used(&world, &key), expected);
        assert_eq!(world.view.at(&key).unwrap().value()["status"]["hard"], hard);
        world.remove(&pods[0]);
        world.merge(&pods[1], json!({"status": {"phase": "Succeeded"}}));
        world.settle(&mut [&mut ResourceQuotas]);
        let expected = json!({"count/deployments.apps": "1", "pods": "1", "requests.cpu": "300m"});
        assert_eq!(used(&world, &key), expected);
    }

    #[test]
    fn only_changes_of_what_is_bounded_are_counted() {
        let mut world = World::new();
        let quota = json!({"metadata": {"name": "q", "namespace": "web"}, "spec": {"hard": {"configmaps": "5"}}});
        let key = world.put(&RESOURCE_QUOTA, quota);
        let asked = |world: &mut World, kind: KindRef| {
            world.changes.clear();
            world.put(kind, json!({"metadata": {"name": "x", "namespace": "web"}}));
            let (change, mut keys) = (world.changes[0].clone(), Vec::new());
            ResourceQuotas.keys(&change, &world.view, &mut keys);
            keys
        };
        assert_eq!(asked(&mut world, &CONFIG_MAP), [QueueKey::of(&key)]);
        assert_eq!(asked(&mut world, &DEPLOYMENT), []);
    }
}
