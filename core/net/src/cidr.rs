//! IPv4 address ranges.

use std::fmt;
use std::net::Ipv4Addr;

/// An IPv4 range such as `10.42.0.0/16`, kept with its host bits cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: Ipv4Addr,
    length: u8,
}

impl Cidr {
    /// Reads `address/length`; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = text.split_once('/')?;
        let (address, length): (Ipv4Addr, u8) = (address.parse().ok()?, length.parse().ok()?);
        (length <= 32).then(|| Cidr { network: Ipv4Addr::from_bits(address.to_bits() & mask(length)), length })
    }

    /// Whether the address lies in the range.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.length) == self.network.to_bits()
    }
}

fn mask(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_contain_their_addresses_alone() {
        let check = |range: &str, address: [u8; 4], inside: bool| {
            assert_eq!(Cidr::parse(range).map(|c| c.contains(address.into())), Some(inside), "{range} {address:?}");
        };
        check("10.42.0.0/24", [10, 42, 0, 255], true);
        check("10.42.0.0/24", [10, 42, 1, 0], false);
        check("10.42.7.9/16", [10, 42, 255, 1], true);
        check("0.0.0.0/0", [8, 8, 8, 8], true);
        check("1.2.3.4/32", [1, 2, 3, 5], false);
        assert_eq!(Cidr::parse("10.42.0.0/33"), None);
        assert_eq!(Cidr::parse("10.42.0.0"), None);
        assert_eq!(Cidr::parse("fd00::/8"), None);
    }
}
