//! Real packets through a real kernel.

mod world;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gantry_client::Event;
use gantry_net::dns::Zone;
use gantry_net::{Cidr, Params};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::dns;
use super::driver::{Driver, Item, Source};
use super::host::Host;
use super::metrics::Metrics;
use world::{Peer, ask, ask_udp, in_namespace, run, serve, udp};

const NODE_IP: [u8; 4] = [192, 0, 2, 1];
const DNS_IP: [u8; 4] = [10, 43, 0, 10];

/// A node whose driver is driven by hand.
struct Node {
    runtime: Runtime,
    driver: Driver,
    zone: Arc<RwLock<Zone>>,
    metrics: Arc<Metrics>,
}

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).expect("a range")
}

impl Node {
    fn new() -> Self {
        run("ip address add 192.0.2.1/32 dev lo");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (service_cidr, cluster_cidr) = (cidr("10.43.0.0/16"), cidr("10.42.0.0/16"));
        let params = Params {
            node_name: "n1".into(),
            zone: String::new(),
            cluster_cidr,
            node_pod_cidr: None,
            service_cidr,
            dns_ip: DNS_IP.into(),
        };
        let zone = Arc::new(RwLock::new(Zone::new("cluster.local", DNS_IP.into(), &[service_cidr, cluster_cidr])));
        let host = Host { node_ip: NODE_IP.into(), service_cidr, dns_ip: DNS_IP.into() };
        let metrics = Arc::new(Metrics::default());
        let driver = Driver::new(params, zone.clone(), host, metrics.clone(), Arc::default());
        let mut node = Node { runtime, driver, zone, metrics };
        node.runtime.block_on(host.prepare());
        let own = json!({"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.42.0.0/24"}});
        for (source, objects) in
            [(Source::Node, vec![own]), (Source::Services, vec![]), (Source::Slices, vec![]), (Source::Pods, vec![])]
        {
            node.driver.take(Item { source, event: Event::Restarted(objects) });
        }
        node.apply();
        node
    }

    fn apply(&mut self) {
        assert!(self.runtime.block_on(self.driver.apply()), "the ruleset was refused");
    }

    fn service(&mut self, extra: Value) {
        let mut spec = json!({"clusterIP": "10.43.0.5", "type": "NodePort", "ports": [
            {"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"},
            {"name": "udp", "port": 80, "protocol": "UDP"}]});
        spec.as_object_mut().expect("an object").extend(extra.as_object().cloned().unwrap_or_default());
        let service = json!({"metadata": {"name": "web", "namespace": "default"}, "spec": spec});
        self.driver.take(Item { source: Source::Services, event: Event::Applied(service) });
        self.apply();
    }

    fn endpoints(&mut self, addresses: &[&str]) {
        let endpoints: Vec<_> = addresses
            .iter()
            .map(|address| json!({"addresses": [address], "conditions": {"ready": true}, "nodeName": "n1"}))
            .collect();
        let slice = json!({
            "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "udp", "port": 8080, "protocol": "UDP"}],
        });
        self.driver.take(Item { source: Source::Slices, event: Event::Applied(slice) });
        self.apply();
    }

    fn pod(&mut self, name: &str, address: &str, ports: Value) {
        let pod = json!({"metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "c", "ports": ports}]}, "status": {"podIP": address, "phase": "Running"}});
        self.driver.take(Item { source: Source::Pods, event: Event::Applied(pod) });
        self.apply();
    }
}

/// A node with two pods behind the service `web`.
fn node_with_pods() -> (Node, [Peer; 2]) {
    let mut node = Node::new();
    let pods = ["10.42.0.2", "10.42.0.3"];
    let peers = [Peer::new("pod1", pods[0], "10.42.0.1"), Peer::new("pod2", pods[1], "10.42.0.1")];
    peers[0].serve("one", 8080);
    peers[1].serve("two", 8080);
    node.pod("one", pods[0], json!([{"containerPort": 8080, "hostPort": 8088}]));
    node.pod("two", pods[1], json!([]));
    node.service(json!({}));
    (node, peers)
}

/// All answers of a few connections.
fn answers(address: &str) -> BTreeSet<String> {
    (0..24).map(|_| ask(address).0).collect()
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn services_are_reached_from_everywhere() {
    in_namespace(|| {
        let (mut node, [one, _two]) = node_with_pods();
        let outside = Peer::new("out", "198.51.100.7", "192.0.2.1");
        assert_eq!(ask("10.43.0.5:80").0, "connection refused");
        node.endpoints(&["10.42.0.2", "10.42.0.3"]);
        assert_eq!(answers("10.43.0.5:80"), set(&["one 192.0.2.1", "two 192.0.2.1"]));
        let from_pod = one.inside(|| answers("10.43.0.5:80"));
        assert_eq!(from_pod, set(&["one 10.42.0.1", "two 10.42.0.2"]), "a pod meets itself by its gateway");
        let at_node = outside.inside(|| answers("192.0.2.1:30080"));
        assert_eq!(at_node, set(&["one 198.51.100.7", "two 198.51.100.7"]), "the client keeps its address");
        assert_eq!(answers("127.0.0.1:30080"), set(&["one 10.42.0.1", "two 10.42.0.1"]));
        assert_eq!(one.inside(|| answers("192.0.2.1:30080")).len(), 2);
        assert_eq!(outside.inside(|| ask("192.0.2.1:8088").0), "one 198.51.100.7");
        assert_eq!(ask("127.0.0.1:8088").0, "one 10.42.0.1");
        assert_eq!(ask("10.43.0.5:81").0, "connection refused");
        assert_eq!(one.inside(|| ask("10.43.9.9:80").0), "connection refused");
        node.endpoints(&[]);
        assert_eq!(one.inside(|| ask("10.43.0.5:80").0), "connection refused");
    });
}

/// Has a peer send what is for the loopback network to the node, as only a hostile neighbour does.
fn attack(neighbour: &Peer, gateway: &str) -> [String; 3] {
    let gateway = gateway.to_owned();
    neighbour.inside(move || {
        run("ip address flush dev lo");
        run(&format!("ip route replace 127.0.0.0/8 via {gateway} dev eth0"));
        for name in ["all", "eth0"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"), "1").expect("a setting");
        }
        // What serves the node alone, a port of the node, and a pod's port of the loopback address.
        ["127.0.0.1:6000", "127.0.0.1:30080", "127.0.0.1:8088"].map(|address| ask(address).0)
    })
}

#[test]
fn neighbours_do_not_reach_the_loopback_network() {
    in_namespace(|| {
        let (mut node, [_one, two]) = node_with_pods();
        let outside = Peer::new("out", "198.51.100.7", "192.0.2.1");
        serve("private", SocketAddr::from(([127, 0, 0, 1], 6000)));
        node.endpoints(&["10.42.0.2"]);
        for answers in [attack(&outside, "192.0.2.1"), attack(&two, "10.42.0.1")] {
            assert_eq!(answers, ["timed out"; 3]);
        }
        assert_eq!(ask("127.0.0.1:6000").0, "private 127.0.0.1");
        assert_eq!(ask("127.0.0.1:30080").0, "one 10.42.0.1");
        // Without the rules they would.
        run("nft flush ruleset");
        assert_eq!(attack(&outside, "192.0.2.1")[0], "private 198.51.100.7");
    });
}

#[test]
fn the_node_itself_can_be_an_endpoint() {
    in_namespace(|| {
        let (mut node, [one, _two]) = node_with_pods();
        serve("api", SocketAddr::from((NODE_IP, 8080)));
        node.endpoints(&["192.0.2.1"]);
        assert_eq!(ask("10.43.0.5:80").0, "api 192.0.2.1");
        assert_eq!(one.inside(|| ask("10.43.0.5:80").0), "api 10.42.0.2");
    });
}

#[test]
fn connections_outlive_their_endpoint_and_packets_do_not() {
    in_namespace(|| {
        use std::io::{Read, Write};
        let (mut node, _pods) = node_with_pods();
        node.endpoints(&["10.42.0.2"]);
        let (answer, stream) = ask("10.43.0.5:80");
        let mut stream = stream.expect(&answer);
        let (socket, service) = (udp(), SocketAddr::from(([10, 43, 0, 5], 80)));
        assert_eq!(ask_udp(&socket, service, b"?").as_deref(), Some(&b"one 192.0.2.1"[..]));
        node.endpoints(&["10.42.0.3"]);
        stream.write_all(b"still here").expect("an open connection");
        let mut echo = [0; 10];
        stream.read_exact(&mut echo).expect("an open connection");
        assert_eq!(&echo, b"still here");
        assert_eq!(ask("10.43.0.5:80").0, "two 192.0.2.1");
        assert_eq!(ask_udp(&socket, service, b"?").as_deref(), Some(&b"two 192.0.2.1"[..]));
    });
}

#[test]
fn clients_with_affinity_stay_where_they_are() {
    in_namespace(|| {
        let (mut node, _pods) = node_with_pods();
        node.service(json!({"sessionAffinity": "ClientIP"}));
        node.endpoints(&["10.42.0.2", "10.42.0.3"]);
        let first = answers("10.43.0.5:80");
        assert_eq!(first.len(), 1);
        node.endpoints(&["10.42.0.2", "10.42.0.3", "10.42.0.4"]);
        assert_eq!(answers("10.43.0.5:80"), first);
    });
}

#[test]
fn a_rolling_update_drops_nothing() {
    in_namespace(|| {
        let (mut node, _pods) = node_with_pods();
        node.endpoints(&["10.42.0.2", "10.42.0.3"]);
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let (stop, asked) = (stop.clone(), asked.clone());
                std::thread::spawn(move || {
                    let mut failures = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let (answer, stream) = ask("10.43.0.5:80");
                        asked.fetch_add(1, Ordering::Relaxed);
                        if stream.is_none() {
                            failures.push(answer);
                        }
                    }
                    failures
                })
            })
            .collect();
        for _ in 0..15 {
            node.endpoints(&["10.42.0.2"]);
            node.endpoints(&["10.42.0.2", "10.42.0.3"]);
            node.endpoints(&["10.42.0.3"]);
            node.endpoints(&["10.42.0.2", "10.42.0.3"]);
        }
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            assert_eq!(client.join().expect("a client"), Vec::<String>::new());
        }
        assert!(asked.load(Ordering::Relaxed) > 100, "{asked:?} requests are too few to say anything");
    });
}

