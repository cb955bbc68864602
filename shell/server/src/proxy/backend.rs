//! Which address a proxied request goes to, and through which node.

use std::net::{IpAddr, SocketAddr};

use gantry_kinds::{ENDPOINT_SLICE, KindRef, SERVICE, Status};
use gantry_view::View;
use serde_json::Value;

use crate::Refusal;
use crate::app::{App, Call};

/// Label of a slice that names its service.
pub(crate) const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The port at which a node answers for itself, which here is no port but the node's tunnel.
const NODE_PORT: u16 = 10250;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The node's own agent.
    Agent,
    /// Whatever listens at the address.
    Address(SocketAddr),
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub place: Place,
    pub tls: bool,
    /// The node that reaches the address; `None` when this server must do so itself.
    pub node: Option<String>,
}

impl Backend {
    /// `host:port` as links of the backend name it.
    pub(super) fn host(&self) -> String {
        match self.place {
            Place::Agent => String::new(),
            Place::Address(address) => address.to_string(),
        }
    }
}

/// `[scheme:]name[:port]`.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    scheme: &'a str,
    name: &'a str,
    port: &'a str,
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let wanted = match parts[..] {
            [name] => Wanted { scheme: "", name, port: "" },
            [name, port] => Wanted { scheme: "", name, port },
            [scheme, name, port] => Wanted { scheme, name, port },
            _ => return None,
        };
        (!wanted.name.is_empty() && ["", "http", "https"].contains(&wanted.scheme)).then_some(wanted)
    }

    fn tls(&self) -> bool {
        self.scheme == "https"
    }
}

/// The backend of a request to a proxy subresource of a pod, service or node.
pub(super) fn find(app: &App, call: &Call, kind: KindRef) -> Result<Backend, Refusal> {
    let (asked, view) = (&call.asked, app.cluster.view());
    let wanted = Wanted::parse(&asked.name)
        .ok_or_else(|| Box::new(Status::bad_request(format!("invalid {} request {:?}", kind.singular, asked.name))))?;
    match kind.plural {
        "services" => of_service(&view, &asked.namespace, &wanted, app.cluster.next_seed()),
        "pods" => of_pod(&object(&view, kind, &asked.namespace, wanted.name)?, &wanted),
        _ => of_node(&object(&view, kind, "", wanted.name)?, &wanted),
    }
}

fn object(view: &View, kind: KindRef, namespace: &str, name: &str) -> Result<Value, Refusal> {
    let found = view.get(kind, namespace, name).map(|object| object.value());
    found.ok_or_else(|| Box::new(Status::not_found(kind, name)))
}

fn of_pod(pod: &Value, wanted: &Wanted<'_>) -> Result<Backend, Refusal> {
    let ip = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok()).filter(reachable);
    let ip = ip.ok_or_else(not_allowed)?;
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let mut ports = containers.flat_map(|c| c["ports"].as_array().into_iter().flatten());
    let mut first = || ports.find_map(|port| u16::try_from(port["containerPort"].as_u64()?).ok());
    let port = if wanted.port.is_empty() { first() } else { Some(number(wanted.port)?) };
    let port = port.unwrap_or(if wanted.tls() { 443 } else { 80 });
    let node = pod["spec"]["nodeName"].as_str().map(str::to_owned);
    Ok(Backend { place: Place::Address(SocketAddr::new(ip, port)), tls: wanted.tls(), node })
}

fn of_node(node: &Value, wanted: &Wanted<'_>) -> Result<Backend, Refusal> {
    let name = Some(wanted.name.to_owned());
    let port = if wanted.port.is_empty() { NODE_PORT } else { number(wanted.port)? };
    if port == NODE_PORT {
        return Ok(Backend { place: Place::Agent, tls: false, node: name });
    }
    let addresses: Vec<&Value> = node["status"]["addresses"].as_array().into_iter().flatten().collect();
    let internal = addresses.iter().find(|a| a["type"] == "InternalIP").and_then(|a| a["address"].as_str());
    let ip: Option<IpAddr> = internal.and_then(|ip| ip.parse().ok());
    let known: Vec<&str> = addresses.iter().filter_map(|a| a["address"].as_str()).collect();
    let Some(ip) = ip else {
        let text = format!("no preferred addresses found; known addresses: [{}]", known.join(" "));
        return Err(Box::new(Status::new(500, "", text)));
    };
    if !reachable(&ip) {
        return Err(not_allowed());
    }
    Ok(Backend { place: Place::Address(SocketAddr::new(ip, port)), tls: wanted.tls(), node: name })
}

/// The backend of a port of a service that is named by itself.
pub(crate) fn of_named(view: &View, namespace: &str, name: &str, port: u16, seed: u64) -> Result<Backend, Refusal> {
    if view.get(&SERVICE, namespace, name).is_none() {
        return Err(Box::new(Status::new(503, "ServiceUnavailable", format!("service {name:?} not found"))));
    }
    let port = port.to_string();
    of_service(view, namespace, &Wanted { scheme: "https", name, port: &port }, seed)
}

