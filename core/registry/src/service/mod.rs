//! What a Service takes from the cluster, and gives back: addresses and node ports. What a change keeps and drops
//! is the kind's own rule, and has happened before.
//!
//! Invariant: the records of `allocation` are exactly what `reserved` says of each stored Service.

mod address;
mod port;

use std::collections::BTreeSet;

use gantry_kinds::tree::{int_at, list_at, str_at};
use serde_json::Value;

use crate::allocation::{release as give_back, take};
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
    let gone = held.difference(&wanted).filter_map(|name| give_back(case.view, name));
    draft.writes.extend(gone);
    Ok(())
}

/// Gives back all that a Service has.
pub(crate) fn release(case: &Case<'_>, service: &Value, draft: &mut Draft) {
    draft.writes.extend(reserved(service).iter().filter_map(|name| give_back(case.view, name)));
}

fn allocate(case: &Case<'_>, service: &mut Value, held: &BTreeSet<String>, draft: &mut Draft) -> Result<(), Refusal> {
    address::allocate(case, service, held)?;
    port::allocate(case, service, held)?;
    let owner = format!("{}/{}", case.target().namespace, meta::text(service, "name"));
    let new = reserved(service);
    draft.writes.extend(new.difference(held).map(|name| take(case, name, &owner)));
    Ok(())
}

/// Names of the records that belong to a Service.
pub(crate) fn reserved(service: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if has_address(service) {
        let addresses = list_at(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
        names.extend(addresses.filter(|ip| !matches!(*ip, "" | "None")).map(address::record));
    }
    if has_ports(service) {
        let ports = list_at(service, "/spec/ports").iter().filter_map(|port| int_at(port, "/nodePort"));
        names.extend(ports.chain(int_at(service, "/spec/healthCheckNodePort")).filter(|p| *p != 0).map(port::record));
    }
    names
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
