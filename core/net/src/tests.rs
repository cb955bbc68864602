//! From objects to ruleset text and back to nothing.

use expect_test::{ExpectFile, expect_file};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use crate::{Cidr, Flow, Net, Params};

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).expect("a range")
}

fn net() -> Net {
    Net::new(Params {
        node_name: "n1".into(),
        zone: String::new(),
        cluster_cidr: cidr("10.42.0.0/16"),
        node_pod_cidr: Some(cidr("10.42.0.0/24")),
        service_cidr: cidr("10.43.0.0/16"),
        dns_ip: [10, 43, 0, 10].into(),
    })
}

fn service(name: &str, spec: Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec}))
        .expect("a service")
}

fn web(extra: Value) -> Service {
    let mut spec = json!({"clusterIP": "10.43.0.5", "type": "ClusterIP",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]});
    spec.as_object_mut().expect("an object").append(extra.as_object().cloned().as_mut().expect("an object"));
    service("web", spec)
}

/// Endpoints of `web` on TCP or UDP 8080; each `address` or `address@node`.
fn slice(protocol: &str, endpoints: &[&str]) -> EndpointSlice {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|text| {
            let (address, node) = text.split_once('@').unwrap_or((text, "n1"));
            json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": node})
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "http", "port": 8080, "protocol": protocol}],
    }))
    .expect("a slice")
}

fn check_changes(net: &mut Net, expected: ExpectFile) {
    expected.assert_eq(&net.changes().nft.unwrap_or_default());
}

#[test]
fn the_empty_table() {
    expect_file!["golden/empty.nft"].assert_eq(&net().full());
}

#[test]
fn endpoints_come_and_go_as_elements() {
    let mut net = net();
    net.full();
    net.service("default", "web", Some(&web(json!({}))));
    check_changes(&mut net, expect_file!["golden/service.nft"]);
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2", "10.42.0.3"])));
    check_changes(&mut net, expect_file!["golden/endpoints.nft"]);
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    check_changes(&mut net, expect_file!["golden/fewer-endpoints.nft"]);
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    assert!(net.changes().nft.is_none());
    net.service("default", "web", None);
    check_changes(&mut net, expect_file!["golden/no-service.nft"]);
}

#[test]
fn local_policy_holds_for_clients_from_outside() {
    let mut net = net();
    net.full();
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"],
        "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
    net.service("default", "web", Some(&web(spec)));
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.1.2@n2"])));
    check_changes(&mut net, expect_file!["golden/local-elsewhere.nft"]);
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.1.2@n2", "10.42.0.2@n1"])));
    check_changes(&mut net, expect_file!["golden/local-here.nft"]);
}

#[test]
fn affinity_has_a_set_for_each_endpoint() {
    let mut net = net();
    net.full();
    let spec = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    net.service("default", "web", Some(&web(spec)));
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2", "10.42.0.3"])));
    check_changes(&mut net, expect_file!["golden/affinity.nft"]);
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2"])));
    check_changes(&mut net, expect_file!["golden/affinity-fewer.nft"]);
}

#[test]
fn host_ports_and_hairpins_follow_the_pod() {
    let mut net = net();
    net.full();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "ports": [
            {"containerPort": 80, "hostPort": 8080},
            {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"}]}]},
        "status": {"podIP": "10.42.0.9", "phase": "Running"},
    }))
    .expect("a pod");
    net.pod("default", "p", Some(&pod));
    check_changes(&mut net, expect_file!["golden/host-ports.nft"]);
    net.pod("default", "p", None);
    let changes = net.changes();
    expect_file!["golden/no-host-ports.nft"].assert_eq(&changes.nft.unwrap_or_default());
    assert_eq!(changes.flows, [Flow { to: Some([127, 0, 0, 1].into()), port: 5353, endpoint: [10, 42, 0, 9].into() }]);
}

#[test]
fn udp_flows_of_removed_endpoints_are_forgotten_and_others_kept() {
    let mut net = net();
    net.service("default", "web", Some(&web(json!({"ports": [{"name": "http", "port": 53, "protocol": "UDP"}]}))));
    net.slice("default", "web-1", Some(&slice("UDP", &["10.42.0.2", "10.42.0.3"])));
    net.full();
    net.slice("default", "web-1", Some(&slice("UDP", &["10.42.0.3"])));
    let gone = Flow { to: Some([10, 43, 0, 5].into()), port: 53, endpoint: [10, 42, 0, 2].into() };
    assert_eq!(net.changes().flows, [gone]);
}

#[test]
fn the_dns_address_is_never_steered() {
    let mut net = net();
    net.full();
    net.service("default", "web", Some(&web(json!({"clusterIP": "10.43.0.10"}))));
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2"])));
    assert_eq!(net.changes().nft, None);
}

#[test]
fn a_full_text_says_what_all_changes_have_said() {
    let mut step_by_step = net();
    step_by_step.full();
    step_by_step.service("default", "web", Some(&web(json!({}))));
    step_by_step.changes();
    step_by_step.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2", "10.42.0.3"])));
    step_by_step.changes();
    step_by_step.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    let mut at_once = net();
    at_once.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    at_once.service("default", "web", Some(&web(json!({}))));
    assert_eq!(step_by_step.full(), at_once.full());
    assert!(step_by_step.changes().nft.is_none());
}

mod names {
    use super::*;
    use crate::dns::{Data, Type, Zone};

