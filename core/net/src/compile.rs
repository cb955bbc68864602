//! One service, or one pod, as entries of the ruleset.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::choose::{Here, Scope, Target, targets};
use crate::element::{Data, Frontend, Key, Plane, Verdict};
use crate::facts::{PodFacts, Port, ServiceFacts, SliceFacts};
use crate::table::Fragment;

/// What compiling a service needs to know besides the service.
pub(crate) struct Context<'a> {
    pub here: Here<'a>,
    /// The address of the node's own DNS server: never steered elsewhere.
    pub dns_ip: Ipv4Addr,
}

/// The entries of a service; `identity` is its namespace and name.
pub(crate) fn service(
    context: &Context<'_>,
    identity: &str,
    service: &ServiceFacts,
    slices: &[&SliceFacts],
) -> Fragment {
    let mut fragment = Fragment::default();
    if !service.proxied || service.headless || service.external_name.is_some() {
        return fragment;
    }
    for port in &service.ports {
        Compiler { context, identity, service, slices, port, fragment: &mut fragment }.run();
    }
    fragment
}

struct Compiler<'a> {
    context: &'a Context<'a>,
    identity: &'a str,
    service: &'a ServiceFacts,
    slices: &'a [&'a SliceFacts],
    port: &'a Port,
    fragment: &'a mut Fragment,
}

impl Compiler<'_> {
    fn run(&mut self) {
        let service = self.service;
        let internal = if service.internal_local { Scope::Local } else { Scope::Cluster };
        for ip in service.cluster_ips.iter().filter(|ip| **ip != self.context.dns_ip) {
            self.frontend(Plane::Service, *ip, self.port.port, internal);
        }
        for ip in &service.external_ips {
            self.frontend(Plane::Service, *ip, self.port.port, Scope::Cluster);
            if service.external_local {
                self.frontend(Plane::ServiceOutside, *ip, self.port.port, Scope::Local);
            }
        }
        if let Some(node_port) = self.port.node_port {
            self.frontend(Plane::Port, Ipv4Addr::UNSPECIFIED, node_port, Scope::Cluster);
            if service.external_local {
                self.frontend(Plane::PortOutside, Ipv4Addr::UNSPECIFIED, node_port, Scope::Local);
            }
        }
    }

    fn frontend(&mut self, plane: Plane, ip: Ipv4Addr, port: u16, scope: Scope) {
        let frontend = Frontend { plane, ip, protocol: self.port.protocol, port };
        let found = targets(self.slices, self.port, scope, &self.context.here);
        let verdict = match (self.service.affinity, found.is_empty()) {
            (_, true) => self.without_endpoints(scope),
            (Some(seconds), false) => Verdict::Affinity(self.affinity(&found, scope, seconds)),
            (None, false) => {
                balance(self.fragment, frontend, &found);
                return;
            }
        };
        self.fragment.elements.insert(Key::Frontend(frontend), Data::Verdict(verdict));
    }

    /// Nobody at all refuses at once; somebody elsewhere, whom the policy rules out, means silence, so that a
    /// balancer in front tries another node.
    fn without_endpoints(&self, scope: Scope) -> Verdict {
        let elsewhere =
            scope == Scope::Local && !targets(self.slices, self.port, Scope::Cluster, &self.context.here).is_empty();
        if elsewhere { Verdict::Drop } else { Verdict::Refuse }
    }

    /// Chains and sets that keep a client at its endpoint; returns the number of the chain to enter by.
    fn affinity(&mut self, found: &[Target], scope: Scope, seconds: u32) -> u64 {
        let Port { protocol, port, .. } = self.port;
        let base = format!("{} {protocol} {port} {scope:?} {seconds}", self.identity);
        let mut entry = Vec::new();
        let mut choices = Vec::new();
        for (at, target) in found.iter().enumerate() {
            let id = fingerprint(&format!("{base} {}:{}", target.ip, target.port));
            let name = format!("client-{id:016x}");
            entry.push(format!("ip saddr @{name} goto {name}"));
            choices.push(format!("{at} : goto {name}"));
            let set = format!("type ipv4_addr; flags dynamic,timeout; timeout {seconds}s; size 65535;");
            self.fragment.sets.insert(name.clone(), set);
            let remember = format!("update @{name} {{ ip saddr }}");
            let send = format!("meta l4proto {protocol} dnat to {}:{}", target.ip, target.port);
            self.fragment.chains.insert(name, vec![remember, send]);
        }
        entry.push(format!("numgen random mod {} vmap {{ {} }}", found.len(), choices.join(", ")));
        let id = fingerprint(&base);
        self.fragment.chains.insert(format!("affinity-{id:016x}"), entry);
        id
    }
}

fn balance(fragment: &mut Fragment, frontend: Frontend, found: &[Target]) {
    let count = u16::try_from(found.len()).unwrap_or(u16::MAX);
    fragment.elements.insert(Key::Frontend(frontend), Data::Verdict(Verdict::Pick(count)));
    for (at, target) in (0..count).zip(found) {
        fragment.elements.insert(Key::Backend(frontend, at), Data::Target(*target));
    }
}

/// The entries of a pod of this node: its host ports, and that it may meet itself through a service.
pub(crate) fn pod(pod: &PodFacts) -> Fragment {
    let mut fragment =
        Fragment { elements: BTreeMap::from([(Key::Hairpin(pod.ip), Data::Member)]), ..Fragment::default() };
    for port in &pod.host_ports {
        let plane = if port.host_ip.is_some() { Plane::Service } else { Plane::Port };
        let ip = port.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let frontend = Frontend { plane, ip, protocol: port.protocol, port: port.host_port };
        balance(&mut fragment, frontend, &[Target { ip: pod.ip, port: port.container_port }]);
    }
    fragment
}

/// FNV-1a, for names that stay the same as long as what they stand for.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
