//! ServiceCIDRs: held by a finalizer, said to be ready, and let go when no address depends on them.

use std::net::IpAddr;

use gantry_kinds::tree::list_at;
use gantry_kinds::{IP_ADDRESS, SERVICE_CIDR};
use gantry_view::{Change, Object, Outcome, Turn, View};
use serde_json::{Value, json};

use super::is_allocated;
use crate::{Controller, QueueKey, time, write};

/// Holds a ServiceCIDR until no address depends on it.
const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
/// What is said of one that is held.
const STILL_USED: &str =
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

/// The controller of the ServiceCIDRs.
pub(crate) struct ServiceCidrs;

impl Controller for ServiceCidrs {
    fn name(&self) -> &'static str {
        "service-cidrs-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&SERVICE_CIDR, None).map(|cidr| QueueKey::of(cidr.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        let is_range = change.key.kind == &SERVICE_CIDR;
        if is_range {
            out.push(QueueKey::of(&change.key));
        }
        if is_range || (change.key.kind == &IP_ADDRESS && change.after.is_none()) {
            let waiting = view.list(&SERVICE_CIDR, None).filter(|cidr| cidr.header.deleted.is_some());
            out.extend(waiting.map(|cidr| QueueKey::of(cidr.key())));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(cidr) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let held = cidr.header.finalizers.iter().any(|finalizer| finalizer == FINALIZER);
        outcome.intents.extend(match (cidr.header.deleted, held) {
            (None, false) => {
                let mut finalizers = cidr.header.finalizers.clone();
                finalizers.push(FINALIZER.to_owned());
                Some(write::patch(cidr, "", json!({"metadata": {"finalizers": finalizers}})))
            }
            (None, true) => say(cidr, true, "", "Kubernetes Service CIDR is ready", turn),
            (Some(_), true) if is_needed(cidr, turn.view) => say(cidr, false, "Terminating", STILL_USED, turn),
            (Some(_), true) => {
                let left = cidr.header.finalizers.iter().filter(|finalizer| *finalizer != FINALIZER);
                let left: Vec<&String> = left.collect();
                let left = if left.is_empty() { Value::Null } else { json!(left) };
                Some(write::patch(cidr, "", json!({"metadata": {"finalizers": left}})))
            }
            (Some(_), false) => None,
        });
        outcome
    }
}

/// A network of either family.
struct Network(IpAddr, u32);

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        Some(Network(address.parse().ok()?, bits.parse().ok()?))
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.0, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - self.1.min(32);
                u64::from(own.to_bits()) >> shift == u64::from(other.to_bits()) >> shift
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - self.1.min(128);
                own.to_bits().checked_shr(shift).unwrap_or(0) == other.to_bits().checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

fn networks(cidr: &Object) -> Vec<Network> {
    let value = cidr.value();
    list_at(&value, "/spec/cidrs").iter().filter_map(|text| Network::parse(text.as_str()?)).collect()
}

/// Whether an address that was allocated lies in this range and in no other that stays.
fn is_needed(cidr: &Object, view: &View) -> bool {
    let own = networks(cidr);
    let others = view.list(&SERVICE_CIDR, None).filter(|other| other.header.deleted.is_none());
    let others: Vec<Network> = others.flat_map(|other| networks(other)).collect();
    let holds = |networks: &[Network], address| networks.iter().any(|network| network.contains(address));
    view.list(&IP_ADDRESS, None).filter(|address| is_allocated(address)).any(|address| {
        let address = address.name().parse();
        address.is_ok_and(|address| holds(&own, address) && !holds(&others, address))
    })
}

/// Sets the condition `Ready`, where it says something else.
fn say(cidr: &Object, ready: bool, reason: &str, message: &str, turn: Turn<'_>) -> Option<gantry_view::Intent> {
    let value = cidr.value();
    let status = if ready { "True" } else { "False" };
    let conditions = list_at(&value, "/status/conditions");
    let before = conditions.iter().find(|condition| condition["type"] == "Ready");
    if before.is_some_and(|c| c["status"] == status && c["reason"] == reason && c["message"] == message) {
        return None;
    }
    let since = before.filter(|condition| condition["status"] == status).map(|c| c["lastTransitionTime"].clone());
    let condition = json!({
        "type": "Ready", "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since.unwrap_or_else(|| time::stamp(turn.now).into()),
    });
    let mut all: Vec<Value> = conditions.iter().filter(|condition| condition["type"] != "Ready").cloned().collect();
    all.push(condition);
    Some(write::patch(cidr, "status", json!({"status": {"conditions": all}})))
}
