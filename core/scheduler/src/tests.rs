//! Whole turns over small clusters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::{KindRef, NODE, POD};
use gantry_view::{Intent, Object, ObjectKey, Outcome, Turn, View};
use jiff::Timestamp;
use proptest::prelude::{Strategy, prop};
use proptest::{prop_assert, proptest};
use serde_json::{Value, json};

use crate::Scheduler;

/// A cluster that carries out what the scheduler wants.
struct Cluster {
    view: View,
    scheduler: Scheduler,
    now: Timestamp,
    uptime: Duration,
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

impl Cluster {
    fn new(nodes: &[(&str, Value)]) -> Self {
        let now = Timestamp::from_second(1_000_000).expect("a time");
        let mut cluster = Cluster { view: View::new(), scheduler: Scheduler::new(), now, uptime: Duration::ZERO };
        cluster.turn();
        for (name, extra) in nodes {
            cluster.node(name, extra.clone());
        }
        cluster
    }

    fn put(&mut self, kind: KindRef, namespace: &str, name: &str, value: Option<Value>) {
        let revision = self.view.revision() + 1;
        let object = value.map(|v| Arc::new(Object::from_value(kind, &v, revision).expect("an object")));
        if let Some(change) = self.view.apply(ObjectKey::new(kind, namespace, name), object, revision) {
            self.scheduler.observe(&change);
        }
    }

    fn node(&mut self, name: &str, extra: Value) {
        let mut node = json!({
            "metadata": {"name": name, "uid": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
        });
        merge(&mut node, extra);
        self.put(&NODE, "", name, Some(node));
    }

    fn pod(&mut self, name: &str, extra: Value) {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "a"},
                "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        merge(&mut pod, extra);
        self.put(&POD, "default", name, Some(pod));
    }

    fn delete(&mut self, name: &str) {
        self.put(&POD, "default", name, None);
    }

    fn turn(&mut self) -> Outcome {
        self.scheduler.turn(Turn { now: self.now, uptime: self.uptime, seed: 7, view: &self.view })
    }

    /// A turn, with its binds carried out.
    fn settle(&mut self) -> Outcome {
        let outcome = self.turn();
        for intent in &outcome.intents {
            if let Intent::Post { key, subresource: "binding", body } = intent {
                let mut pod = self.view.at(key).expect("the pod").value();
                pod["spec"]["nodeName"] = body["target"]["name"].clone();
                self.put(&POD, &key.namespace, &key.name, Some(pod));
            }
        }
        outcome
    }

    fn node_of(&self, pod: &str) -> String {
        let value = self.view.get(&POD, "default", pod).expect("the pod").value();
        value["spec"]["nodeName"].as_str().unwrap_or_default().to_owned()
    }
}

fn cpu(amount: &str) -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": amount}}}]}})
}

fn with(mut spec: Value, extra: Value) -> Value {
    merge(&mut spec, extra);
    spec
}

fn said(outcome: &Outcome) -> Vec<String> {
    let text = |intent: &Intent| match intent {
        Intent::Event { reason, message, .. } => Some(format!("{reason}: {message}")),
        _ => None,
    };
    outcome.intents.iter().filter_map(text).collect()
}

/// What is said about a last pod on nodes `n1` (zone a), `n2` (zone b) and `n3` (closed), with `placed` there first.
fn check_refusal(placed: &[Value], pod: Value, reasons: &str, preemption: &str) {
    let zone = |zone: &str| json!({"metadata": {"labels": {"zone": zone}}});
    let closed = json!({"spec": {"unschedulable": true}});
    let mut cluster = Cluster::new(&[("n1", zone("a")), ("n2", zone("b")), ("n3", closed)]);
    for (at, extra) in placed.iter().enumerate() {
        cluster.pod(&format!("placed-{at}"), extra.clone());
        cluster.settle();
        assert_ne!(cluster.node_of(&format!("placed-{at}")), "", "{extra}");
    }
    cluster.pod("last", pod);
    let available = "0/3 nodes are available";
    let expected = format!("FailedScheduling: {available}: {reasons}. preemption: {available}: {preemption}.");
    assert_eq!(said(&cluster.settle()), [expected]);
}

