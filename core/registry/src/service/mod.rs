//! What a Service takes from the cluster, and gives back: addresses and node ports. What a change keeps and drops
//! is the kind's own rule, and has happened before.
//!
//! Invariant: the records of `allocation` are exactly what `reserved` says of each stored Service.

mod address;
mod port;
pub(crate) mod ranges;

use std::collections::BTreeSet;

use gantry_kinds::tree::{int_at, list_at, str_at};
use serde_json::Value;

use crate::allocation::{Record, release as give_back, take};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

/// Gives a new Service its addresses and ports.
pub(crate) fn create(case: &Case<'_>, service: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    address::families(case, service, &Value::Null)?;
    allocate(case, service, &BTreeSet::new(), draft)
}

/// Gives a changed Service what is new and releases what it no longer has.
pub(crate) fn update(case: &Case<'_>, new: &mut Value, old: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    address::families(case, new, old)?;
    let held = reserved(old);
    allocate(case, new, &held, draft)?;
    let wanted = reserved(new);
    let (namespace, name) = (meta::text(old, "namespace"), meta::text(old, "name"));
    let gone = held.difference(&wanted).filter_map(|record| give_back(case.view, record, namespace, name));
    draft.writes.extend(gone);
    Ok(())
}

/// Gives back all that a Service has.
pub(crate) fn release(case: &Case<'_>, service: &Value, draft: &mut Draft) {
    let (namespace, name) = (meta::text(service, "namespace"), meta::text(service, "name"));
    let held = reserved(service);
    draft.writes.extend(held.iter().filter_map(|record| give_back(case.view, record, namespace, name)));
}

fn allocate(case: &Case<'_>, service: &mut Value, held: &BTreeSet<Record>, draft: &mut Draft) -> Result<(), Refusal> {
    address::allocate(case, service, held, draft)?;
    port::allocate(case, service, held)?;
    let (namespace, name) = (case.target().namespace.as_str(), meta::text(service, "name"));
    let new = reserved(service);
    draft.writes.extend(new.difference(held).map(|record| take(case, record, namespace, name)));
    Ok(())
}

/// What a Service has.
pub(crate) fn reserved(service: &Value) -> BTreeSet<Record> {
    let mut records = BTreeSet::new();
    if has_address(service) {
        let addresses = list_at(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
        let addresses = addresses.filter(|ip| !matches!(*ip, "" | "None"));
        records.extend(addresses.map(|ip| Record::Address(ip.to_owned())));
    }
    if has_ports(service) {
        let ports = list_at(service, "/spec/ports").iter().filter_map(|port| int_at(port, "/nodePort"));
        let ports = ports.chain(int_at(service, "/spec/healthCheckNodePort")).filter(|port| *port != 0);
        records.extend(ports.map(Record::Port));
    }
    records
}

/// Whether the type is one with cluster addresses.
fn has_address(service: &Value) -> bool {
    str_at(service, "/spec/type") != "ExternalName"
}

/// Whether the type is one with node ports.
fn has_ports(service: &Value) -> bool {
    matches!(str_at(service, "/spec/type"), "NodePort" | "LoadBalancer")
}

/// 422 for one field.
fn invalid(case: &Case<'_>, service: &Value, error: gantry_kinds::FieldError) -> Refusal {
    gantry_kinds::Status::invalid(case.kind(), meta::text(service, "name"), &vec![error]).into()
}
