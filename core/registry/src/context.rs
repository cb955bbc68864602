//! What a decision goes by besides the view and the request.

use std::fmt;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::Timestamp;

use gantry_policy::Chain;

use crate::admission::{LimitedResources, Placement, Plugins, PodSecurity};
use crate::ask::Answers;

/// The time, a seed for what must differ from request to request, and the cluster's settings.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// Uids and name suffixes are drawn from it; never the same twice.
    pub seed: u64,
    /// Facts of the cluster.
    pub settings: &'a Settings,
    /// Who says who may do what.
    pub authorizers: &'a Chain,
    /// What has been answered to questions of earlier attempts at the same decision.
    pub answers: &'a Answers,
}

/// Facts of the cluster that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Addresses of Services.
    pub service_cidr: Cidr,
    /// Ports that Services may take on every node.
    pub node_ports: RangeInclusive<u16>,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
    /// Port on which the API is served.
    pub api_port: u16,
    /// Address of the Service `default/kubernetes`.
    pub api_service_ip: Ipv4Addr,
    /// Address of the Service `kube-system/kube-dns`.
    pub dns_service_ip: Ipv4Addr,
    /// The parts of admission that act.
    pub plugins: Plugins,
    /// What pods must keep to in namespaces that say nothing of it.
    pub pod_security: PodSecurity,
    /// Where pods of namespaces that say nothing of it may run.
    pub placement: Placement,
    /// What may be taken only from a quota.
    pub limited_resources: LimitedResources,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            service_cidr: Cidr { address: Ipv4Addr::new(10, 43, 0, 0), prefix: 16 },
            node_ports: 30000..=32767,
            cluster_domain: "cluster.local".to_owned(),
            api_port: 6443,
            api_service_ip: Ipv4Addr::new(10, 43, 0, 1),
            dns_service_ip: Ipv4Addr::new(10, 43, 0, 10),
            plugins: Plugins::default(),
            pod_security: PodSecurity::default(),
            placement: Placement::default(),
            limited_resources: LimitedResources::default(),
        }
    }
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// First address.
    pub address: Ipv4Addr,
    /// Bits of the network part.
    pub prefix: u8,
}

/// A text that is not an IPv4 network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedCidr(String);

impl fmt::Display for MalformedCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an IPv4 network: {:?}", self.0)
    }
}
impl std::error::Error for MalformedCidr {}

impl Cidr {
    /// How many addresses there are.
    pub fn size(&self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }
    /// The address at `offset` from the first.
    pub fn at(&self, offset: u64) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits().wrapping_add(offset as u32))
    }
    /// Whether the address is in the network.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let first = self.address.to_bits();
        address.to_bits() >= first && u64::from(address.to_bits() - first) < self.size()
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = MalformedCidr;
    fn from_str(text: &str) -> Result<Self, MalformedCidr> {
        let malformed = || MalformedCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(malformed)?;
        let address: Ipv4Addr = address.parse().map_err(|_| malformed())?;
        let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
        if !(1..=30).contains(&prefix) {
            return Err(malformed());
        }
        let mask = u32::MAX << (32 - u32::from(prefix));
        Ok(Cidr { address: Ipv4Addr::from_bits(address.to_bits() & mask), prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let cidr: Cidr = "10.43.7.0/16".parse().expect("a network");
        assert_eq!(cidr.to_string(), "10.43.0.0/16");
        assert_eq!((cidr.size(), cidr.at(258)), (65536, Ipv4Addr::new(10, 43, 1, 2)));
        assert!(cidr.contains(Ipv4Addr::new(10, 43, 255, 255)) && !cidr.contains(Ipv4Addr::new(10, 44, 0, 0)));
        assert!("10.43.0.0".parse::<Cidr>().is_err() && "10.43.0.0/31".parse::<Cidr>().is_err());
    }
}
