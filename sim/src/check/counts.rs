//! Numbers of pods: never more than a ReplicaSet asks for, never more asked for than a Deployment's surge allows,
//! and never fewer left available than it demands; each measured against everything that somebody who acts now
//! may have seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{DEPLOYMENT, POD, REPLICA_SET};
use gantry_view::{Change, Object, View};
use serde_json::Value;
use tokio::time::Instant;

use super::window::Window;

pub(super) struct Counts {
    slack: Duration,
    /// By uid of a ReplicaSet: how many pods it asked for, and how many of them were available.
    sets: BTreeMap<String, (Window, Window)>,
    /// By uid of a Deployment: the most pods that it allows, and the fewest available ones.
    deployments: BTreeMap<String, (Window, Window)>,
}

impl Counts {
    pub(super) fn new(slack: Duration) -> Self {
        Counts { slack, sets: BTreeMap::new(), deployments: BTreeMap::new() }
    }

    pub(super) fn step(&mut self, change: &Change, view: &View, at: Instant, found: &mut Vec<String>) {
        let kind = change.key.kind;
        if kind == &DEPLOYMENT {
            self.deployment(change, at);
        } else if kind == &REPLICA_SET {
            self.set(change, view, at, found);
        } else if kind == &POD {
            self.pod(change, view, at, found);
        }
    }

    fn deployment(&mut self, change: &Change, at: Instant) {
        let Some(after) = &change.after else { return };
        let bounds = bounds(&after.value());
        let keep = self.slack;
        let entry = self.deployments.entry(after.uid().to_owned());
        let (most, least) = entry.or_insert_with(|| (Window::new(keep), Window::new(keep)));
        most.set(at, bounds.0);
        least.set(at, bounds.1);
    }

    fn set(&mut self, change: &Change, view: &View, at: Instant, found: &mut Vec<String>) {
        let Some(after) = &change.after else { return };
        let asked = replicas(after);
        let before = change.before.as_ref().map_or(0, |before| replicas(before));
        let keep = self.slack;
        let entry = self.sets.entry(after.uid().to_owned());
        let (window, available) = entry.or_insert_with(|| (Window::new(keep), Window::new(keep)));
        window.set(at, asked);
        available.set(at, available_of(view, after.uid()));
        let Some(owner) = after.controller().filter(|owner| owner.kind == "Deployment") else { return };
        let siblings: Vec<_> = view.owned_by(&owner.uid).filter(|set| set.key().kind == &REPLICA_SET).collect();
        let Some((most, least)) = self.deployments.get(&owner.uid) else { return };
        if asked > before {
            let total: i64 = siblings.iter().map(|set| replicas(set)).sum();
            if most.most().is_some_and(|most| total > most) {
                found.push(format!("{} asks for {asked}, {total} in all: more than {most:?} of surge", after.key()));
            }
        }
        if asked < before {
            let left: i64 = siblings.iter().map(|set| self.left(view, set)).sum();
            // Only what was available for everybody is taken away for certain.
            let takes = self.surely(view, after) > asked;
            // Scaling, unlike a rollout, takes from each set its share, whatever is available.
            let scaled = least.least() != least.most();
            if takes && !scaled && least.least().is_some_and(|least| left < least) {
                found.push(format!("{} shrinks to {asked}, which leaves {left} available, not {least:?}", after.key()));
            }
        }
    }

    /// How many pods of a set would at the best be left available at what it asks for.
    fn left(&self, view: &View, set: &Arc<Object>) -> i64 {
        self.could(view, set).min(replicas(set))
    }

    /// How many were available, whoever looked when.
    fn surely(&self, view: &View, set: &Arc<Object>) -> i64 {
        let now = available_of(view, set.uid());
        self.sets.get(set.uid()).and_then(|(_, available)| available.least()).map_or(now, |least| least.min(now))
    }

    /// How many were available at the best.
    fn could(&self, view: &View, set: &Arc<Object>) -> i64 {
        let seen = self.sets.get(set.uid()).and_then(|(_, available)| available.most()).unwrap_or(0);
        seen.max(available_of(view, set.uid()))
    }

    fn pod(&mut self, change: &Change, view: &View, at: Instant, found: &mut Vec<String>) {
        let owner = change.object().controller().filter(|owner| owner.kind == "ReplicaSet").cloned();
        let Some(owner) = owner else { return };
        let keep = self.slack;
        let entry = self.sets.entry(owner.uid.clone());
        let (asked, available) = entry.or_insert_with(|| (Window::new(keep), Window::new(keep)));
        available.set(at, available_of(view, &owner.uid));
        if change.before.is_none() {
            let active = view.owned_by(&owner.uid).filter(|object| is_active(object)).count();
            let active = i64::try_from(active).unwrap_or(i64::MAX);
            if asked.most().is_some_and(|asked| active > asked) {
                found.push(format!("{} is made, the {active}th of {}: {asked:?}", change.key, owner.name));
            }
        }
    }
}

