//! From objects to ruleset text and back to nothing.

use expect_test::{Expect, expect};
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

fn check_changes(net: &mut Net, expected: Expect) {
    expected.assert_eq(&net.changes().nft.unwrap_or_default());
}

#[test]
fn the_empty_table() {
    expect![[r#"
        table ip gantry
        delete table ip gantry
        table ip gantry {
        	map services {
        		type ipv4_addr . inet_proto . inet_service : verdict
        	}
        	map service-outsides {
        		type ipv4_addr . inet_proto . inet_service : verdict
        	}
        	map ports {
        		type inet_proto . inet_service : verdict
        	}
        	map port-outsides {
        		type inet_proto . inet_service : verdict
        	}
        	map service-tcp {
        		typeof ip daddr . tcp dport . numgen random mod 65536 : ip daddr . tcp dport
        	}
        	map service-udp {
        		typeof ip daddr . udp dport . numgen random mod 65536 : ip daddr . udp dport
        	}
        	map service-sctp {
        		typeof ip daddr . sctp dport . numgen random mod 65536 : ip daddr . sctp dport
        	}
        	map service-outside-tcp {
        		typeof ip daddr . tcp dport . numgen random mod 65536 : ip daddr . tcp dport
        	}
        	map service-outside-udp {
        		typeof ip daddr . udp dport . numgen random mod 65536 : ip daddr . udp dport
        	}
        	map service-outside-sctp {
        		typeof ip daddr . sctp dport . numgen random mod 65536 : ip daddr . sctp dport
        	}
        	map port-tcp {
        		typeof tcp dport . numgen random mod 65536 : ip daddr . tcp dport
        	}
        	map port-udp {
        		typeof udp dport . numgen random mod 65536 : ip daddr . udp dport
        	}
        	map port-sctp {
        		typeof sctp dport . numgen random mod 65536 : ip daddr . sctp dport
        	}
        	map port-outside-tcp {
        		typeof tcp dport . numgen random mod 65536 : ip daddr . tcp dport
        	}
        	map port-outside-udp {
        		typeof udp dport . numgen random mod 65536 : ip daddr . udp dport
        	}
        	map port-outside-sctp {
        		typeof sctp dport . numgen random mod 65536 : ip daddr . sctp dport
        	}
        	set hairpin {
        		type ipv4_addr . ipv4_addr
        	}
        	chain refuse {
        		meta l4proto tcp reject with tcp reset
        		reject with icmp type port-unreachable
        	}
        	chain dispatch {
        		ip daddr . meta l4proto . th dport vmap @services
        		ip daddr 10.43.0.0/16 ip daddr . meta l4proto . th dport vmap @services
        		fib daddr type local meta l4proto . th dport vmap @ports
        		fib daddr type local meta l4proto . th dport vmap @ports
        	}
        	chain outside {
        		ip saddr 10.42.0.0/16 return
        		fib saddr type local return
        		ip daddr . meta l4proto . th dport vmap @service-outsides
        		fib daddr type local meta l4proto . th dport vmap @port-outsides
        	}
        	chain prerouting {
        		type nat hook prerouting priority dstnat; policy accept;
        		jump outside
        		goto dispatch
        	}
        	chain output {
        		type nat hook output priority -100; policy accept;
        		goto dispatch
        	}
        	chain postrouting {
        		type nat hook postrouting priority srcnat; policy accept;
        		ip saddr . ip daddr @hairpin masquerade fully-random
        		oifname != "lo" ip saddr 127.0.0.0/8 masquerade fully-random
        		ct status dnat ip saddr != 10.42.0.0/16 fib saddr type != local ip daddr != 10.42.0.0/24 masquerade fully-random
        		ip saddr 10.42.0.0/24 ip daddr != { 10.42.0.0/16, 224.0.0.0/4 } oifname != "lo" masquerade fully-random
        	}
        	chain input {
        		type filter hook input priority filter; policy accept;
        		iifname "lo" return
        		ip daddr != 127.0.0.0/8 return
        		ct status dnat return
        		drop
        	}
        	chain forward {
        		type filter hook forward priority filter; policy accept;
        		ip daddr 10.43.0.0/16 goto refuse
        	}
        	chain egress {
        		type filter hook output priority filter; policy accept;
        		ip daddr 10.43.0.0/16 fib daddr type != local goto refuse
        	}
        }
    "#]].assert_eq(&net().full());
}

#[test]
fn endpoints_come_and_go_as_elements() {
    let mut net = net();
    net.full();
    net.service("default", "web", Some(&web(json!({}))));
    check_changes(
        &mut net,
        expect![[r#"
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto refuse }
    "#]],
    );
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2", "10.42.0.3"])));
    check_changes(
        &mut net,
        expect![[r#"
        delete element ip gantry services { 10.43.0.5 . tcp . 80 }
        table ip gantry {
        	chain service-tcp-2 {
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 2 map @service-tcp
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		goto refuse
        	}
        }
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto service-tcp-2 }
        add element ip gantry service-tcp { 10.43.0.5 . 80 . 0 : 10.42.0.2 . 8080, 10.43.0.5 . 80 . 1 : 10.42.0.3 . 8080 }
    "#]],
    );
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    check_changes(
        &mut net,
        expect![[r#"
        delete element ip gantry services { 10.43.0.5 . tcp . 80 }
        delete element ip gantry service-tcp { 10.43.0.5 . 80 . 0 }
        delete element ip gantry service-tcp { 10.43.0.5 . 80 . 1 }
        table ip gantry {
        	chain service-tcp-1 {
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		goto refuse
        	}
        }
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto service-tcp-1 }
        add element ip gantry service-tcp { 10.43.0.5 . 80 . 0 : 10.42.0.3 . 8080 }
    "#]],
    );
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.3"])));
    assert!(net.changes().nft.is_none());
    net.service("default", "web", None);
    check_changes(
        &mut net,
        expect![[r#"
        delete element ip gantry services { 10.43.0.5 . tcp . 80 }
        delete element ip gantry service-tcp { 10.43.0.5 . 80 . 0 }
    "#]],
    );
}

#[test]
fn local_policy_holds_for_clients_from_outside() {
    let mut net = net();
    net.full();
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"],
        "ports": [{"name": "http", "port": 80, "nodePort": 30080}]});
    net.service("default", "web", Some(&web(spec)));
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.1.2@n2"])));
    check_changes(
        &mut net,
        expect![[r#"
        table ip gantry {
        	chain service-tcp-1 {
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		goto refuse
        	}
        	chain port-tcp-1 {
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-tcp
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-tcp
        		goto refuse
        	}
        }
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto service-tcp-1, 192.0.2.1 . tcp . 80 : goto service-tcp-1 }
        add element ip gantry service-outsides { 192.0.2.1 . tcp . 80 : drop }
        add element ip gantry ports { tcp . 30080 : goto port-tcp-1 }
        add element ip gantry port-outsides { tcp . 30080 : drop }
        add element ip gantry service-tcp { 10.43.0.5 . 80 . 0 : 10.42.1.2 . 8080, 192.0.2.1 . 80 . 0 : 10.42.1.2 . 8080 }
        add element ip gantry port-tcp { 30080 . 0 : 10.42.1.2 . 8080 }
    "#]],
    );
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.1.2@n2", "10.42.0.2@n1"])));
    check_changes(
        &mut net,
        expect![[r#"
        delete element ip gantry services { 10.43.0.5 . tcp . 80 }
        delete element ip gantry services { 192.0.2.1 . tcp . 80 }
        delete element ip gantry service-outsides { 192.0.2.1 . tcp . 80 }
        delete element ip gantry ports { tcp . 30080 }
        delete element ip gantry port-outsides { tcp . 30080 }
        delete element ip gantry service-tcp { 10.43.0.5 . 80 . 0 }
        delete element ip gantry service-tcp { 192.0.2.1 . 80 . 0 }
        delete element ip gantry port-tcp { 30080 . 0 }
        table ip gantry {
        	chain service-tcp-2 {
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 2 map @service-tcp
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-tcp
        		goto refuse
        	}
        	chain service-outside-tcp-1 {
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-outside-tcp
        		dnat ip addr . port to ip daddr . tcp dport . numgen random mod 1 map @service-outside-tcp
        		goto refuse
        	}
        	chain port-tcp-2 {
        		dnat ip addr . port to tcp dport . numgen random mod 2 map @port-tcp
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-tcp
        		goto refuse
        	}
        	chain port-outside-tcp-1 {
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-outside-tcp
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-outside-tcp
        		goto refuse
        	}
        }
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto service-tcp-2, 192.0.2.1 . tcp . 80 : goto service-tcp-2 }
        add element ip gantry service-outsides { 192.0.2.1 . tcp . 80 : goto service-outside-tcp-1 }
        add element ip gantry ports { tcp . 30080 : goto port-tcp-2 }
        add element ip gantry port-outsides { tcp . 30080 : goto port-outside-tcp-1 }
        add element ip gantry service-tcp { 10.43.0.5 . 80 . 0 : 10.42.0.2 . 8080, 10.43.0.5 . 80 . 1 : 10.42.1.2 . 8080, 192.0.2.1 . 80 . 0 : 10.42.0.2 . 8080, 192.0.2.1 . 80 . 1 : 10.42.1.2 . 8080 }
        add element ip gantry service-outside-tcp { 192.0.2.1 . 80 . 0 : 10.42.0.2 . 8080 }
        add element ip gantry port-tcp { 30080 . 0 : 10.42.0.2 . 8080, 30080 . 1 : 10.42.1.2 . 8080 }
        add element ip gantry port-outside-tcp { 30080 . 0 : 10.42.0.2 . 8080 }
    "#]],
    );
}

#[test]
fn affinity_has_a_set_for_each_endpoint() {
    let mut net = net();
    net.full();
    let spec = json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}});
    net.service("default", "web", Some(&web(spec)));
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2", "10.42.0.3"])));
    check_changes(
        &mut net,
        expect![[r#"
        table ip gantry {
        	set client-34679bae83325a1d {
        		type ipv4_addr; flags dynamic,timeout; timeout 60s; size 65535;
        	}
        	set client-8e58868cbc9f33e8 {
        		type ipv4_addr; flags dynamic,timeout; timeout 60s; size 65535;
        	}
        	chain affinity-85b4a6a48d9b530c {
        		ip saddr @client-34679bae83325a1d goto client-34679bae83325a1d
        		ip saddr @client-8e58868cbc9f33e8 goto client-8e58868cbc9f33e8
        		numgen random mod 2 vmap { 0 : goto client-34679bae83325a1d, 1 : goto client-8e58868cbc9f33e8 }
        	}
        	chain client-34679bae83325a1d {
        		update @client-34679bae83325a1d { ip saddr }
        		meta l4proto tcp dnat to 10.42.0.2:8080
        	}
        	chain client-8e58868cbc9f33e8 {
        		update @client-8e58868cbc9f33e8 { ip saddr }
        		meta l4proto tcp dnat to 10.42.0.3:8080
        	}
        }
        add element ip gantry services { 10.43.0.5 . tcp . 80 : goto affinity-85b4a6a48d9b530c }
    "#]],
    );
    net.slice("default", "web-1", Some(&slice("TCP", &["10.42.0.2"])));
    check_changes(
        &mut net,
        expect![[r#"
        flush chain ip gantry affinity-85b4a6a48d9b530c
        flush chain ip gantry client-8e58868cbc9f33e8
        table ip gantry {
        	chain affinity-85b4a6a48d9b530c {
        		ip saddr @client-34679bae83325a1d goto client-34679bae83325a1d
        		numgen random mod 1 vmap { 0 : goto client-34679bae83325a1d }
        	}
        }
        delete chain ip gantry client-8e58868cbc9f33e8
        delete set ip gantry client-8e58868cbc9f33e8
    "#]],
    );
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
    check_changes(
        &mut net,
        expect![[r#"
        table ip gantry {
        	chain service-udp-1 {
        		dnat ip addr . port to ip daddr . udp dport . numgen random mod 1 map @service-udp
        		dnat ip addr . port to ip daddr . udp dport . numgen random mod 1 map @service-udp
        		goto refuse
        	}
        	chain port-tcp-1 {
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-tcp
        		dnat ip addr . port to tcp dport . numgen random mod 1 map @port-tcp
        		goto refuse
        	}
        }
        add element ip gantry services { 127.0.0.1 . udp . 5353 : goto service-udp-1 }
        add element ip gantry ports { tcp . 8080 : goto port-tcp-1 }
        add element ip gantry service-udp { 127.0.0.1 . 5353 . 0 : 10.42.0.9 . 53 }
        add element ip gantry port-tcp { 8080 . 0 : 10.42.0.9 . 80 }
        add element ip gantry hairpin { 10.42.0.9 . 10.42.0.9 }
    "#]],
    );
    net.pod("default", "p", None);
    let changes = net.changes();
    expect![[r#"
        delete element ip gantry services { 127.0.0.1 . udp . 5353 }
        delete element ip gantry ports { tcp . 8080 }
        delete element ip gantry service-udp { 127.0.0.1 . 5353 . 0 }
        delete element ip gantry port-tcp { 8080 . 0 }
        delete element ip gantry hairpin { 10.42.0.9 . 10.42.0.9 }
    "#]]
    .assert_eq(&changes.nft.unwrap_or_default());
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