#[test]
fn a_table_that_is_gone_comes_back() {
    in_namespace(|| {
        let (mut node, _pods) = node_with_pods();
        node.endpoints(&["10.42.0.2"]);
        run("nft flush ruleset");
        let checked = async {
            node.driver.verify().await;
            node.driver.apply().await
        };
        assert!(node.runtime.block_on(checked));
        assert_eq!(ask("10.43.0.5:80").0, "one 192.0.2.1");
        assert_eq!(node.metrics.restored.load(Ordering::Relaxed), 1);
        run("nft delete table ip gantry");
        node.endpoints(&["10.42.0.3"]);
        assert_eq!(ask("10.43.0.5:80").0, "two 192.0.2.1", "a refused change is followed by the whole");
    });
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message.to_vec().expect("a message")
}

fn resolve(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let reply = ask_udp(&udp(), SocketAddr::from((DNS_IP, 53)), &question(name, kind)).expect("an answer");
    let message = Message::from_vec(&reply).expect("a message");
    assert_eq!(message.metadata.id, 77);
    (message.metadata.response_code, message.answers.iter().map(|record| record.data.to_string()).collect())
}

/// Over TCP: how many answers.
fn resolve_over_tcp(name: &str) -> usize {
    use std::io::{Read, Write};
    let question = question(name, RecordType::A);
    let mut stream = std::net::TcpStream::connect(SocketAddr::from((DNS_IP, 53))).expect("a connection");
    let mut frame = u16::try_from(question.len()).expect("a short question").to_be_bytes().to_vec();
    frame.extend(question);
    stream.write_all(&frame).expect("a question out");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).expect("an answer");
    Message::from_vec(&reply).expect("a message").answers.len()
}