fn is_active(object: &Object) -> bool {
    object.key().kind == &POD
        && object.header.deleted.is_none()
        && !matches!(object.field("status.phase"), Some("Failed" | "Succeeded"))
}

fn available_of(view: &View, set: &str) -> i64 {
    let pods = view.owned_by(set).filter(|object| is_active(object) && is_ready(object));
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}

/// Whether a pod's status says that it is ready.
pub fn is_ready(pod: &Object) -> bool {
    pod.derived(ready).copied().unwrap_or_else(|| ready(pod))
}

fn ready(pod: &Object) -> bool {
    let value = pod.value();
    list_at(&value, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

fn replicas(object: &Object) -> i64 {
    int_at(&object.value(), "/spec/replicas").unwrap_or(1)
}

/// The most pods that a Deployment allows, and the fewest available ones.
fn bounds(deployment: &Value) -> (i64, i64) {
    let wanted = int_at(deployment, "/spec/replicas").unwrap_or(1);
    if str_at(deployment, "/spec/strategy/type") == "Recreate" {
        return (wanted, 0);
    }
    let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
    let surge = share(&rolling["maxSurge"], wanted, true);
    let mut unavailable = share(&rolling["maxUnavailable"], wanted, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    (wanted + surge, wanted - unavailable)
}

/// A number, or a percentage of `of`.
fn share(value: &Value, of: i64, up: bool) -> i64 {
    match value {
        Value::Number(number) => number.as_i64().unwrap_or(0),
        Value::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            if up { (of * percent + 99) / 100 } else { of * percent / 100 }
        }
        _ => share(&Value::from("25%"), of, up),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Case {
        view: View,
        counts: Counts,
        start: Instant,
        revision: u64,
    }

    impl Case {
        fn put(&mut self, kind: gantry_kinds::KindRef, name: &str, mut value: Value) -> Vec<String> {
            self.revision += 1;
            value["metadata"]["name"] = json!(name);
            value["metadata"]["uid"] = json!(name);
            let object = Object::from_value(kind, &value, self.revision).unwrap();
            let change = self.view.apply(object.key().clone(), Some(Arc::new(object)), self.revision).unwrap();
            let mut found = Vec::new();
            // Longer after the last change than anybody looks back.
            let at = self.start + Duration::from_secs(10) * u32::try_from(self.revision).unwrap();
            self.counts.step(&change, &self.view, at, &mut found);
            found
        }
    }

    fn owned(kind: &str, name: &str, spec: Value) -> Value {
        let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true});
        json!({"metadata": {"ownerReferences": [owner]}, "spec": spec})
    }

    fn case() -> Case {
        let counts = Counts::new(Duration::from_secs(5));
        let mut case = Case { view: View::new(), counts, start: Instant::now(), revision: 0 };
        let strategy = json!({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
        case.put(&DEPLOYMENT, "d", json!({"spec": {"replicas": 2, "strategy": strategy}}));
        case
    }

    #[test]
    fn more_than_the_surge_is_found() {
        let mut case = case();
        assert!(case.put(&REPLICA_SET, "a", owned("Deployment", "d", json!({"replicas": 2}))).is_empty());
        assert!(case.put(&REPLICA_SET, "b", owned("Deployment", "d", json!({"replicas": 1}))).is_empty());
        assert_eq!(case.put(&REPLICA_SET, "b", owned("Deployment", "d", json!({"replicas": 2}))).len(), 1);
    }

    #[test]
    fn fewer_than_must_be_available_is_found() {
        let mut case = case();
        case.put(&REPLICA_SET, "a", owned("Deployment", "d", json!({"replicas": 2})));
        for pod in ["p", "q"] {
            let mut pod_value = owned("ReplicaSet", "a", json!({}));
            pod_value["status"] = json!({"conditions": [{"type": "Ready", "status": "True"}]});
            assert!(case.put(&POD, pod, pod_value).is_empty());
        }
        assert_eq!(case.put(&REPLICA_SET, "a", owned("Deployment", "d", json!({"replicas": 1}))).len(), 1);
    }

    #[test]
    fn a_pod_too_many_is_found() {
        let mut case = case();
        case.put(&REPLICA_SET, "a", owned("Deployment", "d", json!({"replicas": 1})));
        assert!(case.put(&POD, "p", owned("ReplicaSet", "a", json!({}))).is_empty());
        assert_eq!(case.put(&POD, "q", owned("ReplicaSet", "a", json!({}))).len(), 1);
    }
}