#[test]
fn refusals_speak_the_words_that_people_search_for() {
    let lasting = "3 Preemption is not helpful for scheduling";
    let curable = "1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod";
    let one_curable = "1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling";
    let closed = "1 node(s) were unschedulable";
    let apart = json!({"spec": {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]}}}});
    let together = json!({"spec": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "other"}}}]}}}});
    let port = json!({"spec": {"nodeSelector": {"zone": "a"},
        "containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]}});
    let spread = |key: &str| {
        json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": key,
        "whenUnsatisfiable": "DoNotSchedule", "nodeAffinityPolicy": "Ignore", "labelSelector": {"matchLabels": {"app": "a"}}}]}})
    };
    let in_a = json!({"spec": {"nodeSelector": {"zone": "a"}}});
    let check = check_refusal;
    check(&[], cpu("100"), &format!("{closed}, 2 Insufficient cpu"), lasting);
    check(&[cpu("3"), cpu("3")], cpu("2"), &format!("{closed}, 2 Insufficient cpu"), curable);
    check(
        &[],
        json!({"spec": {"nodeSelector": {"zone": "z"}}}),
        &format!("{closed}, 2 node(s) didn't match Pod's node affinity/selector"),
        lasting,
    );
    check(
        &[apart.clone(), apart.clone()],
        apart.clone(),
        &format!("{closed}, 2 node(s) didn't match pod anti-affinity rules"),
        curable,
    );
    check(
        &[apart.clone(), apart],
        json!({}),
        &format!("{closed}, 2 node(s) didn't satisfy existing pods anti-affinity rules"),
        curable,
    );
    check(&[], together, &format!("{closed}, 2 node(s) didn't match pod affinity rules"), lasting);
    let taken = "1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't match Pod's node affinity/selector";
    check(std::slice::from_ref(&port), port.clone(), &format!("{taken}, {closed}"), one_curable);
    check(
        &[],
        spread("nolabel"),
        &format!("{closed}, 2 node(s) didn't match pod topology spread constraints (missing required label)"),
        lasting,
    );
    let skewed =
        "1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match pod topology spread constraints";
    check(std::slice::from_ref(&in_a), with(spread("zone"), in_a.clone()), &format!("{skewed}, {closed}"), one_curable);
    let named = json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gone"]}]}]}}}}});
    check(&[], named, &format!("{closed}, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]"), lasting);
}

#[test]
fn without_nodes_that_is_what_is_said() {
    let mut cluster = Cluster::new(&[]);
    cluster.pod("p", json!({}));
    assert_eq!(said(&cluster.turn()), ["FailedScheduling: no nodes available to schedule pods"]);
}

#[test]
fn a_placed_pod_gets_a_binding_and_an_event() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("p", json!({}));
    let outcome = cluster.settle();
    assert_eq!(said(&outcome), ["Scheduled: Successfully assigned default/p to n1"]);
    assert_eq!(cluster.node_of("p"), "n1");
    assert_eq!(cluster.settle(), Outcome::nothing());
}

#[test]
fn pods_that_are_not_ours_are_left_alone() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("other", json!({"spec": {"schedulerName": "mine"}}));
    cluster.pod("gated", json!({"spec": {"schedulingGates": [{"name": "g"}]}}));
    cluster.pod("gone", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    assert_eq!(cluster.settle(), Outcome::nothing());
    cluster.pod("gated", json!({"spec": {"schedulingGates": []}}));
    assert_eq!(said(&cluster.settle()).len(), 1);
}

#[test]
fn the_higher_priority_goes_first() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("a-low", cpu("3"));
    cluster.pod("b-high", with(cpu("3"), json!({"spec": {"priority": 5}})));
    cluster.settle();
    assert_eq!((cluster.node_of("a-low").as_str(), cluster.node_of("b-high").as_str()), ("", "n1"));
}

#[test]
fn a_waiting_pod_is_tried_again_when_room_is_made() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("first", cpu("3"));
    cluster.settle();
    cluster.pod("second", cpu("3"));
    let outcome = cluster.settle();
    assert_eq!(outcome.again_in, Some(Duration::from_secs(1)));
    let Some(Intent::Patch { subresource: "status", patch, .. }) = outcome.intents.first() else {
        panic!("{:?}", outcome.intents)
    };
    assert_eq!(patch["status"]["conditions"][0]["reason"], "Unschedulable");
    assert_eq!(said(&cluster.settle()), Vec::<String>::new());
    cluster.delete("first");
    cluster.settle();
    assert_eq!(cluster.node_of("second"), "n1");
}

#[test]
fn the_same_refusal_is_said_once() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("p", cpu("100"));
    let pauses: Vec<_> = (0..5)
        .map(|at| {
            let outcome = cluster.settle();
            assert_eq!(said(&outcome).len(), usize::from(at == 0), "turn {at}");
            let pause = outcome.again_in.expect("another look");
            cluster.uptime += pause;
            pause.as_secs()
        })
        .collect();
    assert_eq!(pauses, [1, 2, 4, 8, 10]);
    cluster.node("n2", json!({"status": {"allocatable": {"cpu": "200"}}}));
    cluster.settle();
    assert_eq!(cluster.node_of("p"), "n2");
}

#[test]
fn a_bind_that_never_shows_is_taken_back() {
    let mut cluster = Cluster::new(&[("n1", json!({}))]);
    cluster.pod("p", cpu("3"));
    assert_eq!(said(&cluster.turn()).len(), 1);
    cluster.pod("q", cpu("3"));
    assert!(said(&cluster.turn())[0].contains("Insufficient cpu"));
    cluster.uptime += Duration::from_secs(31);
    cluster.settle();
    cluster.uptime += Duration::from_secs(2);
    cluster.settle();
    let placed = ["p", "q"].map(|pod| cluster.node_of(pod)).concat();
    assert_eq!(placed, "n1");
}

