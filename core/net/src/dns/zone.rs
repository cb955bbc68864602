//! The zone: all services by name, and answers from them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::cidr::Cidr;
use crate::dns::records::{Host, Records};
use crate::facts::Protocol;

/// How long clients may keep an answer.
pub const TTL_SECONDS: u32 = 5;
/// The version of the specification that the zone follows, as it says itself.
const SPECIFICATION: &str = "1.1.0";

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// IPv4 address
    A,
    /// Service location
    Srv,
    /// Name of an address
    Ptr,
    /// Text
    Txt,
    /// Canonical name
    Cname,
    /// Name server
    Ns,
    /// Start of authority
    Soa,
    /// Everything
    Any,
    /// Something that the zone never has, such as AAAA.
    Other,
}

/// One answer record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Full name without the last dot.
    pub name: String,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// IPv4 address
    A(Ipv4Addr),
    /// Service location: weight, port, target
    Srv(u16, u16, String),
    /// Name of an address
    Ptr(String),
    /// Text
    Txt(&'static str),
    /// Canonical name
    Cname(String),
    /// Name server
    Ns(String),
    /// Start of authority: server, mailbox, serial
    Soa(String, String, u32),
}

impl Data {
    fn is(&self, kind: Type) -> bool {
        match self {
            Data::A(_) => kind == Type::A,
            Data::Srv(..) => kind == Type::Srv,
            Data::Ptr(_) => kind == Type::Ptr,
            Data::Txt(_) => kind == Type::Txt,
            Data::Cname(_) => true,
            Data::Ns(_) => kind == Type::Ns,
            Data::Soa(..) => kind == Type::Soa,
        }
    }
}

/// The zone's answer to one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether there is such a name; it may have no record of the wanted type.
    pub exists: bool,
    /// Records of the wanted type, aliases included.
    pub records: Vec<Record>,
    /// Addresses of the targets named in `records`.
    pub additional: Vec<Record>,
    /// A name outside of the zone at which an alias ends: the answer is complete with its records.
    pub chase: Option<String>,
}

/// All cluster names.
pub struct Zone {
    domain: String,
    dns_ip: Ipv4Addr,
    reverse_ranges: Vec<Cidr>,
    serial: u32,
    services: BTreeMap<String, BTreeMap<String, Records>>,
    reverse: BTreeMap<Ipv4Addr, BTreeSet<String>>,
}

type Found = (Vec<Record>, Vec<Record>);

impl Zone {
    /// An empty zone. `reverse` are the ranges whose addresses have their names here and nowhere else.
    pub fn new(domain: &str, dns_ip: Ipv4Addr, reverse: &[Cidr]) -> Self {
        Zone {
            domain: domain.to_ascii_lowercase(),
            dns_ip,
            reverse_ranges: reverse.to_vec(),
            serial: 1,
            services: BTreeMap::new(),
            reverse: BTreeMap::new(),
        }
    }

    /// A service has these records now, or is gone.
    pub fn set(&mut self, namespace: &str, name: &str, records: Option<Records>) {
        self.serial = self.serial.wrapping_add(1);
        let full = format!("{name}.{namespace}.svc.{}", self.domain);
        let of_namespace = self.services.entry(namespace.to_owned()).or_default();
        let before = match records.clone() {
            Some(records) => of_namespace.insert(name.to_owned(), records),
            None => of_namespace.remove(name),
        };
        if of_namespace.is_empty() {
            self.services.remove(namespace);
        }
        for (ip, name) in before.iter().flat_map(|records| named_addresses(records, &full)) {
            if let Some(names) = self.reverse.get_mut(&ip) {
                names.remove(&name);
                if names.is_empty() {
                    self.reverse.remove(&ip);
                }
            }
        }
        for (ip, name) in records.iter().flat_map(|records| named_addresses(records, &full)) {
            self.reverse.entry(ip).or_default().insert(name);
        }
    }

