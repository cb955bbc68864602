use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{LEASE, NODE, POD, Status};
use gantry_view::ObjectKey;
use serde_json::json;

use super::*;
use crate::harness::World;
use crate::{Controller, QueueKey, Settings, time};

fn node(world: &mut World, name: &str, ready: &str) -> ObjectKey {
    let conditions = json!([{"type": "Ready", "status": ready, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]);
    world.put(&NODE, json!({"metadata": {"name": name}, "spec": {}, "status": {"conditions": conditions}}))
}

fn renew(world: &mut World, name: &str) {
    let stamp = time::stamp(world.now);
    world
        .put(&LEASE, json!({"metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": {"renewTime": stamp}}));
}

fn pod(world: &mut World, name: &str, tolerations: Value) -> ObjectKey {
    let ready = json!({"type": "Ready", "status": "True"});
    world.put(
        &POD,
        json!({"metadata": {"name": name, "namespace": "web"}, "spec": {"nodeName": "n1", "tolerations": tolerations},
               "status": {"phase": "Running", "conditions": [ready]}}),
    )
}

fn look(world: &mut World, health: &mut Health, key: &ObjectKey) -> String {
    world.run_once(health, &QueueKey::Object(key.clone()));
    condition_status(&world.view.at(key).unwrap().value(), "Ready").to_owned()
}

#[test]
fn a_silent_node_is_unknown_after_its_grace_and_its_pods_are_not_ready() {
    let (mut world, mut health) = (World::new(), Health::default());
    let key = node(&mut world, "n1", "True");
    let pod = pod(&mut world, "p", json!([]));
    for _ in 0..7 {
        assert_eq!(look(&mut world, &mut health, &key), "True");
        world.pass(5);
    }
    renew(&mut world, "n1");
    for _ in 0..8 {
        assert_eq!(look(&mut world, &mut health, &key), "True", "it was heard of");
        world.pass(5);
    }
    assert_eq!(look(&mut world, &mut health, &key), "Unknown");
    let ready = list_at(&world.view.at(&pod).unwrap().value(), "/status/conditions")[0]["status"].clone();
    assert_eq!(ready, "False");
    let events: Vec<&str> = world.events.iter().map(|(_, message)| message.as_str()).collect();
    let registered = "Node n1 event: Registered Node n1 in Controller";
    assert_eq!(events, [registered, "Node n1 status is now: NodeNotReady", "Node is not ready"]);
    let conditions = list_at(&world.view.at(&key).unwrap().value(), "/status/conditions").len();
    assert_eq!(conditions, 4);
}

#[test]
fn the_time_in_which_we_stood_still_is_not_held_against_nodes() {
    let (mut world, mut health) = (World::new(), Health::default());
    let key = node(&mut world, "n1", "True");
    look(&mut world, &mut health, &key);
    world.pass(3600);
    assert_eq!(look(&mut world, &mut health, &key), "True");
    world.pass(3600);
    assert_eq!(look(&mut world, &mut Health::default(), &key), "True", "nor is the time before we started");
}

fn taints(world: &World, key: &ObjectKey) -> Vec<String> {
    let node = world.view.at(key).unwrap().value();
    let text = |t: &Value| format!("{}:{}", str_at(t, "/key"), str_at(t, "/effect"));
    let mut taints: Vec<String> = list_at(&node, "/spec/taints").iter().map(text).collect();
    taints.sort();
    taints
}

fn set_ready(world: &mut World, key: &ObjectKey, status: &str) {
    world.merge(key, json!({"status": {"conditions": [{"type": "Ready", "status": status}]}}));
}

#[test]
fn taints_follow_conditions_and_leave_others_alone() {
    let mut world = World::new();
    let key = node(&mut world, "n1", "False");
    node(&mut world, "n2", "True");
    world.merge(&key, json!({"spec": {"unschedulable": true, "taints": [{"key": "mine", "effect": "NoSchedule"}]}}));
    world.settle(&mut [&mut Taints::default()]);
    let expected = [
        "mine:NoSchedule",
        "node.kubernetes.io/not-ready:NoExecute",
        "node.kubernetes.io/not-ready:NoSchedule",
        "node.kubernetes.io/unschedulable:NoSchedule",
    ];
    assert_eq!(taints(&world, &key), expected);
    set_ready(&mut world, &key, "Unknown");
    world.settle(&mut [&mut Taints::default()]);
    assert!(taints(&world, &key).contains(&"node.kubernetes.io/unreachable:NoSchedule".to_owned()));
    world.merge(&key, json!({"spec": {"unschedulable": null}}));
    set_ready(&mut world, &key, "True");
    world.settle(&mut [&mut Taints::default()]);
    assert_eq!(taints(&world, &key), ["mine:NoSchedule"]);
}

fn evicting(world: &World) -> usize {
    world.view.list(&NODE, None).filter(|n| taints(world, n.key()).iter().any(|t| t.ends_with("NoExecute"))).count()
}

#[test]
fn nothing_is_evicted_when_all_nodes_are_silent() {
    let mut world = World::new();
    let first = node(&mut world, "n1", "Unknown");
    node(&mut world, "n2", "Unknown");
    world.settle(&mut [&mut Taints::default()]);
    assert_eq!(evicting(&world), 0);
    assert_eq!(taints(&world, &first), ["node.kubernetes.io/unreachable:NoSchedule"]);
}

#[test]
fn nodes_are_emptied_one_after_another() {
    let (mut world, mut controller) = (World::new(), Taints::default());
    (0..7).for_each(|at| drop(node(&mut world, &format!("up{at}"), "True")));
    (0..3).for_each(|at| drop(node(&mut world, &format!("down{at}"), "Unknown")));
    world.settle(&mut [&mut controller]);
    assert_eq!(evicting(&world), 1);
    world.pass(9);
    world.settle(&mut [&mut controller]);
    assert_eq!(evicting(&world), 1);
    world.pass(1);
    world.settle(&mut [&mut controller]);
    assert_eq!(evicting(&world), 2);
}

#[test]
fn a_small_zone_in_disruption_is_left_alone() {
    let mut world = World::new();
    (0..2).for_each(|at| drop(node(&mut world, &format!("up{at}"), "True")));
    (0..3).for_each(|at| drop(node(&mut world, &format!("down{at}"), "Unknown")));
    world.settle(&mut [&mut Taints::default()]);
    assert_eq!(evicting(&world), 0);
}

/// After how many seconds a pod with these tolerations leaves a node that became unreachable.
fn check_eviction(tolerations: Value, expected: Option<i64>) {
    let mut world = World::new();
    let key = node(&mut world, "n1", "Unknown");
    let pod = pod(&mut world, "p", tolerations);
    let taint =
        json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": time::stamp(world.now)});
    world.merge(&key, json!({"spec": {"taints": [taint]}}));
    let mut eviction = Eviction::default();
    for second in 0..400 {
        world.settle(&mut [&mut eviction]);
        if world.view.at(&pod).unwrap().header.deleted.is_some() {
            assert_eq!(Some(second), expected);
            let conditions = world.view.at(&pod).unwrap().value()["status"]["conditions"].clone();
            assert_eq!(conditions[1]["reason"], "DeletionByTaintManager");
            return;
        }
        world.pass(1);
    }
    assert_eq!(None, expected);
}

#[test]
fn pods_leave_when_their_toleration_ends() {
    let toleration = |seconds: Value| json!({"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    check_eviction(json!([]), Some(0));
    check_eviction(json!([{"operator": "Exists"}]), None);
    check_eviction(json!([toleration(json!(30))]), Some(30));
    check_eviction(json!([toleration(json!(30)), {"operator": "Exists"}]), Some(30));
    check_eviction(json!([toleration(json!(-1))]), Some(0));
    check_eviction(json!([{"key": "other", "operator": "Exists"}]), Some(0));
    check_eviction(json!([{"key": "node.kubernetes.io/unreachable", "operator": "Equal", "value": "x"}]), Some(0));
}

#[test]
fn each_node_has_its_own_part_of_the_network() {
    let mut world = World::new();
    let settings = Settings { cluster_cidr: "10.42.0.0/22".parse().unwrap(), ..Settings::new("", vec![], 6443) };
    let mut addresses = Addresses::new(&settings);
    let taken = node(&mut world, "a", "True");
    world.merge(&taken, json!({"spec": {"podCIDR": "10.42.1.0/24", "podCIDRs": ["10.42.1.0/24"]}}));
    for name in ["b", "c", "d", "e"] {
        node(&mut world, name, "True");
    }
    world.settle(&mut [&mut addresses]);
    let parts = |world: &World| -> Vec<String> {
        world.view.list(&NODE, None).map(|n| str_at(&n.value(), "/spec/podCIDR").to_owned()).collect()
    };
    assert_eq!(parts(&world), ["10.42.1.0/24", "10.42.0.0/24", "10.42.2.0/24", "10.42.3.0/24", ""]);
    assert_eq!(world.events[0].0, "CIDRNotAvailable");
    world.remove(&taken);
    world.settle(&mut [&mut addresses]);
    assert_eq!(parts(&world), ["10.42.0.0/24", "10.42.2.0/24", "10.42.3.0/24", "10.42.1.0/24"]);
}

/// A pod that tolerates for 300 s that its node is unreachable, which it becomes, and that node.
fn unreachable(world: &mut World) -> (ObjectKey, ObjectKey) {
    let tolerations = json!([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
    let (key, pod) = (node(world, "n1", "Unknown"), pod(world, "p", tolerations));
    let taint = json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute",
        "timeAdded": time::stamp(world.now)});
    world.merge(&key, json!({"spec": {"taints": [taint]}}));
    (key, pod)
}

/// After how many seconds the pod is evicted by `eviction`.
fn evicted_after(world: &mut World, eviction: &mut Eviction, pod: &ObjectKey) -> u64 {
    for second in 0..1000 {
        world.settle(&mut [eviction]);
        if world.view.at(pod).unwrap().header.deleted.is_some() {
            return second;
        }
        world.pass(1);
    }
    1000
}

#[test]
fn f6_a_clock_that_is_set_evicts_nobody_early_and_keeps_nobody_for_ever() {
    for set in ["2026-01-01T01:00:00Z", "2025-12-31T23:00:00Z", "2036-01-01T00:00:00Z"] {
        let mut world = World::new();
        let mut eviction = Eviction::default();
        world.run_once(&mut eviction, &QueueKey::Sweep);
        let (_, pod) = unreachable(&mut world);
        world.settle(&mut [&mut eviction]);
        world.pass(100);
        world.now = set.parse().unwrap();
        assert_eq!(evicted_after(&mut world, &mut eviction, &pod), 200, "{set}");
    }
}

#[test]
fn f6_no_lease_expires_because_a_clock_is_set() {
    for set in ["2026-01-01T01:00:00Z", "2025-12-31T23:00:00Z", "2036-01-01T00:00:00Z"] {
        let (mut world, mut health) = (World::new(), Health::default());
        let key = node(&mut world, "n1", "True");
        look(&mut world, &mut health, &key);
        world.pass(10);
        world.now = set.parse().unwrap();
        assert_eq!(look(&mut world, &mut health, &key), "True", "{set}");
        for _ in 0..5 {
            assert_eq!(look(&mut world, &mut health, &key), "True", "{set}");
            world.pass(6);
        }
        assert_eq!(look(&mut world, &mut health, &key), "Unknown", "{set}");
    }
}

#[test]
fn f6_nodes_are_emptied_at_the_same_pace_whatever_the_clock_says() {
    for set in ["2016-01-01T00:00:00Z", "2036-01-01T00:00:00Z"] {
        let (mut world, mut controller) = (World::new(), Taints::default());
        (0..7).for_each(|at| drop(node(&mut world, &format!("up{at}"), "True")));
        (0..3).for_each(|at| drop(node(&mut world, &format!("down{at}"), "Unknown")));
        world.settle(&mut [&mut controller]);
        world.now = set.parse().unwrap();
        world.settle(&mut [&mut controller]);
        assert_eq!(evicting(&world), 1, "{set}");
        world.pass(10);
        world.settle(&mut [&mut controller]);
        assert_eq!(evicting(&world), 2, "{set}");
    }
}

#[test]
fn a_server_that_starts_anew_evicts_neither_early_nor_much_later() {
    for (passed, expected) in [(0, 300), (200, 100), (290, 40), (5000, 40)] {
        let mut world = World::new();
        let (_, pod) = unreachable(&mut world);
        world.pass(passed);
        assert_eq!(evicted_after(&mut world, &mut Eviction::default(), &pod), expected, "{passed}");
    }
}

#[test]
fn f5_a_stall_of_our_own_silences_and_empties_no_node() {
    let (mut world, mut health, mut taints) = (World::new(), Health::default(), Taints::default());
    let nodes: Vec<ObjectKey> = ["n1", "n2", "n3"].map(|name| node(&mut world, name, "True")).into();
    for _ in 0..20 {
        nodes.iter().for_each(|key| drop(look(&mut world, &mut health, key)));
        // Nothing could be written for half a minute, so no lease was renewed, and nothing was decided.
        world.pass(30);
    }
    world.settle(&mut [&mut taints]);
    assert!(nodes.iter().all(|key| look(&mut world, &mut health, key) == "True"));
    assert_eq!(evicting(&world), 0);
}

#[test]
fn f3_what_a_full_store_refused_is_not_held_against_nodes() {
    let (mut world, mut health) = (World::new(), Health::default());
    let key = node(&mut world, "n1", "True");
    look(&mut world, &mut health, &key);
    for _ in 0..9 {
        world.pass(5);
        let turn = world.turn();
        let intents = health.reconcile(&QueueKey::Object(key.clone()), turn).intents;
        if let Some(intent) = intents.first() {
            let full = Status::new(507, "InsufficientStorage", "no space is left");
            health.refused(&QueueKey::Object(key.clone()), intent, &full, turn);
        }
    }
    // There is room again, and the node has its whole grace to say so.
    for _ in 0..7 {
        assert_eq!(look(&mut world, &mut health, &key), "True");
        world.pass(5);
    }
    world.pass(5);
    assert_eq!(look(&mut world, &mut health, &key), "Unknown");
}

#[test]
fn f5_nodes_that_were_all_silent_have_time_to_come_back() {
    let (mut world, mut controller) = (World::new(), Taints::default());
    let nodes: Vec<ObjectKey> = ["n1", "n2", "n3"].map(|name| node(&mut world, name, "Unknown")).into();
    world.settle(&mut [&mut controller]);
    world.pass(600);
    set_ready(&mut world, &nodes[0], "True");
    set_ready(&mut world, &nodes[1], "True");
    world.settle(&mut [&mut controller]);
    world.pass(39);
    world.settle(&mut [&mut controller]);
    assert_eq!(evicting(&world), 0);
    world.pass(1);
    world.settle(&mut [&mut controller]);
    assert_eq!(evicting(&world), 1, "who has not come back by then is lost");
}

/// A node with a pod that it stops after 60 s of disconnection, and one that it does not.
fn fenced(world: &mut World) -> ObjectKey {
    let key = node(world, "n1", "True");
    let fenced = pod(world, "fenced", json!([]));
    world.merge(&fenced, json!({"metadata": {"annotations": {"gantry.io/stop-after-disconnect": "60"}}}));
    pod(world, "free", json!([]));
    renew(world, "n1");
    key
}

fn pods(world: &World) -> Vec<String> {
    world.view.list(&POD, None).map(|pod| pod.name().to_owned()).collect()
}

#[test]
fn f10_a_pod_that_its_node_has_stopped_is_released_and_no_other() {
    let (mut world, mut health) = (World::new(), Health::default());
    let key = fenced(&mut world);
    let due = gantry_kinds::fencing::release_after(std::time::Duration::from_secs(60)).as_secs() + 1;
    look(&mut world, &mut health, &key);
    for second in 1..due + 10 {
        world.pass(1);
        look(&mut world, &mut health, &key);
        let expected: &[&str] = if second <= due { &["fenced", "free"] } else { &["free"] };
        assert!(pods(&world) == expected, "after {second} s: {:?}", pods(&world));
    }
    assert!(world.events.iter().any(|(reason, _)| reason == "DisconnectedAndStopped"));
}

#[test]
fn f10_a_sign_of_life_at_the_last_moment_releases_nothing() {
    let (mut world, mut health) = (World::new(), Health::default());
    let key = fenced(&mut world);
    let due = gantry_kinds::fencing::release_after(std::time::Duration::from_secs(60)).as_secs() + 1;
    look(&mut world, &mut health, &key);
    for _ in 0..due {
        world.pass(1);
        look(&mut world, &mut health, &key);
    }
    // The mark is written; what the view shows with it is that the node was heard of.
    renew(&mut world, "n1");
    for _ in 0..due {
        world.pass(1);
        look(&mut world, &mut health, &key);
        assert_eq!(pods(&world), ["fenced", "free"]);
    }
}
