use gantry_kinds::{IP_ADDRESS, SERVICE, SERVICE_CIDR};
use serde_json::json;

use super::*;
use crate::allocation::{Record, taken};

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    for (key, value) in spec.as_object().into_iter().flatten() {
        service["spec"][key] = value.clone();
    }
    service
}

#[test]
fn addresses_and_ports_come_and_go_with_the_service() {
    let mut world = World::new();
    let (_, made) = world.create(&SERVICE, "web", service("s", json!({"type": "NodePort"}))).expect("created");
    let (ip, port) = (made["spec"]["clusterIP"].clone(), made["spec"]["ports"][0]["nodePort"].clone());
    let address = ip.as_str().unwrap_or_default().parse().expect("an address");
    assert!(world.settings.service_cidr.contains(address) && (30000..=32767).contains(&port.as_i64().unwrap_or(0)));
    assert_eq!(made["spec"]["clusterIPs"], json!([ip]));
    assert_eq!(
        (&made["spec"]["ipFamilies"], &made["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    let records =
        [Record::Address(ip.as_str().unwrap_or_default().to_owned()), Record::Port(port.as_i64().unwrap_or_default())];
    assert!(records.iter().all(|name| taken(&world.view, name)));
    // A client that does not know what was allocated keeps it.
    let (_, same) = world.update(&SERVICE, "web", service("s", json!({"type": "NodePort"}))).expect("updated");
    assert_eq!((&same["spec"]["clusterIP"], &same["spec"]["ports"][0]["nodePort"]), (&ip, &port));
    let (_, plain) = world.patch(&SERVICE, "web", "s", json!({"spec": {"type": "ClusterIP"}})).expect("changed");
    assert_eq!((&plain["spec"]["clusterIP"], plain["spec"]["ports"][0].get("nodePort")), (&ip, None));
    assert!(taken(&world.view, &records[0]) && !taken(&world.view, &records[1]));
    let patch = json!({"spec": {"type": "ExternalName", "externalName": "a.b"}});
    let (_, outside) = world.patch(&SERVICE, "web", "s", patch).expect("changed");
    assert_eq!(outside["spec"].get("clusterIP"), None);
    assert!(!taken(&world.view, &records[0]));
    world.delete(&SERVICE, "web", "s", DeleteOptions::default()).expect("deleted");
    assert_eq!(world.view.count(&crate::allocation::ALLOCATION) + world.view.count(&IP_ADDRESS), 0);
}

#[test]
fn what_is_taken_is_refused() {
    let mut world = World::new();
    world.create(&SERVICE, "web", service("a", json!({"clusterIP": "10.43.0.9"}))).expect("created");
    let mut check = |spec: Value, why: &str| {
        refused(world.create(&SERVICE, "web", service("b", spec)), 422, &format!("Service \"b\" is invalid: {why}"));
    };
    check(
        json!({"clusterIP": "10.43.0.9"}),
        "spec.clusterIPs: Invalid value: [\"10.43.0.9\"]: failed to allocate IP 10.43.0.9: provided IP is already allocated",
    );
    check(
        json!({"clusterIP": "10.99.0.1"}),
        "spec.clusterIPs: Invalid value: [\"10.99.0.1\"]: failed to allocate IP 10.99.0.1: the provided network does not match the current range",
    );
    check(
        json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 100}]}),
        "spec.ports[0].nodePort: Invalid value: 100: provided port is not in the valid range. The range of valid ports is 30000-32767",
    );
    check(
        json!({"type": "NodePort", "ports": [{"name": "a", "port": 80, "nodePort": 30100},
               {"name": "b", "port": 81, "nodePort": 30100, "protocol": "UDP"}]}),
        "spec.ports[1].nodePort: Invalid value: 30100: provided port is already allocated",
    );
    check(
        json!({"ipFamilies": ["IPv6"]}),
        "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster",
    );
    check(
        json!({"ipFamilyPolicy": "RequireDualStack"}),
        "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
    );
}

#[test]
fn protocols_of_one_port_share_a_node_port() {
    let mut world = World::new();
    let ports = json!([{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 80, "protocol": "UDP"}]);
    let (_, made) =
        world.create(&SERVICE, "web", service("s", json!({"type": "NodePort", "ports": ports}))).expect("created");
    assert_eq!(made["spec"]["ports"][0]["nodePort"], made["spec"]["ports"][1]["nodePort"]);
}

#[test]
fn headless_services_take_nothing() {
    let mut world = World::new();
    let (_, made) = world.create(&SERVICE, "web", service("s", json!({"clusterIP": "None"}))).expect("created");
    assert_eq!(
        (&made["spec"]["clusterIPs"], &made["spec"]["ipFamilyPolicy"]),
        (&json!(["None"]), &json!("RequireDualStack"))
    );
    assert_eq!(world.view.count(&crate::allocation::ALLOCATION), 0);
}

