//! Every node has its part of the pods' network.

use gantry_kinds::NODE;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Change, Object, Outcome, Turn, View};
use serde_json::{Value, json};

use super::ACCOUNT;
use crate::{Cidr, Controller, QueueKey, Settings, write};

/// The controller of `spec.podCIDR`. All nodes are decided in one turn, so no part is given twice.
pub(crate) struct Addresses {
    network: Cidr,
    node_mask: u8,
}

impl Addresses {
    pub(crate) fn new(settings: &Settings) -> Self {
        Addresses { network: settings.cluster_cidr, node_mask: settings.node_mask }
    }
}

impl Controller for Addresses {
    fn name(&self) -> &'static str {
        ACCOUNT
    }

    fn component(&self) -> &'static str {
        "cidrAllocator"
    }

    fn initial(&self, _view: &View) -> Vec<QueueKey> {
        vec![QueueKey::Sweep]
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind != &NODE {
            return;
        }
        let lacks = |node: &Object| node.header.deleted.is_none() && str_at(&node.value(), "/spec/podCIDR").is_empty();
        let wanted = match &change.after {
            Some(node) => lacks(node),
            // What a gone node had may be what another waits for.
            None => view.list(&NODE, None).any(|node| lacks(node)),
        };
        if wanted {
            out.push(QueueKey::Sweep);
        }
    }

    fn reconcile(&mut self, _key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let nodes: Vec<(&std::sync::Arc<Object>, Value)> =
            turn.view.list(&NODE, None).map(|node| (node, node.value())).collect();
        let mut taken: Vec<Cidr> = nodes.iter().flat_map(|(_, value)| networks(value)).collect();
        for (node, value) in nodes.iter().filter(|(node, _)| node.header.deleted.is_none()) {
            if !str_at(value, "/spec/podCIDR").is_empty() {
                continue;
            }
            let mut free = self.network.subnets(self.node_mask).filter(|part| !taken.iter().any(|t| t.overlaps(*part)));
            let Some(part) = free.next() else {
                let message = format!("Node {} status is now: CIDRNotAvailable", node.name());
                outcome.push(write::normal(node.key(), "CIDRNotAvailable", message));
                continue;
            };
            taken.push(part);
            let text = part.to_string();
            outcome.push(write::patch_any(node, "", json!({"spec": {"podCIDR": text, "podCIDRs": [text]}})));
        }
        outcome
    }
}

fn networks(node: &Value) -> Vec<Cidr> {
    let all = list_at(node, "/spec/podCIDRs").iter().filter_map(Value::as_str).chain([str_at(node, "/spec/podCIDR")]);
    all.filter_map(|text| text.parse().ok()).collect()
}
