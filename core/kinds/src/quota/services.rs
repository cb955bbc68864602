//! Services: their number, their node ports and their load balancers.

use serde_json::Value;

use super::Amounts;
use crate::quantity::Quantity;
use crate::tree::{int_at, list_at, str_at};

pub(super) const RESOURCES: [&str; 3] = ["services", "services.nodeports", "services.loadbalancers"];

pub(super) fn usage(service: &Value) -> Amounts {
    let ports = list_at(service, "/spec/ports");
    let taken = ports.iter().filter(|port| int_at(port, "/nodePort").unwrap_or_default() != 0).count();
    let allocates = service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false));
    let (node_ports, balancers) = match str_at(service, "/spec/type") {
        "NodePort" => (ports.len(), 0),
        "LoadBalancer" if allocates => (ports.len(), 1),
        "LoadBalancer" => (taken, 1),
        _ => (0, 0),
    };
    let counts = [1, node_ports, balancers];
    let amount = |count: usize| Quantity::from_value(i64::try_from(count).unwrap_or(i64::MAX));
    RESOURCES.iter().zip(counts).map(|(name, count)| ((*name).to_owned(), amount(count))).collect()
}