#[test]
fn names_are_answered_or_passed_on() {
    in_namespace(|| {
        let (mut node, [one, two]) = node_with_pods();
        node.endpoints(&["10.42.0.2", "10.42.0.3"]);
        let directory = tempfile::tempdir().expect("a directory");
        let resolv_conf = directory.path().join("resolv.conf");
        std::fs::write(&resolv_conf, "nameserver 10.42.0.3\n").expect("a file");
        two.inside(|| {
            let socket = std::net::UdpSocket::bind("10.42.0.3:53").expect("a port");
            std::thread::spawn(move || {
                let mut buffer = [0; 512];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let mut reply = Message::from_vec(&buffer[..length]).expect("a question").into_response();
                    reply.metadata.response_code = ResponseCode::Refused;
                    let _ = socket.send_to(&reply.to_vec().expect("a message"), from);
                }
            });
        });
        let server = dns::Server::new(node.zone.clone(), DNS_IP.into(), resolv_conf, node.metrics.clone());
        let sockets = node.runtime.block_on(dns::listen(SocketAddr::from((DNS_IP, 53)))).expect("two sockets");
        let listening = dns::answer_all(server, sockets);
        let _context = node.runtime.enter();
        let questions = tokio::task::spawn_blocking(move || {
            one.inside(|| {
                let web = "web.default.svc.cluster.local.";
                assert_eq!(resolve(web, RecordType::A), (ResponseCode::NoError, vec!["10.43.0.5".to_owned()]));
                assert_eq!(resolve("WEB.default.svc.cluster.local.", RecordType::A).1.len(), 1);
                assert_eq!(resolve(web, RecordType::AAAA), (ResponseCode::NoError, vec![]));
                assert_eq!(resolve("no.default.svc.cluster.local.", RecordType::A).0, ResponseCode::NXDomain);
                assert_eq!(resolve("5.0.43.10.in-addr.arpa.", RecordType::PTR).1, [web]);
                assert_eq!(resolve_over_tcp(web), 1);
                assert_eq!(resolve("example.org.", RecordType::A).0, ResponseCode::Refused);
            })
        });
        node.runtime.block_on(async {
            tokio::select! {
                () = listening => panic!("the server ended"),
                done = questions => done.expect("all answers"),
            }
        });
    });
}

