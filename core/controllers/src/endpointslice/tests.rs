use gantry_kinds::{LEASE, NAMESPACE};
use serde_json::json;

use super::*;
use crate::Settings;
use crate::harness::World;

fn world() -> World {
    let mut world = World::new();
    world.put(&NAMESPACE, json!({"metadata": {"name": "web"}}));
    world.put(&NAMESPACE, json!({"metadata": {"name": "default"}}));
    world.put(&NODE, json!({"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}}));
    world
}

fn service(world: &mut World, spec: Value) -> ObjectKey {
    let mut spec = spec;
    spec["selector"] = json!({"app": "web"});
    world.put(&SERVICE, json!({"metadata": {"name": "svc", "namespace": "web", "labels": {"team": "a"}}, "spec": spec}))
}

fn pod(world: &mut World, at: usize, ready: bool) -> ObjectKey {
    let condition = json!({"type": "Ready", "status": if ready { "True" } else { "False" }});
    let container = json!({"name": "c", "ports": [{"name": "http", "containerPort": 8080}]});
    world.put(
        &POD,
        json!({"metadata": {"name": format!("p{at}"), "namespace": "web", "labels": {"app": "web"}, "uid": format!("u{at}")},
               "spec": {"nodeName": "n1", "containers": [container]},
               "status": {"phase": "Running", "conditions": [condition], "podIPs": [{"ip": format!("10.42.0.{at}")}]}}),
    )
}

fn slices(world: &World) -> Vec<Value> {
    world.view.list(&ENDPOINT_SLICE, Some("web")).map(|slice| slice.value()).collect()
}

fn endpoints(world: &World) -> Vec<Value> {
    slices(world).iter().flat_map(|slice| tree::list_at(slice, "/endpoints").to_vec()).collect()
}

fn ports() -> Value {
    json!({"ports": [{"name": "web", "port": 80, "targetPort": "http"}, {"name": "b", "port": 81, "appProtocol": "x"}]})
}

#[test]
fn a_slice_says_where_pods_are_and_how_they_do() {
    let mut world = world();
    service(&mut world, ports());
    pod(&mut world, 1, true);
    world.settle(&mut [&mut EndpointSlices]);
    let slice = &slices(&world)[0];
    let labels = json!({"team": "a", "kubernetes.io/service-name": "svc",
                        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"});
    assert_eq!(slice["metadata"]["labels"], labels);
    let expected = json!([{"name": "b", "port": 81, "protocol": "TCP", "appProtocol": "x"},
                          {"name": "web", "port": 8080, "protocol": "TCP"}]);
    assert_eq!(slice["ports"], expected);
    let endpoint = json!({
        "addresses": ["10.42.0.1"], "conditions": {"ready": true, "serving": true, "terminating": false},
        "nodeName": "n1", "zone": "z1", "targetRef": {"kind": "Pod", "namespace": "web", "name": "p1", "uid": "u1"},
    });
    assert_eq!(slice["endpoints"], json!([endpoint]));
    assert_eq!(tree::str_at(slice, "/metadata/ownerReferences/0/kind"), "Service");
}

fn check_conditions(spec: Value, change: Value, expected: Option<(bool, bool, bool)>) {
    let mut world = world();
    service(&mut world, spec);
    let key = pod(&mut world, 1, true);
    world.merge(&key, change);
    world.settle(&mut [&mut EndpointSlices]);
    let of = |e: &Value| {
        let flag = |name: &str| e["conditions"][name].as_bool().unwrap();
        (flag("ready"), flag("serving"), flag("terminating"))
    };
    assert_eq!(endpoints(&world).first().map(of), expected);
    assert_eq!(slices(&world).len(), 1, "a Service without endpoints has an empty slice");
}

#[test]
fn conditions_follow_the_pod() {
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let leaving = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    check_conditions(json!({}), json!({}), Some((true, true, false)));
    check_conditions(json!({}), unready.clone(), Some((false, false, false)));
    check_conditions(json!({"publishNotReadyAddresses": true}), unready, Some((true, false, false)));
    check_conditions(json!({}), leaving, Some((false, true, true)));
    check_conditions(json!({}), json!({"status": {"phase": "Failed"}}), None);
    check_conditions(json!({}), json!({"status": {"podIPs": null}}), None);
    check_conditions(json!({}), json!({"spec": {"nodeName": "gone"}}), None);
    check_conditions(json!({}), json!({"metadata": {"labels": {"app": "other"}}}), None);
}

#[test]
fn headless_services_are_marked_and_name_their_pods() {
    let mut world = world();
    service(&mut world, json!({"clusterIP": "None"}));
    let key = pod(&mut world, 1, true);
    world.merge(&key, json!({"spec": {"hostname": "first", "subdomain": "svc"}}));
    world.settle(&mut [&mut EndpointSlices]);
    assert_eq!(slices(&world)[0]["metadata"]["labels"]["service.kubernetes.io/headless"], "");
    assert_eq!(endpoints(&world)[0]["hostname"], "first");
}

#[test]
fn many_pods_fill_slices_and_one_change_writes_one() {
    let mut world = world();
    service(&mut world, ports());
    let keys: Vec<ObjectKey> = (0..230).map(|at| pod(&mut world, at, true)).collect();
    world.settle(&mut [&mut EndpointSlices]);
    let mut sizes: Vec<usize> = slices(&world).iter().map(|s| tree::list_at(s, "/endpoints").len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [30, 100, 100]);
    let before = slices(&world);
    world.merge(&keys[7], json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
    world.settle(&mut [&mut EndpointSlices]);
    let changed = before.iter().zip(slices(&world)).filter(|(a, b)| *a != b).count();
    assert_eq!(changed, 1);
    keys.iter().for_each(|key| world.remove(key));
    world.settle(&mut [&mut EndpointSlices]);
    assert_eq!((slices(&world).len(), endpoints(&world).len()), (1, 0));
}

#[test]
fn pods_that_name_ports_differently_get_slices_of_their_own() {
    let mut world = world();
    service(&mut world, ports());
    pod(&mut world, 1, true);
    let other = pod(&mut world, 2, true);
    let container = json!({"name": "c", "ports": [{"name": "http", "containerPort": 9090}]});
    world.merge(&other, json!({"spec": {"containers": [container]}}));
    world.settle(&mut [&mut EndpointSlices]);
    let mut found: Vec<i64> = slices(&world).iter().filter_map(|s| tree::int_at(s, "/ports/1/port")).collect();
    found.sort_unstable();
    assert_eq!(found, [8080, 9090]);
}

#[test]
fn a_spoiled_or_lost_slice_is_put_right() {
    let mut world = world();
    service(&mut world, ports());
    pod(&mut world, 1, true);
    world.settle(&mut [&mut EndpointSlices]);
    let before = endpoints(&world);
    let key = world.view.list(&ENDPOINT_SLICE, Some("web")).next().unwrap().key().clone();
    world.merge(&key, json!({"endpoints": [], "metadata": {"labels": {"team": null}}}));
    world.settle(&mut [&mut EndpointSlices]);
    assert_eq!((endpoints(&world), &slices(&world)[0]["metadata"]["labels"]["team"]), (before.clone(), &json!("a")));
    world.remove(&key);
    world.settle(&mut [&mut EndpointSlices]);
    assert_eq!(endpoints(&world), before);
}

#[test]
fn services_without_a_selector_are_not_ours() {
    let mut world = world();
    let key = service(&mut world, json!({}));
    world.merge(&key, json!({"spec": {"selector": null}}));
    world.settle(&mut [&mut EndpointSlices]);
    assert!(slices(&world).is_empty());
}

#[test]
fn the_api_has_its_slice() {
    let mut world = world();
    let mut controller = ApiEndpoints::new(&Settings::new("", vec!["192.0.2.7".parse().unwrap()], 6443));
    world.settle(&mut [&mut controller]);
    let key = ObjectKey::new(&ENDPOINT_SLICE, "default", "kubernetes");
    let slice = world.view.at(&key).unwrap().value();
    assert_eq!(slice["endpoints"], json!([{"addresses": ["192.0.2.7"], "conditions": {"ready": true}}]));
    assert_eq!(slice["ports"], json!([{"name": "https", "port": 6443, "protocol": "TCP"}]));
    world.merge(&key, json!({"ports": []}));
    world.settle(&mut [&mut controller]);
    assert_eq!(world.view.at(&key).unwrap().value()["ports"], slice["ports"]);
}

/// A server says that it is there, again if it did before.
fn hear_server(world: &mut World, number: u8) {
    let key = ObjectKey::new(&LEASE, "kube-system", &format!("apiserver-{number}"));
    let renewed = crate::time::stamp(world.now);
    if world.view.at(&key).is_some() {
        return world.merge(&key, json!({"spec": {"renewTime": renewed}}));
    }
    let labels = json!({"apiserver.kubernetes.io/identity": "kube-apiserver"});
    let annotations = json!({"gantry.io/api-address": format!("192.0.2.{number}:6443")});
    let meta = json!({"name": &*key.name, "namespace": "kube-system", "labels": labels, "annotations": annotations});
    world.put(&LEASE, json!({"metadata": meta, "spec": {"leaseDurationSeconds": 10, "renewTime": renewed}}));
}

fn api_addresses(world: &World) -> Vec<String> {
    let slice = world.view.get(&ENDPOINT_SLICE, "default", "kubernetes").unwrap().value();
    let endpoints = tree::list_at(&slice, "/endpoints").iter();
    endpoints.map(|e| e["addresses"][0].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_api_is_where_servers_are_alive() {
    let mut world = world();
    let given = Settings::new("", vec!["192.0.2.1".parse().unwrap()], 6443);
    let mut controller = ApiEndpoints::new(&given);
    world.settle(&mut [&mut controller]);
    assert_eq!(api_addresses(&world), ["192.0.2.1"]);
    for _ in 0..2 {
        for number in [1, 2, 3] {
            hear_server(&mut world, number);
        }
        world.settle(&mut [&mut controller]);
        world.pass(1);
    }
    assert_eq!(api_addresses(&world), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
    for _ in 0..4 {
        world.pass(3);
        hear_server(&mut world, 1);
        hear_server(&mut world, 3);
        world.settle(&mut [&mut controller]);
    }
    assert_eq!(api_addresses(&world), ["192.0.2.1", "192.0.2.3"]);
    // A controller that begins anew gives those that are published their time, and those that were lost none.
    let mut anew = ApiEndpoints::new(&given);
    world.settle(&mut [&mut anew]);
    assert_eq!(api_addresses(&world), ["192.0.2.1", "192.0.2.3"]);
    world.pass(3);
    hear_server(&mut world, 2);
    world.settle(&mut [&mut anew]);
    assert_eq!(api_addresses(&world), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn when_all_servers_are_silent_what_is_published_stays() {
    let mut world = world();
    let mut controller = ApiEndpoints::new(&Settings::new("", vec!["192.0.2.1".parse().unwrap()], 6443));
    hear_server(&mut world, 2);
    world.settle(&mut [&mut controller]);
    world.pass(60);
    world.settle(&mut [&mut controller]);
    assert_eq!(api_addresses(&world), ["192.0.2.2"]);
}

fn endpoints_of(world: &mut World, subsets: Value) -> ObjectKey {
    world.put(&SERVICE, json!({"metadata": {"name": "svc", "namespace": "web"}, "spec": {"ports": [{"port": 80}]}}));
    let annotations = json!({"note": "n", "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"});
    let meta = json!({"name": "svc", "namespace": "web", "labels": {"team": "a"}, "annotations": annotations});
    world.put(&gantry_kinds::ENDPOINTS, json!({"metadata": meta, "subsets": subsets}))
}

#[test]
fn endpoints_of_services_that_select_nothing_are_mirrored() {
    let mut world = world();
    let subsets = json!([{"addresses": [{"ip": "10.0.0.1", "hostname": "h"}, {"ip": "FD00::1"}],
        "notReadyAddresses": [{"ip": "10.0.0.2"}], "ports": [{"name": "web", "port": 80}]}]);
    let key = endpoints_of(&mut world, subsets);
    world.settle(&mut [&mut Mirrors, &mut EndpointSlices]);
    let mut all = slices(&world);
    all.sort_by_key(|slice| slice["addressType"].to_string());
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0]["endpoints"],
        json!([
        {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "hostname": "h"},
        {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}])
    );
    assert_eq!(all[1]["endpoints"], json!([{"addresses": ["fd00::1"], "conditions": {"ready": true}}]));
    let labels = json!({"team": "a", SERVICE_NAME: "svc", MANAGED_BY: "endpointslicemirroring-controller.k8s.io"});
    let meta = &all[0]["metadata"];
    assert_eq!((&meta["labels"], &meta["annotations"]), (&labels, &json!({"note": "n"})));
    assert_eq!(meta["ownerReferences"][0]["kind"], "Endpoints");
    world.merge(
        &key,
        json!({"metadata": {"annotations": {"note": "m"}}, "subsets": [{"addresses": [{"ip": "10.0.0.3"}]}]}),
    );
    world.settle(&mut [&mut Mirrors]);
    let all = slices(&world);
    assert_eq!((all.len(), &all[0]["metadata"]["annotations"]), (1, &json!({"note": "m"})));
    assert_eq!(all[0]["endpoints"][0]["addresses"], json!(["10.0.0.3"]));
}

#[test]
fn mirrors_go_when_nobody_wants_them() {
    let one = || json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]);
    let deeds: [fn(&mut World, &ObjectKey); 5] = [
        |world, endpoints| {
            world.merge(endpoints, json!({"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}))
        },
        |world, endpoints| world.merge(endpoints, json!({"subsets": null})),
        |world, endpoints| world.remove(endpoints),
        |world, endpoints| world.remove(&ObjectKey::new(&SERVICE, &endpoints.namespace, &endpoints.name)),
        |world, _| world.merge(&ObjectKey::new(&SERVICE, "web", "svc"), json!({"spec": {"selector": {"a": "b"}}})),
    ];
    for deed in deeds {
        let mut world = world();
        let key = endpoints_of(&mut world, one());
        world.settle(&mut [&mut Mirrors]);
        assert_eq!(slices(&world).len(), 1);
        deed(&mut world, &key);
        world.settle(&mut [&mut Mirrors]);
        assert!(slices(&world).is_empty());
    }
}

#[test]
fn of_a_large_subset_a_thousand_addresses_are_mirrored() {
    let mut world = world();
    let list = |net: u8, count: usize| -> Vec<Value> {
        (0..count).map(|at| json!({"ip": format!("10.{net}.{}.{}", at / 250, at % 250)})).collect()
    };
    endpoints_of(&mut world, json!([{"addresses": list(1, 900), "notReadyAddresses": list(2, 150)}]));
    world.settle(&mut [&mut Mirrors]);
    let all = endpoints(&world);
    let unready = all.iter().filter(|endpoint| endpoint["conditions"]["ready"] == json!(false)).count();
    assert_eq!((slices(&world).len(), all.len(), unready), (1, 1000, 100));
    assert_eq!(world.events[0].0, "TooManyAddressesToMirror");
    assert!(world.events[0].1.ends_with(". 50 addresses were skipped"), "{}", world.events[0].1);
}