fn of_service(view: &View, namespace: &str, wanted: &Wanted<'_>, seed: u64) -> Result<Backend, Refusal> {
    let unavailable = |text: String| -> Refusal { Box::new(Status::new(503, "ServiceUnavailable", text)) };
    let none = || unavailable(format!("no endpoints available for service {:?}", wanted.name));
    let service = view.get(&SERVICE, namespace, wanted.name).map(|object| object.value()).ok_or_else(none)?;
    let ports: Vec<&Value> = service["spec"]["ports"].as_array().into_iter().flatten().collect();
    let port_name = match wanted.port.parse::<u64>() {
        Ok(number) => {
            let port = ports.iter().find(|port| port["port"] == number);
            let missing = || unavailable(format!("no service port {number} found for service {:?}", wanted.name));
            port.ok_or_else(missing)?["name"].as_str().unwrap_or_default().to_owned()
        }
        Err(_) => wanted.port.to_owned(),
    };
    let mut found: Vec<(SocketAddr, Option<String>)> = Vec::new();
    for slice in view.list(&ENDPOINT_SLICE, Some(namespace)) {
        if slice.header.labels.get(SERVICE_NAME).is_some_and(|name| &**name == wanted.name) {
            found.extend(addresses(&slice.value(), &port_name));
        }
    }
    if found.is_empty() {
        return Err(none());
    }
    let (address, node) = found.swap_remove(usize::try_from(seed % found.len() as u64).unwrap_or(0));
    if !reachable(&address.ip()) {
        return Err(not_allowed());
    }
    Ok(Backend { place: Place::Address(address), tls: wanted.tls(), node })
}

/// Ready addresses of a slice at the named port, with their nodes.
pub(crate) fn addresses(slice: &Value, port_name: &str) -> Vec<(SocketAddr, Option<String>)> {
    let ports = slice["ports"].as_array().into_iter().flatten();
    let named = ports.filter(|port| port["name"].as_str().unwrap_or_default() == port_name);
    let Some(port) = named.filter_map(|port| u16::try_from(port["port"].as_u64()?).ok()).next() else {
        return Vec::new();
    };
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"].as_bool().unwrap_or(true));
    let place = |endpoint: &Value| {
        let ip: IpAddr = endpoint["addresses"][0].as_str()?.parse().ok()?;
        Some((SocketAddr::new(ip, port), endpoint["nodeName"].as_str().map(str::to_owned)))
    };
    ready.filter_map(place).collect()
}

fn number(port: &str) -> Result<u16, Refusal> {
    let refused = || Box::new(Status::bad_request(format!("invalid port {port:?}")));
    port.parse().ok().filter(|port| *port > 0).ok_or_else(refused)
}

/// Whether an address may be proxied to: those of one machine or link alone mean another one to each who uses them.
fn reachable(ip: &IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(local || ip.is_loopback() || ip.is_multicast() || ip.is_unspecified())
}

fn not_allowed() -> Refusal {
    Box::new(Status::bad_request("address not allowed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(text: &str) -> Wanted<'_> {
        Wanted::parse(text).unwrap()
    }

    #[test]
    fn names_have_schemes_and_ports() {
        assert_eq!(wanted("p"), Wanted { scheme: "", name: "p", port: "" });
        assert_eq!(wanted("p:80"), Wanted { scheme: "", name: "p", port: "80" });
        assert_eq!(wanted("https:p:"), Wanted { scheme: "https", name: "p", port: "" });
        for broken in ["ftp:p:1", "a:b:c:d", ":80", ""] {
            assert_eq!(Wanted::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_pod_is_reached_at_its_first_port_unless_another_is_named() {
        let pod = json!({"spec": {"nodeName": "n1", "containers": [{}, {"ports": [{"containerPort": 8080}]}]},
            "status": {"podIP": "10.1.0.7"}});
        let check = |pod: &Value, name: &str, expected: Result<&str, &str>| {
            let got = of_pod(pod, &wanted(name)).map(|b| b.host()).map_err(|s| s.message);
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{name}");
        };
        check(&pod, "p", Ok("10.1.0.7:8080"));
        check(&pod, "p:90", Ok("10.1.0.7:90"));
        check(&json!({"status": {"podIP": "10.1.0.7"}}), "https:p:", Ok("10.1.0.7:443"));
        check(&json!({"status": {"podIP": "127.0.0.1"}}), "p", Err("address not allowed"));
        check(&json!({}), "p", Err("address not allowed"));
    }

    #[test]
    fn ready_addresses_of_the_named_port_count() {
        let slice = json!({"ports": [{"name": "http", "port": 80}, {"port": 81}], "endpoints": [
            {"addresses": ["10.1.0.1"], "conditions": {"ready": false}},
            {"addresses": ["10.1.0.2"], "conditions": {}, "nodeName": "n1"}]});
        let at =
            |port| addresses(&slice, port).into_iter().map(|(address, node)| (address.to_string(), node)).collect();
        let only = |text: &str| vec![(text.to_owned(), Some("n1".to_owned()))];
        let (named, unnamed, other): (Vec<_>, Vec<_>, Vec<_>) = (at("http"), at(""), at("nope"));
        assert_eq!((named, unnamed, other), (only("10.1.0.2:80"), only("10.1.0.2:81"), Vec::new()));
    }

    #[test]
    fn a_node_answers_for_itself_and_for_what_listens_there() {
        let node = json!({"status": {"addresses": [{"type": "Hostname", "address": "n1"},
            {"type": "InternalIP", "address": "192.168.0.5"}]}});
        assert_eq!(of_node(&node, &wanted("n1")).unwrap().place, Place::Agent);
        assert_eq!(of_node(&node, &wanted("n1:9100")).unwrap().host(), "192.168.0.5:9100");
        let refused = of_node(&json!({}), &wanted("n1:9100")).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (500, "no preferred addresses found; known addresses: []")
        );
    }
}
