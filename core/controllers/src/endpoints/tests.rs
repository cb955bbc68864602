use gantry_kinds::{ENDPOINT_SLICE, NAMESPACE, NODE};
use serde_json::json;

use super::*;
use crate::harness::World;

fn world() -> World {
    let mut world = World::new();
    for name in ["web", "default"] {
        world.put(&NAMESPACE, json!({"metadata": {"name": name}}));
    }
    world.put(&NODE, json!({"metadata": {"name": "n1"}}));
    world
}

fn service(world: &mut World, spec: Value) -> ObjectKey {
    let mut spec = spec;
    spec["selector"] = json!({"app": "web"});
    let labels = json!({"team": "a", HEADLESS: "x"});
    world.put(&SERVICE, json!({"metadata": {"name": "svc", "namespace": "web", "labels": labels}, "spec": spec}))
}

fn pod(world: &mut World, at: usize, ready: bool, port: u16) -> ObjectKey {
    let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
    let container = json!({"name": "c", "ports": [{"name": "http", "containerPort": port}]});
    let ip = format!("10.42.{}.{}", at / 250, at % 250);
    world.put(
        &POD,
        json!({"metadata": {"name": format!("p{at}"), "namespace": "web", "labels": {"app": "web"}, "uid": format!("u{at}")},
               "spec": {"nodeName": "n1", "containers": [container], "hostname": "h", "subdomain": "svc"},
               "status": {"phase": "Running", "conditions": [condition], "podIPs": [{"ip": ip}]}}),
    )
}

fn settle(world: &mut World) -> Option<Value> {
    world.settle(&mut [&mut EndpointsOfServices]);
    world.view.get(&ENDPOINTS, "web", "svc").map(|endpoints| endpoints.value())
}

fn ips(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(|address| address["ip"].as_str()).collect()
}

#[test]
fn ports_with_the_same_addresses_share_a_subset() {
    let mut world = world();
    service(
        &mut world,
        json!({"ports": [{"name": "web", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81}]}),
    );
    pod(&mut world, 10, true, 8080);
    pod(&mut world, 9, false, 8080);
    let endpoints = settle(&mut world).unwrap();
    assert_eq!(endpoints["metadata"]["labels"], json!({"team": "a", MANAGED_BY: "endpoint-controller"}));
    let ready = json!({"ip": "10.42.0.10", "nodeName": "n1", "hostname": "h",
                       "targetRef": {"kind": "Pod", "namespace": "web", "name": "p10", "uid": "u10"}});
    assert_eq!(endpoints["subsets"].as_array().map(Vec::len), Some(1));
    assert_eq!(endpoints["subsets"][0]["addresses"], json!([ready]));
    assert_eq!(ips(&endpoints["subsets"][0]["notReadyAddresses"]), ["10.42.0.9"]);
    assert_eq!(endpoints["subsets"][0]["ports"].as_array().map(Vec::len), Some(2));
    pod(&mut world, 8, true, 9090);
    let endpoints = settle(&mut world).unwrap();
    let subsets: Vec<_> = endpoints["subsets"].as_array().unwrap().iter().map(|s| ips(&s["addresses"])).collect();
    assert_eq!(subsets, [vec!["10.42.0.10", "10.42.0.8"], vec!["10.42.0.10"], vec!["10.42.0.8"]]);
}

#[test]
fn pods_that_end_are_named_only_where_all_are_published() {
    let mut world = world();
    let key = service(&mut world, json!({"ports": [{"port": 80}]}));
    let dying = pod(&mut world, 1, true, 80);
    world.merge(&dying, json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x/y"]}}));
    pod(&mut world, 2, false, 80);
    let endpoints = settle(&mut world).unwrap();
    assert_eq!(endpoints["subsets"][0].get("addresses"), None);
    assert_eq!(ips(&endpoints["subsets"][0]["notReadyAddresses"]), ["10.42.0.2"]);
    assert_eq!(endpoints["subsets"][0]["ports"], json!([{"port": 80, "protocol": "TCP"}]));
    world.merge(&key, json!({"spec": {"publishNotReadyAddresses": true, "clusterIP": "None", "ports": []}}));
    let endpoints = settle(&mut world).unwrap();
    assert_eq!(ips(&endpoints["subsets"][0]["addresses"]), ["10.42.0.1", "10.42.0.2"]);
    assert_eq!((endpoints["subsets"][0].get("ports"), &endpoints["metadata"]["labels"][HEADLESS]), (None, &json!("")));
}

#[test]
fn what_is_too_much_is_left_out() {
    let mut world = world();
    service(&mut world, json!({"ports": [{"port": 80}]}));
    for at in 0..ADDRESSES_MAX + 5 {
        pod(&mut world, at, at >= 10, 80);
    }
    let endpoints = settle(&mut world).unwrap();
    let count = |endpoints: &Value, list: &str| ips(&endpoints["subsets"][0][list]).len();
    assert_eq!((count(&endpoints, "addresses"), count(&endpoints, "notReadyAddresses")), (995, 5));
    assert_eq!(endpoints["metadata"]["annotations"][OVER_CAPACITY], "truncated");
    for at in 0..5 {
        world.remove(&ObjectKey::new(&POD, "web", &format!("p{at}")));
    }
    let endpoints = settle(&mut world).unwrap();
    assert_eq!(count(&endpoints, "notReadyAddresses"), 5);
    assert_eq!(endpoints["metadata"]["annotations"].get(OVER_CAPACITY), None);
}

#[test]
fn endpoints_go_with_their_service_and_stay_without_a_selector() {
    let mut world = world();
    let key = service(&mut world, json!({"ports": [{"port": 80}]}));
    pod(&mut world, 1, true, 80);
    let own = json!({"metadata": {"name": "own", "namespace": "web"}});
    let own = world.put(&ENDPOINTS, own);
    let made = settle(&mut world).unwrap();
    world.merge(&key, json!({"spec": {"selector": null}}));
    assert_eq!(settle(&mut world), Some(made));
    world.remove(&key);
    assert_eq!(settle(&mut world), None);
    assert!(world.view.at(&own).is_some());
}

#[test]
fn the_api_is_named_as_its_slice_says() {
    let mut world = world();
    let key = world.put(
        &ENDPOINT_SLICE,
        json!({
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}]}),
    );
    world.settle(&mut [&mut ApiAddresses]);
    let endpoints = world.view.get(&ENDPOINTS, "default", "kubernetes").unwrap().value();
    assert_eq!(endpoints["metadata"]["labels"], json!({"endpointslice.kubernetes.io/skip-mirror": "true"}));
    let ports = json!([{"name": "https", "port": 6443, "protocol": "TCP"}]);
    assert_eq!(endpoints["subsets"], json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": ports}]));
    world.merge(&key, json!({"endpoints": [{"addresses": ["192.0.2.2"]}]}));
    world.settle(&mut [&mut ApiAddresses]);
    let endpoints = world.view.get(&ENDPOINTS, "default", "kubernetes").unwrap().value();
    assert_eq!(ips(&endpoints["subsets"][0]["addresses"]), ["192.0.2.2"]);
}