#[test]
fn long_answers_are_cut_for_udp_alone() {
    let mut zone = Zone::new("cluster.local", DNS_IP.into(), &[]);
    let mut net = gantry_net::Net::new(Params {
        node_name: "n1".into(),
        zone: String::new(),
        cluster_cidr: cidr("10.42.0.0/16"),
        node_pod_cidr: None,
        service_cidr: cidr("10.43.0.0/16"),
        dns_ip: DNS_IP.into(),
    });
    let endpoints: Vec<_> = (0..200).map(|at| json!({"addresses": [format!("10.42.1.{at}")]})).collect();
    let service = json!({"metadata": {"name": "many"}, "spec": {"clusterIP": "None"}});
    let slice = json!({"metadata": {"name": "many-1", "labels": {"kubernetes.io/service-name": "many"}},
        "addressType": "IPv4", "endpoints": endpoints});
    net.service("default", "many", Some(&serde_json::from_value(service).expect("a service")));
    net.slice("default", "many-1", Some(&serde_json::from_value(slice).expect("a slice")));
    for (namespace, name, records) in net.names() {
        zone.set(&namespace, &name, records);
    }
    let check = |transport, payload: Option<u16>, answers: std::ops::RangeInclusive<usize>, cut| {
        let asked = question("many.default.svc.cluster.local.", RecordType::A);
        let mut message = Message::from_vec(&asked).expect("a question");
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            message.set_edns(edns);
        }
        let question = dns::question(&message.to_vec().expect("a message"), transport);
        let answer = zone.answer(&question.name, question.kind(), 0).expect("an answer of our own");
        let bytes = question.encode(question.answer(&answer, &zone.authority())).expect("an answer");
        let message = Message::from_vec(&bytes).expect("a message");
        assert!(answers.contains(&message.answers.len()), "{} answers", message.answers.len());
        assert_eq!(message.metadata.truncation, cut);
        assert_eq!(message.edns.is_some(), payload.is_some());
    };
    check(dns::Transport::Udp, None, 28..=31, true);
    check(dns::Transport::Udp, Some(4096), 70..=76, true);
    check(dns::Transport::Tcp, None, 200..=200, false);
}
