//! Pods that nobody will ever end: their node is gone, they never had one, or they ended and are too many.
//!
//! Invariants: the pods of a node that is not there go only after `QUARANTINE`, as a node that is made anew is gone
//! for a moment; those of a node that somebody has declared out of service go once it is not ready; ended pods are kept up to `KEPT`, the youngest the longest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::tree::list_at;
use gantry_kinds::{NODE, POD};
use gantry_view::{Change, Intent, Object, Outcome, Turn, View};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::pod_facts::PodFacts;
use crate::{Controller, QueueKey, time, write};

/// Ended pods that are kept.
const KEPT: usize = 12_500;
/// How long a node must have been gone.
const QUARANTINE: Duration = Duration::from_secs(40);
/// The taint by which somebody declares that nothing runs on a node any more.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// How often everything is looked at.
const PERIOD: Duration = Duration::from_secs(20);
/// Pods that one turn deletes at most.
const BURST: usize = 500;

/// The controller of pods that are left over.
#[derive(Default)]
pub(crate) struct PodGarbage {
    /// Nodes that pods name and that are not there, with the uptime at which that was first seen.
    missing: BTreeMap<String, Duration>,
}

impl Controller for PodGarbage {
    fn name(&self) -> &'static str {
        "pod-garbage-collector"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let node_gone = change.key.kind == &NODE && change.after.is_none();
        let pod = change.after.as_ref().filter(|_| change.key.kind == &POD);
        let pod_left = pod.is_some_and(|pod| {
            let node = pod.field("spec.nodeName").unwrap_or_default();
            if node.is_empty() { pod.header.deleted.is_some() } else { view.get(&NODE, "", node).is_none() }
        });
        if node_gone || pod_left {
            out.push(QueueKey::Sweep);
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let orphans = self.orphans(turn);
        let never_ran = turn.view.by_field(&POD, "spec.nodeName", "").filter(|pod| pod.header.deleted.is_some());
        for pod in never_ran.chain(surplus(turn.view)).take(BURST) {
            outcome.push(write::delete_now(pod));
        }
        for pod in out_of_service(turn.view).into_iter().take(BURST) {
            if !PodFacts::of(pod).is_terminal() {
                outcome.push(write::patch(pod, "status", json!({"status": {"phase": "Failed"}})));
            }
            outcome.push(write::delete_now(pod));
        }
        for pod in orphans.into_iter().take(BURST) {
            outcome.intents.extend(failed(pod, turn.now));
            outcome.push(write::delete_now(pod));
        }
        outcome.again_in(PERIOD);
        outcome
    }
}

impl PodGarbage {
    /// The pods of nodes that have been gone for long enough.
    fn orphans<'a>(&mut self, turn: Turn<'a>) -> Vec<&'a Arc<Object>> {
        let bound = turn.view.list(&POD, None).filter_map(|pod| Some((pod.field("spec.nodeName")?, pod)));
        let lost: Vec<(&str, &Arc<Object>)> =
            bound.filter(|(node, _)| !node.is_empty() && turn.view.get(&NODE, "", node).is_none()).collect();
        self.missing.retain(|node, _| lost.iter().any(|(name, _)| name == node));
        for (node, _) in &lost {
            self.missing.entry((*node).to_owned()).or_insert(turn.uptime);
        }
        let is_over = |node: &str| self.missing.get(node).is_some_and(|since| *since + QUARANTINE <= turn.uptime);
        lost.into_iter().filter(|(node, _)| is_over(node)).map(|(_, pod)| pod).collect()
    }
}

/// The pods that are being deleted on nodes that are not ready and out of service.
fn out_of_service(view: &View) -> Vec<&Arc<Object>> {
    let is_out = |node: &&Arc<Object>| {
        let value = node.value();
        let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        list_at(&value, "/spec/taints").iter().any(|taint| taint["key"] == OUT_OF_SERVICE)
            && !list_at(&value, "/status/conditions").iter().any(ready)
    };
    let pods = view.list(&NODE, None).filter(is_out).map(|node| node.name());
    let pods = pods.flat_map(|node| view.by_field(&POD, "spec.nodeName", node));
    pods.filter(|pod| pod.header.deleted.is_some()).collect()
}

/// The oldest of the ended pods beyond what is kept; evicted ones first.
fn surplus(view: &View) -> Vec<&Arc<Object>> {
    let ended = ["Failed", "Succeeded"].into_iter().flat_map(|phase| view.by_field(&POD, "status.phase", phase));
    let mut ended: Vec<&Arc<Object>> = ended.filter(|pod| pod.header.deleted.is_none()).collect();
    let count = ended.len().saturating_sub(KEPT);
    if count > 0 {
        ended.sort_by(|a, b| is_evicted(b).cmp(&is_evicted(a)).then_with(|| write::by_age(a, b)));
    }
    ended.truncate(count);
    ended
}

fn is_evicted(pod: &Object) -> bool {
    pod.value().pointer("/status/reason").is_some_and(|reason| reason == "Evicted")
}