    /// The answer to a question, `name` in lower case without its last dot; `None` where the name belongs to
    /// somebody else. `turn` rotates the records, so that clients that take the first spread out.
    pub fn answer(&self, name: &str, kind: Type, turn: usize) -> Option<Answer> {
        if let Some(ip) = reverse_address(name) {
            return self.answer_reverse(name, ip, kind);
        }
        let relative = match name.strip_suffix(self.domain.as_str())? {
            "" => "",
            relative => relative.strip_suffix('.')?,
        };
        let labels: Vec<&str> = relative.rsplit('.').filter(|label| !label.is_empty()).collect();
        let Some((records, additional)) = self.find(name, &labels) else { return Some(Answer::default()) };
        let chase = records.iter().find_map(|r| if let Data::Cname(to) = &r.data { Some(to.clone()) } else { None });
        let mut answer = Answer { exists: true, ..Answer::default() };
        answer.records = records.into_iter().filter(|r| kind == Type::Any || r.data.is(kind)).collect();
        if !answer.records.is_empty() {
            let by = turn % answer.records.len();
            answer.records.rotate_left(by);
        }
        let targets: Vec<_> = answer.records.iter().filter_map(|r| r.data.target()).collect();
        answer.additional = additional.into_iter().filter(|a| targets.contains(&a.name.as_str())).collect();
        if let Some(target) = chase.filter(|_| kind != Type::Cname) {
            self.chase(&mut answer, target, kind, turn);
        }
        Some(answer)
    }

    /// Follows an alias: one step inside of the zone, or out of it.
    fn chase(&self, answer: &mut Answer, target: String, kind: Type, turn: usize) {
        if target != self.domain && !target.ends_with(&format!(".{}", self.domain)) {
            answer.chase = Some(target);
            return;
        }
        let labels: Vec<&str> =
            target[..target.len() - self.domain.len()].rsplit('.').filter(|l| !l.is_empty()).collect();
        if let Some((records, _)) = self.find(&target, &labels) {
            let mut records: Vec<_> =
                records.into_iter().filter(|r| r.data.is(kind) && !matches!(r.data, Data::Cname(_))).collect();
            if !records.is_empty() {
                let by = turn % records.len();
                records.rotate_left(by);
            }
            answer.records.extend(records);
        }
    }

    /// The record that says how long "no" may be believed.
    pub fn authority(&self) -> Record {
        let data = Data::Soa(format!("ns.dns.{}", self.domain), format!("hostmaster.{}", self.domain), self.serial);
        Record { name: self.domain.clone(), data }
    }

    fn find(&self, name: &str, labels: &[&str]) -> Option<Found> {
        let one = |data| Some((vec![Record { name: name.to_owned(), data }], Vec::new()));
        match labels {
            [] => {
                let ns = Record { name: name.to_owned(), data: Data::Ns(format!("ns.dns.{}", self.domain)) };
                Some((vec![self.authority(), ns], Vec::new()))
            }
            ["dns-version"] => one(Data::Txt(SPECIFICATION)),
            ["dns", "ns"] => one(Data::A(self.dns_ip)),
            ["svc" | "pod" | "dns"] => Some(Found::default()),
            ["pod", _namespace, address] => one(Data::A(address.replace('-', ".").parse().ok()?)),
            ["svc", namespace] => self.services.contains_key(*namespace).then(Found::default),
            ["svc", namespace, service, rest @ ..] => {
                let records = self.services.get(*namespace)?.get(*service)?;
                let full = format!("{service}.{namespace}.svc.{}", self.domain);
                service_records(name, &full, records, rest)
            }
            _ => None,
        }
    }

    fn answer_reverse(&self, name: &str, ip: Ipv4Addr, kind: Type) -> Option<Answer> {
        let names = self.reverse.get(&ip);
        if names.is_none() && !self.reverse_ranges.iter().any(|range| range.contains(ip)) {
            return None;
        }
        let wanted = matches!(kind, Type::Ptr | Type::Any);
        let records = names.into_iter().flatten().filter(|_| wanted);
        let records = records.map(|full| Record { name: name.to_owned(), data: Data::Ptr(full.clone()) });
        Some(Answer { exists: names.is_some(), records: records.collect(), ..Answer::default() })
    }
}

impl Data {
    fn target(&self) -> Option<&str> {
        if let Data::Srv(_, _, target) = self { Some(target) } else { None }
    }
}