    fn zone() -> Zone {
        let mut net = net();
        net.service("default", "web", Some(&web(json!({}))));
        net.service(
            "default",
            "db",
            Some(&service("db", json!({"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]}))),
        );
        net.service("default", "none", Some(&service("none", json!({"clusterIP": "None"}))));
        net.service(
            "default",
            "out",
            Some(&service("out", json!({"type": "ExternalName", "externalName": "example.org."}))),
        );
        net.service(
            "default",
            "alias",
            Some(&service("alias", json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}))),
        );
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "db-1", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4",
            "endpoints": [
                {"addresses": ["10.42.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.42.0.8"], "conditions": {"ready": true}},
                {"addresses": ["10.42.0.9"], "hostname": "db-2", "conditions": {"ready": false}}],
            "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        }))
        .expect("a slice");
        net.slice("default", "db-1", Some(&slice));
        let mut zone =
            Zone::new("cluster.local", [10, 43, 0, 10].into(), &[cidr("10.43.0.0/16"), cidr("10.42.0.0/16")]);
        for (namespace, name, records) in net.names() {
            zone.set(&namespace, &name, records);
        }
        zone
    }

    fn show(data: &Data) -> String {
        match data {
            Data::A(ip) => ip.to_string(),
            Data::Srv(weight, port, target) => format!("{weight} {port} {target}"),
            Data::Ptr(name) | Data::Cname(name) | Data::Ns(name) => name.clone(),
            Data::Txt(text) => (*text).to_owned(),
            Data::Soa(server, mailbox, _) => format!("{server} {mailbox}"),
        }
    }

    fn check(name: &str, kind: Type, expected: &str) {
        let found = match zone().answer(name, kind, 0) {
            None => "forward".to_owned(),
            Some(answer) if !answer.exists => "NXDOMAIN".to_owned(),
            Some(answer) => {
                let mut texts: Vec<_> = answer.records.iter().map(|r| show(&r.data)).collect();
                texts.extend(answer.additional.iter().map(|r| format!("+{} {}", r.name, show(&r.data))));
                texts.extend(answer.chase.map(|to| format!("chase {to}")));
                texts.join(", ")
            }
        };
        assert_eq!(found, expected, "{name} {kind:?}");
    }

    #[test]
    fn services_have_addresses_and_locations() {
        check("web.default.svc.cluster.local", Type::A, "10.43.0.5");
        check("web.default.svc.cluster.local", Type::Other, "");
        check("nope.default.svc.cluster.local", Type::A, "NXDOMAIN");
        check("web.other.svc.cluster.local", Type::A, "NXDOMAIN");
        check("default.svc.cluster.local", Type::A, "");
        check(
            "_http._tcp.web.default.svc.cluster.local",
            Type::Srv,
            "100 80 web.default.svc.cluster.local, +web.default.svc.cluster.local 10.43.0.5",
        );
        check("_http._udp.web.default.svc.cluster.local", Type::Srv, "NXDOMAIN");
    }

    #[test]
    fn headless_services_name_their_endpoints() {
        check("db.default.svc.cluster.local", Type::A, "10.42.0.7, 10.42.0.8");
        check("db-0.db.default.svc.cluster.local", Type::A, "10.42.0.7");
        check("10-42-0-8.db.default.svc.cluster.local", Type::A, "10.42.0.8");
        check("db-2.db.default.svc.cluster.local", Type::A, "NXDOMAIN");
        check("none.default.svc.cluster.local", Type::A, "NXDOMAIN");
        check(
            "_sql._tcp.db.default.svc.cluster.local",
            Type::Srv,
            "50 5432 10-42-0-8.db.default.svc.cluster.local, 50 5432 db-0.db.default.svc.cluster.local, \
             +10-42-0-8.db.default.svc.cluster.local 10.42.0.8, +db-0.db.default.svc.cluster.local 10.42.0.7",
        );
    }

    #[test]
    fn the_rest_of_the_specification() {
        check("dns-version.cluster.local", Type::Txt, "1.1.0");
        check("10-42-0-7.default.pod.cluster.local", Type::A, "10.42.0.7");
        check("x.default.pod.cluster.local", Type::A, "NXDOMAIN");
        check("out.default.svc.cluster.local", Type::A, "example.org, chase example.org");
        check("out.default.svc.cluster.local", Type::Cname, "example.org");
        check("alias.default.svc.cluster.local", Type::A, "web.default.svc.cluster.local, 10.43.0.5");
        check("5.0.43.10.in-addr.arpa", Type::Ptr, "web.default.svc.cluster.local");
        check("7.0.42.10.in-addr.arpa", Type::Ptr, "db-0.db.default.svc.cluster.local");
        check("77.0.42.10.in-addr.arpa", Type::Ptr, "NXDOMAIN");
        check("8.8.8.8.in-addr.arpa", Type::Ptr, "forward");
        check("example.org", Type::A, "forward");
        check("notcluster.local", Type::A, "forward");
        check("cluster.local", Type::Soa, "ns.dns.cluster.local hostmaster.cluster.local");
    }

    #[test]
    fn records_rotate_from_answer_to_answer() {
        let zone = zone();
        let first = |turn| zone.answer("db.default.svc.cluster.local", Type::A, turn).map(|a| show(&a.records[0].data));
        assert_eq!((first(0).as_deref(), first(1).as_deref()), (Some("10.42.0.7"), Some("10.42.0.8")));
    }
}
