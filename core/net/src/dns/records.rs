//! What one service contributes to the zone.

use std::net::Ipv4Addr;

use crate::facts::{Port, Protocol, ServiceFacts, SliceFacts};

/// The names of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// One name with a virtual address.
    Virtual {
        /// The addresses.
        ips: Vec<Ipv4Addr>,
        /// Name, protocol and number of each port.
        ports: Vec<(String, Protocol, u16)>,
    },
    /// A headless service: the name stands for its endpoints, and each has a name of its own.
    Headless(Vec<Host>),
    /// Another name for something elsewhere.
    External(String),
}

/// One endpoint of a headless service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Its hostname, or its address with dashes.
    pub label: String,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Name, protocol and number of each port.
    pub ports: Vec<(String, Protocol, u16)>,
}

fn triples(ports: &[Port]) -> Vec<(String, Protocol, u16)> {
    ports.iter().map(|p| (p.name.clone(), p.protocol, p.port)).collect()
}

/// An address as a label.
pub(crate) fn dashed(ip: Ipv4Addr) -> String {
    ip.to_string().replace('.', "-")
}

pub(crate) fn records(service: &ServiceFacts, slices: &[&SliceFacts]) -> Records {
    if let Some(target) = &service.external_name {
        return Records::External(target.trim_end_matches('.').to_ascii_lowercase());
    }
    if !service.headless {
        return Records::Virtual { ips: service.cluster_ips.clone(), ports: triples(&service.ports) };
    }
    let mut hosts: Vec<Host> = Vec::new();
    for slice in slices {
        for endpoint in slice.endpoints.iter().filter(|e| e.ready) {
            let label = endpoint.hostname.clone().unwrap_or_else(|| dashed(endpoint.address));
            hosts.push(Host { label: label.to_ascii_lowercase(), ip: endpoint.address, ports: triples(&slice.ports) });
        }
    }
    hosts.sort();
    hosts.dedup();
    Records::Headless(hosts)
}