/// Addresses that have their name from this service.
fn named_addresses(records: &Records, full: &str) -> Vec<(Ipv4Addr, String)> {
    match records {
        Records::Virtual { ips, .. } => ips.iter().map(|ip| (*ip, full.to_owned())).collect(),
        Records::Headless(hosts) => hosts.iter().map(|h| (h.ip, format!("{}.{full}", h.label))).collect(),
        Records::External(_) => Vec::new(),
    }
}

/// The records below a service's name: `rest` are the labels before it, from right to left.
fn service_records(name: &str, full: &str, records: &Records, rest: &[&str]) -> Option<Found> {
    match (records, rest) {
        (Records::External(target), []) => {
            Some((vec![Record { name: name.to_owned(), data: Data::Cname(target.clone()) }], Vec::new()))
        }
        (Records::External(_), _) => None,
        (Records::Virtual { ips, ports }, []) => Some(virtual_records(name, full, ips, ports, |_, _| true)),
        (Records::Headless(hosts), []) => non_empty(headless_records(name, full, hosts, |_, _| true, true)),
        (_, [protocol]) if protocol.starts_with('_') => Some(Found::default()),
        (_, [protocol, port]) => {
            let (protocol, port) = (protocol.strip_prefix('_')?, port.strip_prefix('_')?);
            let wanted = |name: &str, of: Protocol| name == port && of.name() == protocol;
            match records {
                Records::Virtual { ips, ports } => {
                    let (records, additional) = virtual_records(name, full, ips, ports, wanted);
                    non_empty((records.into_iter().filter(|r| r.data.is(Type::Srv)).collect(), additional))
                }
                Records::Headless(hosts) => non_empty(headless_records(name, full, hosts, wanted, false)),
                Records::External(_) => None,
            }
        }
        (Records::Headless(hosts), [label]) => {
            let hosts: Vec<Host> = hosts.iter().filter(|h| h.label == *label).cloned().collect();
            non_empty(headless_records(name, full, &hosts, |_, _| true, true))
        }
        _ => None,
    }
}

fn non_empty(found: Found) -> Option<Found> {
    (!found.0.is_empty()).then_some(found)
}

fn address(name: &str, ip: Ipv4Addr) -> Record {
    Record { name: name.to_owned(), data: Data::A(ip) }
}

fn weight(among: usize) -> u16 {
    u16::try_from(100 / among.max(1)).unwrap_or(100).max(1)
}

fn virtual_records(
    name: &str,
    full: &str,
    ips: &[Ipv4Addr],
    ports: &[(String, Protocol, u16)],
    wanted: impl Fn(&str, Protocol) -> bool,
) -> Found {
    let ports: Vec<_> = ports.iter().filter(|(name, protocol, _)| wanted(name, *protocol)).collect();
    let mut records: Vec<_> = ips.iter().map(|ip| address(name, *ip)).collect();
    records.extend(ports.iter().map(|(_, _, port)| Record {
        name: name.to_owned(),
        data: Data::Srv(weight(ports.len()), *port, full.to_owned()),
    }));
    (records, ips.iter().map(|ip| address(full, *ip)).collect())
}

fn headless_records(
    name: &str,
    full: &str,
    hosts: &[Host],
    wanted: impl Fn(&str, Protocol) -> bool,
    addresses: bool,
) -> Found {
    let mut ips: Vec<Ipv4Addr> = hosts.iter().map(|h| h.ip).collect();
    ips.sort_unstable();
    ips.dedup();
    let mut records: Vec<_> = ips.into_iter().filter(|_| addresses).map(|ip| address(name, ip)).collect();
    let locations: Vec<_> = hosts
        .iter()
        .flat_map(|h| h.ports.iter().map(move |port| (h, port)))
        .filter(|(_, (name, protocol, _))| wanted(name, *protocol))
        .collect();
    records.extend(locations.iter().map(|(host, (_, _, port))| Record {
        name: name.to_owned(),
        data: Data::Srv(weight(locations.len()), *port, format!("{}.{full}", host.label)),
    }));
    (records, hosts.iter().map(|h| address(&format!("{}.{full}", h.label), h.ip)).collect())
}

/// The address in a name such as `5.0.42.10.in-addr.arpa`.
fn reverse_address(name: &str) -> Option<Ipv4Addr> {
    let forward: Vec<&str> = name.strip_suffix(".in-addr.arpa")?.rsplit('.').collect();
    forward.join(".").parse().ok()
}
