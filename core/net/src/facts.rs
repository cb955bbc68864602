//! The few facts of services, endpoint slices and pods that rulesets and names are made from.

use std::fmt;
use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::{Pod, Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

/// Label that ties an endpoint slice to its service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Label of services that some other proxy handles.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// How long a client keeps its endpoint when the service does not say.
const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;

/// A transport protocol that a service can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl Protocol {
    pub(crate) fn parse(text: Option<&str>) -> Self {
        match text {
            Some("UDP") => Protocol::Udp,
            Some("SCTP") => Protocol::Sctp,
            _ => Protocol::Tcp,
        }
    }
    /// The lower-case name, as rulesets and SRV records have it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named port; of a service (with its node port) or of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
    pub node_port: Option<u16>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceFacts {
    pub cluster_ips: Vec<Ipv4Addr>,
    pub headless: bool,
    pub external_name: Option<String>,
    /// `externalIPs` and the addresses that a load balancer delivers unchanged.
    pub external_ips: Vec<Ipv4Addr>,
    pub ports: Vec<Port>,
    /// Seconds of client affinity.
    pub affinity: Option<u32>,
    pub external_local: bool,
    pub internal_local: bool,
    /// Whether packets are ours to steer.
    pub proxied: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointFacts {
    pub address: Ipv4Addr,
    pub ready: bool,
    pub serving: bool,
    pub terminating: bool,
    pub node: Option<String>,
    pub hostname: Option<String>,
    pub for_nodes: Vec<String>,
    pub for_zones: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SliceFacts {
    pub service: String,
    pub ports: Vec<Port>,
    pub endpoints: Vec<EndpointFacts>,
}

/// What a pod of this node adds to the ruleset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodFacts {
    pub ip: Ipv4Addr,
    pub host_ports: Vec<HostPort>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// `None` for every address of the node.
    pub host_ip: Option<Ipv4Addr>,
    pub protocol: Protocol,
    pub host_port: u16,
    pub container_port: u16,
}

fn addresses<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<Ipv4Addr> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

fn port_number(number: i32) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port > 0)
}

impl ServiceFacts {
    pub fn of(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self::default() };
        let external_name = spec.external_name.clone().filter(|_| spec.type_.as_deref() == Some("ExternalName"));
        let cluster_ip = spec.cluster_ip.clone().unwrap_or_default();
        let balanced = service.status.as_ref().and_then(|s| s.load_balancer.as_ref()).and_then(|b| b.ingress.as_ref());
        let balanced = balanced.into_iter().flatten().filter(|i| i.ip_mode.as_deref() != Some("Proxy"));
        let mut external_ips = addresses(spec.external_ips.iter().flatten());
        external_ips.extend(addresses(balanced.filter_map(|i| i.ip.as_ref())));
        let seconds = || spec.session_affinity_config.as_ref()?.client_ip.as_ref()?.timeout_seconds;
        let affinity = (spec.session_affinity.as_deref() == Some("ClientIP"))
            .then(|| seconds().and_then(|s| u32::try_from(s).ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS));
        ServiceFacts {
            headless: external_name.is_none() && cluster_ip == "None",
            cluster_ips: if external_name.is_some() { Vec::new() } else { addresses([&cluster_ip]) },
            external_name,
            external_ips,
            ports: spec.ports.iter().flatten().filter_map(service_port).collect(),
            affinity,
            external_local: spec.external_traffic_policy.as_deref() == Some("Local"),
            internal_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            proxied: !service.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROXY_NAME)),
        }
    }
}

fn service_port(port: &ServicePort) -> Option<Port> {
    Some(Port {
        name: port.name.clone().unwrap_or_default(),
        protocol: Protocol::parse(port.protocol.as_deref()),
        port: port_number(port.port)?,
        node_port: port.node_port.and_then(port_number),
    })
}

impl SliceFacts {
    /// `None` for slices of other address families and of no service.
    pub fn of(slice: &EndpointSlice) -> Option<Self> {
        let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?.clone();
        (slice.address_type == "IPv4").then_some(())?;
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: Protocol::parse(port.protocol.as_deref()),
                port: port_number(port.port?)?,
                node_port: None,
            })
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(endpoint).collect();
        Some(SliceFacts { service, ports: ports.collect(), endpoints })
    }
}

fn endpoint(endpoint: &Endpoint) -> Option<EndpointFacts> {
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let ready = conditions.ready.unwrap_or(true);
    let hints = endpoint.hints.clone().unwrap_or_default();
    Some(EndpointFacts {
        address: endpoint.addresses.first()?.parse().ok()?,
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        node: endpoint.node_name.clone(),
        hostname: endpoint.hostname.clone().filter(|name| !name.is_empty()),
        for_nodes: hints.for_nodes.into_iter().flatten().map(|n| n.name).collect(),
        for_zones: hints.for_zones.into_iter().flatten().map(|z| z.name).collect(),
    })
}

impl PodFacts {
    /// `None` for pods that have ended, have no address yet or use the node's.
    pub fn of(pod: &Pod) -> Option<Self> {
        let (spec, status) = (pod.spec.as_ref()?, pod.status.as_ref()?);
        if spec.host_network == Some(true) || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return None;
        }
        let ports =
            spec.containers.iter().chain(spec.init_containers.iter().flatten()).flat_map(|c| c.ports.iter().flatten());
        let host_ports = ports.filter_map(|port| {
            let host_ip = port.host_ip.as_deref().and_then(|ip| ip.parse::<Ipv4Addr>().ok());
            Some(HostPort {
                host_ip: host_ip.filter(|ip| !ip.is_unspecified()),
                protocol: Protocol::parse(port.protocol.as_deref()),
                host_port: port_number(port.host_port?)?,
                container_port: port_number(port.container_port)?,
            })
        });
        Some(PodFacts { ip: status.pod_ip.as_deref()?.parse().ok()?, host_ports: host_ports.collect() })
    }
}
