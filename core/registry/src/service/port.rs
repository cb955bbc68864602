//! Node ports.

use std::collections::{BTreeMap, BTreeSet};

use gantry_kinds::tree::{int_at, list_at, str_at};
use gantry_kinds::{FieldError, Path};
use serde_json::Value;

use super::{has_ports, invalid};
use crate::allocation::{Record, taken};
use crate::case::{Case, Refusal};
use crate::draw::Draw;
use crate::meta;

/// Checks the node ports that were asked for and picks the others. Protocols of one port share a node port.
pub(super) fn allocate(case: &Case<'_>, service: &mut Value, held: &BTreeSet<Record>) -> Result<(), Refusal> {
    if !has_ports(service) {
        return Ok(());
    }
    let wanted = str_at(service, "/spec/type") == "NodePort"
        || service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    let mut draw = case.draw("port");
    // Node port of each port, and with which protocols it is used.
    let mut used: BTreeMap<(i64, i64), BTreeSet<String>> = BTreeMap::new();
    for at in 0..list_at(service, "/spec/ports").len() {
        let port = &service["spec"]["ports"][at];
        let (number, asked) =
            (int_at(port, "/port").unwrap_or_default(), int_at(port, "/nodePort").unwrap_or_default());
        let protocol = str_at(port, "/protocol").to_owned();
        let shared = used.iter().find(|((p, node), protocols)| {
            *p == number && (asked == 0 || asked == *node) && !protocols.contains(&protocol)
        });
        let node = match (shared.map(|((_, node), _)| *node), asked) {
            (Some(node), _) => node,
            (None, 0) if !wanted => continue,
            (None, 0) => {
                let busy = |port: i64| used.keys().any(|(_, node)| *node == port);
                pick(case, &mut draw, busy).ok_or_else(|| full(case, service, at))?
            }
            (None, asked) => {
                let busy = used.keys().any(|(_, node)| *node == asked);
                check(case, service, at, asked, busy, held)?;
                asked
            }
        };
        used.entry((number, node)).or_default().insert(protocol);
        service["spec"]["ports"][at]["nodePort"] = node.into();
    }
    health_check(case, service, held, &mut draw, |port| used.keys().any(|(_, node)| *node == port))
}

fn check(
    case: &Case<'_>,
    service: &Value,
    at: usize,
    asked: i64,
    busy: bool,
    held: &BTreeSet<Record>,
) -> Result<(), Refusal> {
    let range = &case.context.settings.node_ports;
    let why = if !u16::try_from(asked).is_ok_and(|port| range.contains(&port)) {
        format!(
            "provided port is not in the valid range. The range of valid ports is {}-{}",
            range.start(),
            range.end()
        )
    } else if busy || (taken(case.view, &Record::Port(asked)) && !held.contains(&Record::Port(asked))) {
        "provided port is already allocated".to_owned()
    } else {
        return Ok(());
    };
    Err(invalid(case, service, FieldError::invalid(&path(at), asked, why)))
}

fn path(at: usize) -> Path {
    Path::new("spec").child("ports").index(at).child("nodePort")
}

fn full(case: &Case<'_>, service: &Value, at: usize) -> Refusal {
    let why = "failed to allocate a nodePort: range is full";
    invalid(case, service, FieldError::invalid(&path(at), 0, why))
}

/// A free port from the seed: first from the upper part of the range, so that the lower stays free for those that
/// are asked for by number.
fn pick(case: &Case<'_>, draw: &mut Draw, busy: impl Fn(i64) -> bool) -> Option<i64> {
    let range = &case.context.settings.node_ports;
    let (first, count) = (i64::from(*range.start()), range.len() as u64);
    let low = (count / 32).clamp(16, 128).min(count);
    let mut search = |from: u64, count: u64| {
        let start = if count == 0 { 0 } else { draw.below(count) };
        let mut all = (0..count).map(|step| first + (from + (start + step) % count) as i64);
        all.find(|port| !busy(*port) && !taken(case.view, &Record::Port(*port)))
    };
    search(low, count - low).or_else(|| search(0, low))
}

/// The port on which a load balancer asks whether a node has endpoints, where traffic must stay on the node.
fn health_check(
    case: &Case<'_>,
    service: &mut Value,
    held: &BTreeSet<Record>,
    draw: &mut Draw,
    busy: impl Fn(i64) -> bool,
) -> Result<(), Refusal> {
    let needed =
        str_at(service, "/spec/type") == "LoadBalancer" && str_at(service, "/spec/externalTrafficPolicy") == "Local";
    if !needed {
        return Ok(());
    }
    let path = Path::new("spec").child("healthCheckNodePort");
    let port = match int_at(service, "/spec/healthCheckNodePort").unwrap_or_default() {
        0 => pick(case, draw, busy),
        asked if held.contains(&Record::Port(asked)) => return Ok(()),
        asked if busy(asked) || taken(case.view, &Record::Port(asked)) => None,
        asked => Some(asked),
    };
    let Some(port) = port else {
        let why = "failed to allocate requested HealthCheck NodePort: provided port is already allocated";
        return Err(invalid(case, service, FieldError::invalid(&path, 0, why)));
    };
    meta::map(service, "spec").insert("healthCheckNodePort".to_owned(), port.into());
    Ok(())
}