#[test]
fn of_two_that_want_the_same_address_one_is_refused_by_the_store() {
    let mut world = World::new();
    let ask = |name: &str| {
        request(&SERVICE, "web", "", Operation::Create(service(name, json!({"clusterIP": "10.43.0.9"})).into()))
    };
    let decisions = [world.decide(&ask("a")), world.decide(&ask("b"))];
    let committed: Vec<bool> = decisions
        .iter()
        .map(|decision| match decision {
            Decision::Commit { writes, guards, .. } => world.commit(writes, guards).is_some(),
            _ => panic!("both look free"),
        })
        .collect();
    assert_eq!(committed, [true, false]);
}

#[test]
fn an_address_cannot_be_changed_to_another() {
    let mut world = World::new();
    world.create(&SERVICE, "web", service("s", json!({"clusterIP": "10.43.0.9"}))).expect("created");
    let patch = json!({"spec": {"clusterIP": "10.99.0.1", "clusterIPs": ["10.99.0.1"]}});
    let refused = world.patch(&SERVICE, "web", "s", patch).expect_err("refused");
    assert!(refused.message.contains("may not change once set"), "{}", refused.message);
}

#[test]
fn an_address_is_recorded_by_its_object() {
    let mut world = World::new();
    world.create(&SERVICE, "web", service("s", json!({"clusterIP": "10.43.0.9"}))).expect("created");
    let object = world.get(&IP_ADDRESS, "", "10.43.0.9").expect("recorded");
    assert_eq!(object["spec"]["parentRef"], json!({"resource": "services", "namespace": "web", "name": "s"}));
    let labels = json!({"ipaddress.kubernetes.io/ip-family": "IPv4",
                        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"});
    assert_eq!(object["metadata"]["labels"], labels);
    // What somebody else recorded is taken, and is not given back with a Service that does not have it.
    let mine = json!({"metadata": {"name": "10.43.0.8"}, "spec": {"parentRef": {"resource": "x", "name": "y"}}});
    world.create(&IP_ADDRESS, "", mine).expect("created");
    let taken = world.create(&SERVICE, "web", service("t", json!({"clusterIP": "10.43.0.8"}))).expect_err("refused");
    assert!(taken.message.ends_with("provided IP is already allocated"), "{}", taken.message);
    world.delete(&SERVICE, "web", "s", DeleteOptions::default()).expect("deleted");
    assert_eq!(world.view.count(&IP_ADDRESS), 1);
}

#[test]
fn addresses_come_from_every_range_that_is_ready() {
    let mut world = World::new();
    let range = json!({"metadata": {"name": "more", "finalizers": ["x.io/hold"]}, "spec": {"cidrs": ["10.99.0.0/29"]}});
    world.create(&SERVICE_CIDR, "", range).expect("created");
    let ask = |world: &mut World, name: &str, address: &str| {
        let answer = world.create(&SERVICE, "web", service(name, json!({"clusterIP": address})));
        answer.map(drop).map_err(|status| status.message.rsplit(": ").next().unwrap_or_default().to_owned())
    };
    let foreign = Err("the provided network does not match the current range".to_owned());
    assert_eq!(ask(&mut world, "a", "10.99.0.1"), foreign);
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    let mut target = request(&SERVICE_CIDR, "", "more", Operation::Patch(PatchKind::Merge, ready.into()));
    target.target.subresource = "status".to_owned();
    world.execute(&target).expect("ready");
    assert_eq!(ask(&mut world, "a", "10.99.0.1"), Ok(()));
    assert_eq!(ask(&mut world, "b", "10.99.0.0"), foreign);
    assert_eq!(ask(&mut world, "b", "10.99.0.7"), foreign);
    world.delete(&SERVICE_CIDR, "", "more", DeleteOptions::default()).expect("deleted");
    assert_eq!(ask(&mut world, "c", "10.99.0.2"), foreign);
}

#[test]
fn an_address_of_a_range_that_goes_meanwhile_is_refused_by_the_store() {
    let mut world = World::new();
    let own =
        json!({"metadata": {"name": "kubernetes", "finalizers": ["x.io/hold"]}, "spec": {"cidrs": ["10.43.0.0/16"]}});
    world.create(&SERVICE_CIDR, "", own).expect("created");
    let ask = request(&SERVICE, "web", "", Operation::Create(service("a", json!({})).into()));
    let decision = world.decide(&ask);
    world.delete(&SERVICE_CIDR, "", "kubernetes", DeleteOptions::default()).expect("deleted");
    let Decision::Commit { writes, guards, .. } = decision else { panic!("it was free") };
    assert!(world.commit(&writes, &guards).is_none());
}
