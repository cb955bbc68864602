//! Which endpoints a service port leads to: readiness, termination, traffic policy and topology hints.

use std::net::Ipv4Addr;

use crate::facts::{EndpointFacts, Port, SliceFacts};

/// Where a connection ends up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub ip: Ipv4Addr,
    pub port: u16,
}

/// This node, as endpoints refer to it.
pub(crate) struct Here<'a> {
    pub node: &'a str,
    pub zone: &'a str,
}

/// Which endpoints a traffic policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Cluster,
    /// Of this node alone.
    Local,
}

/// The targets of one service port, sorted, each once. Endpoints that are ready; where there are none, those that
/// still serve while they terminate, so that the last of a service goes on answering until it is gone.
pub(crate) fn targets(slices: &[&SliceFacts], port: &Port, scope: Scope, here: &Here<'_>) -> Vec<Target> {
    let mut candidates: Vec<(&EndpointFacts, u16)> = Vec::new();
    for slice in slices {
        let Some(number) = slice.ports.iter().find(|p| p.name == port.name && p.protocol == port.protocol) else {
            continue;
        };
        let allowed =
            slice.endpoints.iter().filter(|e| scope == Scope::Cluster || e.node.as_deref() == Some(here.node));
        candidates.extend(allowed.map(|endpoint| (endpoint, number.port)));
    }
    let mut chosen: Vec<_> = candidates.iter().filter(|(e, _)| e.ready).copied().collect();
    if chosen.is_empty() {
        chosen = candidates.into_iter().filter(|(e, _)| e.serving && e.terminating).collect();
    } else if scope == Scope::Cluster {
        chosen = nearest(chosen, here);
    }
    let mut targets: Vec<_> = chosen.into_iter().map(|(e, port)| Target { ip: e.address, port }).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// Those that are hinted for this node, or else for its zone; all of them where hints are incomplete or name
/// nobody here.
fn nearest<'a>(ready: Vec<(&'a EndpointFacts, u16)>, here: &Here<'_>) -> Vec<(&'a EndpointFacts, u16)> {
    let by = |hints: fn(&EndpointFacts) -> &Vec<String>, name: &str| -> Option<Vec<(&'a EndpointFacts, u16)>> {
        if name.is_empty() || ready.iter().any(|(e, _)| hints(e).is_empty()) {
            return None;
        }
        let near: Vec<_> = ready.iter().filter(|(e, _)| hints(e).iter().any(|hint| hint == name)).copied().collect();
        (!near.is_empty()).then_some(near)
    };
    by(|e| &e.for_nodes, here.node).or_else(|| by(|e| &e.for_zones, here.zone)).unwrap_or(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Protocol;

    /// `r` ready, `t` terminating and serving, `T` terminating and no longer serving, `n` not ready; then the node;
    /// then an optional zone hint.
    fn endpoint(at: usize, text: &str) -> EndpointFacts {
        let mut words = text.split('@');
        let state = words.next().unwrap_or_default();
        let node = words.next().map(str::to_owned);
        EndpointFacts {
            address: Ipv4Addr::new(10, 42, 0, u8::try_from(at).expect("few endpoints")),
            ready: state == "r",
            serving: matches!(state, "r" | "t"),
            terminating: matches!(state, "t" | "T"),
            node,
            hostname: None,
            for_nodes: Vec::new(),
            for_zones: words.next().map(str::to_owned).into_iter().collect(),
        }
    }

    fn check(endpoints: &[&str], scope: Scope, expected: &[u8]) {
        let port = Port { name: "http".into(), protocol: Protocol::Tcp, port: 80, node_port: None };
        let slice = SliceFacts {
            service: "web".into(),
            ports: vec![Port { port: 8080, ..port.clone() }],
            endpoints: endpoints.iter().enumerate().map(|(at, text)| endpoint(at, text)).collect(),
        };
        let here = Here { node: "n1", zone: "z1" };
        let found: Vec<u8> = targets(&[&slice, &slice], &port, scope, &here).iter().map(|t| t.ip.octets()[3]).collect();
        assert_eq!(found, expected, "{endpoints:?} {scope:?}");
    }

    #[test]
    fn ready_endpoints_win_and_serving_ones_stand_in() {
        check(&["r", "n", "t", "r"], Scope::Cluster, &[0, 3]);
        check(&["n", "t", "T"], Scope::Cluster, &[1]);
        check(&["n", "T"], Scope::Cluster, &[]);
    }

    #[test]
    fn local_scope_stays_on_the_node() {
        check(&["r@n1", "r@n2"], Scope::Local, &[0]);
        check(&["t@n1", "r@n2"], Scope::Local, &[0]);
        check(&["r@n2", "r"], Scope::Local, &[]);
    }

    #[test]
    fn hints_choose_the_zone_when_all_have_them() {
        check(&["r@n2@z1", "r@n3@z2"], Scope::Cluster, &[0]);
        check(&["r@n2@z1", "r@n3"], Scope::Cluster, &[0, 1]);
        check(&["r@n2@z2", "r@n3@z3"], Scope::Cluster, &[0, 1]);
    }
}
