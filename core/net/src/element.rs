//! The maps of the ruleset and their elements, as values and as text.

use std::fmt;
use std::net::Ipv4Addr;

use crate::choose::Target;
use crate::facts::Protocol;

/// How a packet's destination is looked up: by address and port, or by port alone on any address of the node; and
/// for whom: `Outside` planes hold what differs for clients from outside the cluster (local traffic policy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Plane {
    Service,
    ServiceOutside,
    Port,
    PortOutside,
}

impl Plane {
    pub const ALL: [Plane; 4] = [Plane::Service, Plane::ServiceOutside, Plane::Port, Plane::PortOutside];

    pub fn name(self) -> &'static str {
        match self {
            Plane::Service => "service",
            Plane::ServiceOutside => "service-outside",
            Plane::Port => "port",
            Plane::PortOutside => "port-outside",
        }
    }
    pub fn by_address(self) -> bool {
        matches!(self, Plane::Service | Plane::ServiceOutside)
    }
    /// Name of the map from key to verdict.
    pub fn frontends(self) -> String {
        format!("{}s", self.name())
    }
}

/// A destination that clients use. `ip` is unspecified on planes that look at the port alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Frontend {
    pub plane: Plane,
    pub ip: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
}

impl Frontend {
    pub fn group(&self) -> Group {
        Group { plane: self.plane, protocol: self.protocol }
    }
}

/// The frontends of one plane and protocol, whose endpoints share a map. The type of an endpoint's port names its
/// protocol, because `nft` takes no other type for a port that it can read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    pub plane: Plane,
    pub protocol: Protocol,
}

impl Group {
    /// All groups.
    pub fn all() -> impl Iterator<Item = Group> {
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        Plane::ALL.into_iter().flat_map(move |plane| protocols.map(|protocol| Group { plane, protocol }))
    }
    /// Name of the map from key and number to endpoint.
    pub fn backends(self) -> String {
        format!("{}-{}", self.plane.name(), self.protocol)
    }
    /// The packet fields that make the key, before the number.
    pub fn fields(self) -> String {
        format!("{}{} dport", if self.plane.by_address() { "ip daddr . " } else { "" }, self.protocol)
    }
    /// Name of the chain that sends to one of `count` endpoints.
    pub fn picker(self, count: u16) -> String {
        format!("{}-{}-{count}", self.plane.name(), self.protocol)
    }
    /// Rules of that chain. The number may have been drawn before a change and be looked up after it: then the
    /// first endpoint stands in.
    pub fn picker_rules(self, count: u16) -> Vec<String> {
        let pick = |n: u16| {
            format!("dnat ip addr . port to {} . numgen random mod {n} map @{}", self.fields(), self.backends())
        };
        vec![pick(count), pick(1), "goto refuse".to_owned()]
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.plane.by_address() {
            write!(f, "{} . ", self.ip)?;
        }
        write!(f, "{} . {}", self.protocol, self.port)
    }
}

/// What happens to the first packet of a connection to a frontend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One of this many endpoints, evenly.
    Pick(u16),
    /// The chain with this number keeps clients at their endpoints.
    Affinity(u64),
    Refuse,
    Drop,
}

/// Key of an element, in the order in which maps are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Frontend(Frontend),
    Backend(Frontend, u16),
    /// A pod of this node, which may meet itself through a service.
    Hairpin(Ipv4Addr),
}

/// Data of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    Verdict(Verdict),
    Target(Target),
    Member,
}

impl Key {
    /// Name of the map or set.
    pub fn map(&self) -> String {
        match self {
            Key::Frontend(frontend) => frontend.plane.frontends(),
            Key::Backend(frontend, _) => frontend.group().backends(),
            Key::Hairpin(_) => "hairpin".to_owned(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Frontend(frontend) => write!(f, "{frontend}"),
            Key::Backend(frontend, at) => {
                if frontend.plane.by_address() {
                    write!(f, "{} . ", frontend.ip)?;
                }
                write!(f, "{} . {at}", frontend.port)
            }
            Key::Hairpin(ip) => write!(f, "{ip} . {ip}"),
        }
    }
}

/// Writes a key with its data, as `add element` takes it.
pub(crate) fn write_element(out: &mut String, key: &Key, data: &Data) {
    use std::fmt::Write;
    let written = match data {
        Data::Member => write!(out, "{key}"),
        Data::Target(target) => write!(out, "{key} : {} . {}", target.ip, target.port),
        Data::Verdict(Verdict::Refuse) => write!(out, "{key} : goto refuse"),
        Data::Verdict(Verdict::Drop) => write!(out, "{key} : drop"),
        Data::Verdict(Verdict::Affinity(id)) => write!(out, "{key} : goto affinity-{id:016x}"),
        Data::Verdict(Verdict::Pick(n)) => {
            let Key::Frontend(frontend) = key else { return };
            write!(out, "{key} : goto {}", frontend.group().picker(*n))
        }
    };
    written.expect("writing to a string");
}
