//! Disruption budgets: how many pods are healthy, how many must be, and so how many may go now. Evictions take from
//! that number; this controller counts anew whenever something has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::tree::{int_at, str_at};
use gantry_kinds::{
    DEPLOYMENT, KindRef, LabelSelector, POD, POD_DISRUPTION_BUDGET, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET,
};
use gantry_view::{Change, Object, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::pod_facts::PodFacts;
use crate::{Controller, QueueKey, owners, time, write};

/// Seconds after which an eviction that has not deleted its pod does not count any more.
const EVICTION_COUNTS: i64 = 120;
/// Kinds whose `spec.replicas` says how many pods there are to be.
const SCALED: [KindRef; 4] = [&DEPLOYMENT, &REPLICA_SET, &REPLICATION_CONTROLLER, &STATEFUL_SET];

/// The controller of disruption budgets.
pub(crate) struct Disruption;

impl Controller for Disruption {
    fn name(&self) -> &'static str {
        "disruption-controller"
    }

    fn component(&self) -> &'static str {
        "controllermanager"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&POD_DISRUPTION_BUDGET, None).map(|budget| QueueKey::of(budget.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &POD_DISRUPTION_BUDGET {
            out.push(QueueKey::of(&change.key));
            return;
        }
        let scaled = SCALED.contains(&change.key.kind);
        if !scaled && change.key.kind != &POD {
            return;
        }
        let sides: Vec<&Arc<Object>> = [&change.before, &change.after].into_iter().flatten().collect();
        for budget in view.list(&POD_DISRUPTION_BUDGET, Some(&change.key.namespace)) {
            let selector = selector(&budget.value());
            if scaled || sides.iter().any(|pod| selector.matches(&pod.header.labels)) {
                out.push(QueueKey::of(budget.key()));
            }
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(budget) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let value = budget.value();
        let selector = selector(&value);
        let pods = turn.view.list(&POD, Some(budget.namespace()));
        let pods: Vec<_> = pods.filter(|pod| selector.matches(&pod.header.labels)).collect();
        let (disrupted, next) = disrupted(&value, &pods, turn.now);
        let (expected, desired) = wanted(&value, turn.view, &pods);
        let healthy = pods.iter().filter(|pod| is_healthy(pod) && !disrupted.contains_key(pod.name())).count();
        let healthy = i64::try_from(healthy).unwrap_or(i64::MAX);
        let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
        let mut status = json!({
            "observedGeneration": budget.header.generation, "disruptionsAllowed": allowed, "currentHealthy": healthy,
            "desiredHealthy": desired, "expectedPods": expected,
            "conditions": [condition(&value, budget.header.generation, allowed, turn.now)],
        });
        if !disrupted.is_empty() {
            status["disruptedPods"] = Value::Object(disrupted);
        }
        outcome.intents.extend(write::status(budget, &value["status"], &status));
        if let Some(delay) = next.and_then(|due| time::until(due, turn.now)) {
            outcome.again_in(delay);
        }
        outcome
    }
}

/// wire: an empty selector means all pods of the namespace, none at all means no pod.
fn selector(budget: &Value) -> LabelSelector {
    if budget.pointer("/spec/selector").is_none_or(Value::is_null) {
        return LabelSelector::nothing();
    }
    owners::selector(&POD_DISRUPTION_BUDGET, budget)
}

fn is_healthy(pod: &Object) -> bool {
    pod.header.deleted.is_none() && PodFacts::of(pod).ready
}

/// Evictions that still count, and when the first of them stops to.
fn disrupted(budget: &Value, pods: &[&Arc<Object>], now: Timestamp) -> (Map<String, Value>, Option<Timestamp>) {
    let (mut left, mut next) = (Map::new(), None::<Timestamp>);
    for (name, since) in budget.pointer("/status/disruptedPods").and_then(Value::as_object).into_iter().flatten() {
        let there = pods.iter().any(|pod| pod.name() == name && pod.header.deleted.is_none());
        let due = since.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let due = due.map(|since| time::after(since, EVICTION_COUNTS)).filter(|due| !time::is_over(*due, now));
        if let Some(due) = due.filter(|_| there) {
            left.insert(name.clone(), since.clone());
            next = Some(next.map_or(due, |before| before.min(due)));
        }
    }
    (left, next)
}

/// How many pods there are to be, and how many of them healthy.
fn wanted(budget: &Value, view: &View, pods: &[&Arc<Object>]) -> (i64, i64) {
    let (least, most) = (budget.pointer("/spec/minAvailable"), budget.pointer("/spec/maxUnavailable"));
    if let Some(most) = most {
        let expected = scale(view, pods);
        return (expected, (expected - share(most, expected)).max(0));
    }
    match least {
        Some(Value::Number(number)) => (pods.len() as i64, number.as_i64().unwrap_or_default()),
        Some(percentage) => {
            let expected = scale(view, pods);
            (expected, share(percentage, expected))
        }
        None => (0, 0),
    }
}

/// A number, or a percentage of `whole`, rounded up.
fn share(value: &Value, whole: i64) -> i64 {
    let percentage = value.as_str().and_then(|text| text.trim_end_matches('%').parse::<i64>().ok());
    percentage.map_or_else(|| value.as_i64().unwrap_or_default(), |percent| (whole * percent + 99).div_euclid(100))
}

/// The replicas of all that manage the pods; pods that nobody manages do not count.
fn scale(view: &View, pods: &[&Arc<Object>]) -> i64 {
    let mut scales: BTreeMap<String, i64> = BTreeMap::new();
    for pod in pods {
        let managers = SCALED.iter().filter_map(|kind| owners::manager(view, kind, pod));
        for manager in managers {
            // A ReplicaSet of a deployment has as many as the deployment, whatever it has in the middle of a rollout.
            let top = owners::manager(view, &DEPLOYMENT, manager).unwrap_or(manager);
            let replicas = int_at(&top.value(), "/spec/replicas").unwrap_or(1);
            scales.insert(top.uid().to_owned(), replicas);
        }
    }
    scales.values().sum()
}

fn condition(budget: &Value, generation: i64, allowed: i64, now: Timestamp) -> Value {
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let conditions = gantry_kinds::tree::list_at(budget, "/status/conditions");
    let before =
        conditions.iter().find(|condition| condition["type"] == "DisruptionAllowed" && condition["status"] == status);
    let since = before.map(|condition| str_at(condition, "/lastTransitionTime").to_owned());
    json!({
        "type": "DisruptionAllowed", "status": status, "reason": reason, "message": "",
        "observedGeneration": generation, "lastTransitionTime": since.unwrap_or_else(|| time::stamp(now)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;
    use gantry_view::ObjectKey;

    fn pod(world: &mut World, name: &str, ready: bool, owner: Option<&str>) -> ObjectKey {
        let owners = owner.map_or(json!([]), |uid| {
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": uid, "controller": true}])
        });
        let metadata = json!({"name": name, "namespace": "web", "labels": {"a": "b"}, "ownerReferences": owners});
        let status = if ready { "True" } else { "False" };
        let conditions = json!([{"type": "Ready", "status": status}]);
        world.put(&POD, json!({"metadata": metadata, "status": {"phase": "Running", "conditions": conditions}}))
    }

    fn counts(world: &World, key: &ObjectKey) -> [i64; 4] {
        let status = world.view.at(key).unwrap().value()["status"].clone();
        ["expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"].map(|k| status[k].as_i64().unwrap())
    }

    fn budget(world: &mut World, spec: Value) -> ObjectKey {
        world.put(&POD_DISRUPTION_BUDGET, json!({"metadata": {"name": "b", "namespace": "web"}, "spec": spec}))
    }

    #[test]
    fn what_may_go_is_what_is_healthy_beyond_what_must_be() {
        let mut world = World::new();
        let selector = json!({"matchLabels": {"a": "b"}});
        let key = budget(&mut world, json!({"minAvailable": 1, "selector": selector}));
        pod(&mut world, "one", true, None);
        pod(&mut world, "two", true, None);
        pod(&mut world, "ill", false, None);
        world.settle(&mut [&mut Disruption]);
        assert_eq!(counts(&world, &key), [3, 1, 2, 1]);
        // Nobody manages these pods, so that a percentage is one of nothing.
        budget(&mut world, json!({"minAvailable": "50%", "selector": selector}));
        world.settle(&mut [&mut Disruption]);
        assert_eq!(counts(&world, &key), [0, 0, 2, 0]);
        budget(&mut world, json!({"minAvailable": 1}));
        world.settle(&mut [&mut Disruption]);
        assert_eq!(counts(&world, &key), [0, 1, 0, 0]);
    }

    #[test]
    fn shares_are_those_of_the_scale_and_evictions_count_until_their_pods_are_gone() {
        let mut world = World::new();
        let set =
            world.put(&REPLICA_SET, json!({"metadata": {"name": "rs", "namespace": "web"}, "spec": {"replicas": 5}}));
        let uid = world.view.at(&set).unwrap().uid().to_owned();
        for name in ["1", "2", "3", "4", "5"] {
            pod(&mut world, name, true, Some(&uid));
        }
        let selector = json!({"matchLabels": {"a": "b"}});
        let key = budget(&mut world, json!({"maxUnavailable": "30%", "selector": selector}));
        world.settle(&mut [&mut Disruption]);
        assert_eq!(counts(&world, &key), [5, 3, 5, 2]);
        let now = time::stamp(world.turn().now);
        world.merge(&key, json!({"status": {"disruptedPods": {"1": now, "gone": now, "2": "2001-01-01T00:00:00Z"}}}));
        world.settle(&mut [&mut Disruption]);
        assert_eq!(counts(&world, &key), [5, 3, 4, 1]);
        let left = world.view.at(&key).unwrap().value()["status"]["disruptedPods"].clone();
        assert_eq!(left, json!({"1": now}));
    }
}