#[test]
fn pods_of_one_owner_spread_over_nodes() {
    let names = ["n1", "n2", "n3"];
    let mut cluster = Cluster::new(&names.map(|name| (name, json!({}))));
    let owner = json!({"metadata": {"ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "rs", "controller": true}]}});
    for at in 0..6 {
        cluster.pod(&format!("p{at}"), owner.clone());
    }
    cluster.settle();
    let mut by_node = BTreeMap::<String, usize>::new();
    for at in 0..6 {
        *by_node.entry(cluster.node_of(&format!("p{at}"))).or_default() += 1;
    }
    assert_eq!(by_node.into_values().collect::<Vec<_>>(), [2, 2, 2]);
}

#[test]
fn soft_rules_choose_among_nodes_that_fit() {
    let soft_taint = json!({"spec": {"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}});
    let image = json!({"status": {"images": [{"names": ["docker.io/big:1"], "sizeBytes": 900_000_000}]}});
    let labelled = json!({"metadata": {"labels": {"disk": "ssd"}}});
    let check = |nodes: [Value; 2], pod: Value, expected: &str| {
        let [one, two] = nodes;
        let mut cluster = Cluster::new(&[("n1", one), ("n2", two)]);
        cluster.pod("p", pod.clone());
        cluster.settle();
        assert_eq!(cluster.node_of("p"), expected, "{pod}");
    };
    let wish = json!({"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}]}}}});
    check([soft_taint.clone(), json!({})], json!({}), "n2");
    check([json!({}), soft_taint], json!({}), "n1");
    check([json!({}), labelled.clone()], wish.clone(), "n2");
    check([labelled, json!({})], wish, "n1");
    let big = json!({"spec": {"containers": [{"name": "c", "image": "docker.io/big:1"}]}});
    check([image.clone(), json!({})], big.clone(), "n1");
    check([json!({}), image], big, "n2");
}

#[test]
fn the_first_of_a_group_that_wants_to_be_together_may_begin() {
    let mut cluster = Cluster::new(&[("n1", json!({})), ("n2", json!({}))]);
    let together = json!({"spec": {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "a"}}}]}}}});
    for name in ["a", "b", "c"] {
        cluster.pod(name, together.clone());
    }
    cluster.settle();
    assert_ne!(cluster.node_of("a"), "");
    assert_eq!([cluster.node_of("b"), cluster.node_of("c")], [cluster.node_of("a"), cluster.node_of("a")]);
}

fn pods() -> impl Strategy<Value = Vec<(u8, u16, bool)>> {
    prop::collection::vec((0u8..6, 1u16..3000, prop::bool::ANY), 1..60)
}

proptest! {
    /// However pods come and go: no node has more pods, CPU or equal host ports than it can.
    #[test]
    fn nodes_are_never_overcommitted(pods in pods(), carried_out in prop::bool::ANY) {
        let mut cluster = Cluster::new(&[("n1", json!({})), ("n2", json!({})), ("n3", json!({}))]);
        let mut bound = BTreeMap::<String, (String, u16, bool)>::new();
        for (at, (batch, milli, port)) in pods.iter().enumerate() {
            let ports = if *port { json!([{"containerPort": 80, "hostPort": 80}]) } else { json!([]) };
            let container = json!({"name": "c", "ports": ports, "resources": {"requests": {"cpu": format!("{milli}m")}}});
            cluster.pod(&format!("p{at}"), json!({"spec": {"containers": [container]}}));
            if *batch > 0 && at % 3 != 0 {
                continue;
            }
            if *batch == 5 && !bound.is_empty() {
                let name = bound.keys().next().cloned().expect("a bound pod");
                bound.remove(&name);
                cluster.delete(&name);
            }
            let outcome = if carried_out { cluster.settle() } else { cluster.turn() };
            for intent in &outcome.intents {
                if let Intent::Post { key, body, .. } = intent {
                    let index: usize = key.name[1..].parse().expect("a number");
                    let node = body["target"]["name"].as_str().expect("a name").to_owned();
                    bound.insert(key.name.to_string(), (node, pods[index].1, pods[index].2));
                }
            }
            for node in ["n1", "n2", "n3"] {
                let here: Vec<_> = bound.values().filter(|(on, ..)| on == node).collect();
                prop_assert!(here.len() <= 10);
                prop_assert!(here.iter().map(|(_, milli, _)| u32::from(*milli)).sum::<u32>() <= 4000);
                prop_assert!(here.iter().filter(|(.., port)| *port).count() <= 1);
            }
        }
    }
}
