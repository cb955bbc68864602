//! What the controllers are told about the cluster.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// How long a node may ordinarily be silent.
pub(crate) const NODE_GRACE_SECONDS: i64 = 40;

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// First address.
    pub address: Ipv4Addr,
    /// Length of the prefix.
    pub prefix: u8,
}

/// A text that is not an IPv4 network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCidr(pub String);

impl fmt::Display for BadCidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an IPv4 network such as 10.42.0.0/16", self.0)
    }
}
impl std::error::Error for BadCidr {}

impl Cidr {
    /// The networks of length `prefix` inside this one, in order.
    pub fn subnets(self, prefix: u8) -> impl Iterator<Item = Cidr> {
        let count: u64 = if prefix < self.prefix || prefix > 32 { 0 } else { 1 << (prefix - self.prefix) };
        let size: u64 = 1 << (32 - u32::from(prefix.min(32)));
        let first = u64::from(u32::from(self.address));
        (0..count).filter_map(move |at| {
            let address = u32::try_from(first + at * size).ok()?;
            Some(Cidr { address: Ipv4Addr::from(address), prefix })
        })
    }
    /// Whether the two share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        let length = self.prefix.min(other.prefix);
        self.masked(length) == other.masked(length)
    }
    fn masked(self, length: u8) -> u32 {
        let shift = 32 - u32::from(length);
        u32::from(self.address).checked_shr(shift).unwrap_or(0)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = BadCidr;
    fn from_str(text: &str) -> Result<Self, BadCidr> {
        let bad = || BadCidr(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let (address, prefix): (Ipv4Addr, u8) =
            (address.parse().map_err(|_| bad())?, prefix.parse().map_err(|_| bad())?);
        let cidr = Cidr { address, prefix };
        if prefix > 32 || (prefix < 32 && u32::from(address) << prefix != 0) { Err(bad()) } else { Ok(cidr) }
    }
}

/// What the controllers go by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Network of all pods.
    pub cluster_cidr: Cidr,
    /// Length of the prefix of each node's part of it.
    pub node_mask: u8,
    /// Certificates of the authority that signed the API's, as pods are told of it.
    pub root_ca_pem: String,
    /// Addresses of the API behind the Service `default/kubernetes`.
    pub api_addresses: Vec<Ipv4Addr>,
    /// Its port there.
    pub api_port: u16,
    /// Seconds without a sign of life after which a node counts as unreachable.
    pub node_grace_seconds: i64,
}

impl Settings {
    /// The usual settings: pods in 10.42.0.0/16, a /24 for each node.
    pub fn new(root_ca_pem: impl Into<String>, api_addresses: Vec<Ipv4Addr>, api_port: u16) -> Self {
        let cluster_cidr = Cidr { address: Ipv4Addr::new(10, 42, 0, 0), prefix: 16 };
        let (root_ca_pem, node_grace_seconds) = (root_ca_pem.into(), NODE_GRACE_SECONDS);
        Settings { cluster_cidr, node_mask: 24, root_ca_pem, api_addresses, api_port, node_grace_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_strictly() {
        for good in ["10.42.0.0/16", "0.0.0.0/0", "10.0.0.1/32"] {
            assert_eq!(good.parse::<Cidr>().unwrap().to_string(), good);
        }
        for bad in ["10.42.0.1/16", "10.42.0.0", "10.42.0.0/33", "::/64", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn subnets_cover_the_network() {
        let all: Vec<String> = "10.42.0.0/22".parse::<Cidr>().unwrap().subnets(24).map(|c| c.to_string()).collect();
        assert_eq!(all, ["10.42.0.0/24", "10.42.1.0/24", "10.42.2.0/24", "10.42.3.0/24"]);
        assert_eq!("10.42.0.0/24".parse::<Cidr>().unwrap().subnets(16).count(), 0);
    }

    #[test]
    fn overlap_is_symmetric() {
        let [wide, narrow, other] =
            ["10.42.0.0/16", "10.42.7.0/24", "10.43.7.0/24"].map(|c| c.parse::<Cidr>().unwrap());
        assert!(wide.overlaps(narrow) && narrow.overlaps(wide));
        assert!(!wide.overlaps(other) && !other.overlaps(narrow));
    }
}