/// A pod that had not ended has failed now, and says why.
fn failed(pod: &Arc<Object>, now: Timestamp) -> Option<Intent> {
    if PodFacts::of(pod).is_terminal() {
        return None;
    }
    let conditions = disrupted(&pod.value(), "DeletionByPodGC", "PodGC: node no longer exists", now);
    Some(write::patch(pod, "status", json!({"status": {"phase": "Failed", "conditions": conditions}})))
}

/// The conditions of a pod with `DisruptionTarget` among them.
pub(crate) fn disrupted(pod: &Value, reason: &str, message: &str, now: Timestamp) -> Vec<Value> {
    let mut conditions = list_at(pod, "/status/conditions").to_vec();
    conditions.retain(|condition| condition["type"] != "DisruptionTarget");
    let mut condition = json!({
        "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message,
        "lastProbeTime": null, "lastTransitionTime": time::stamp(now),
    });
    if let Some(generation) = pod.pointer("/metadata/generation") {
        condition["observedGeneration"] = generation.clone();
    }
    conditions.push(condition);
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::World;

    fn names(world: &World) -> Vec<String> {
        world.view.list(&POD, None).map(|pod| pod.name().to_owned()).collect()
    }

    #[test]
    fn pods_of_a_node_that_is_gone_go_after_a_while() {
        let mut world = World::new();
        let mut controller = PodGarbage::default();
        world.put(&NODE, json!({"metadata": {"name": "n1"}}));
        for (pod, node) in [("a", "n1"), ("b", "n2")] {
            let spec = json!({"nodeName": node});
            world.put(&POD, json!({"metadata": {"name": pod, "namespace": "web"}, "spec": spec}));
        }
        world.run_once(&mut controller, &QueueKey::Sweep);
        world.pass(39);
        world.run_once(&mut controller, &QueueKey::Sweep);
        assert_eq!(names(&world), ["a", "b"]);
        world.pass(1);
        world.run_once(&mut controller, &QueueKey::Sweep);
        assert_eq!(names(&world), ["a"]);
    }

    #[test]
    fn a_node_that_comes_back_keeps_its_pods() {
        let mut world = World::new();
        let mut controller = PodGarbage::default();
        world.put(&POD, json!({"metadata": {"name": "a", "namespace": "web"}, "spec": {"nodeName": "n1"}}));
        world.run_once(&mut controller, &QueueKey::Sweep);
        world.put(&NODE, json!({"metadata": {"name": "n1"}}));
        world.pass(40);
        world.run_once(&mut controller, &QueueKey::Sweep);
        assert_eq!(names(&world), ["a"]);
    }

    #[test]
    fn f6_a_clock_that_is_set_neither_hurries_nor_holds_up_the_collection() {
        let mut world = World::new();
        let mut controller = PodGarbage::default();
        world.put(&POD, json!({"metadata": {"name": "a", "namespace": "web"}, "spec": {"nodeName": "n1"}}));
        world.run_once(&mut controller, &QueueKey::Sweep);
        world.now = "2036-01-01T00:00:00Z".parse().unwrap();
        world.run_once(&mut controller, &QueueKey::Sweep);
        assert_eq!(names(&world), ["a"], "ten years of the clock are no time");
        world.now = "2016-01-01T00:00:00Z".parse().unwrap();
        world.pass(40);
        world.run_once(&mut controller, &QueueKey::Sweep);
        assert!(names(&world).is_empty());
    }

    #[test]
    fn f10_terminating_pods_of_a_node_that_is_out_of_service_go() {
        let mut world = World::new();
        let taint = json!({"key": OUT_OF_SERVICE, "effect": "NoExecute"});
        let status = |ready: &str| json!({"conditions": [{"type": "Ready", "status": ready}]});
        for (node, ready) in [("up", "True"), ("down", "Unknown")] {
            let meta = json!({"name": node});
            world.put(&NODE, json!({"metadata": meta, "spec": {"taints": [taint]}, "status": status(ready)}));
            let dying = json!({"name": node, "namespace": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"});
            world.put(&POD, json!({"metadata": dying, "spec": {"nodeName": node}}));
            let alive = json!({"name": format!("{node}-alive"), "namespace": "web"});
            world.put(&POD, json!({"metadata": alive, "spec": {"nodeName": node}}));
        }
        world.run_once(&mut PodGarbage::default(), &QueueKey::Sweep);
        assert_eq!(names(&world), ["down-alive", "up", "up-alive"]);
    }

    #[test]
    fn a_pod_that_is_deleted_before_it_has_a_node_goes_at_once() {
        let mut world = World::new();
        let dying = json!({"name": "a", "namespace": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"});
        world.put(&POD, json!({"metadata": dying, "spec": {}}));
        world.put(&POD, json!({"metadata": {"name": "b", "namespace": "web"}, "spec": {}}));
        world.run_once(&mut PodGarbage::default(), &QueueKey::Sweep);
        assert_eq!(names(&world), ["b"]);
    }
}
