//! Cluster addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{FieldError, Path};
use serde_json::{Value, json};

use super::ranges::{self, Range};
use super::{has_address, invalid};
use crate::allocation::{Record, taken};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::context::Cidr;
use crate::meta;

/// Fills in `ipFamilies` and `ipFamilyPolicy`, with what the Service had before where it had them, and refuses
/// families that the cluster does not have.
pub(super) fn families(case: &Case<'_>, service: &mut Value, old: &Value) -> Result<(), Refusal> {
    if !has_address(service) {
        return Ok(());
    }
    for key in ["ipFamilies", "ipFamilyPolicy"] {
        if let (true, Some(value)) = (service["spec"][key].is_null() && has_address(old), old["spec"].get(key)) {
            meta::map(service, "spec").insert(key.to_owned(), value.clone());
        }
    }
    let address = str_at(service, "/spec/clusterIP").to_owned();
    let selector = service.pointer("/spec/selector").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    let anywhere = address == "None" && !selector;
    let spec_path = Path::new("spec");
    if let Some(at) = list_at(service, "/spec/ipFamilies").iter().position(|f| f == "IPv6").filter(|_| !anywhere) {
        let path = spec_path.child("ipFamilies").index(at);
        return Err(invalid(case, service, FieldError::invalid(&path, "IPv6", "not configured on this cluster")));
    }
    let policy = str_at(service, "/spec/ipFamilyPolicy");
    if policy == "RequireDualStack" && !anywhere {
        let detail = "this cluster is not configured for dual-stack services";
        let error = FieldError::invalid(&spec_path.child("ipFamilyPolicy"), policy, detail);
        return Err(invalid(case, service, error));
    }
    let spec = meta::map(service, "spec");
    let policy = if anywhere { "RequireDualStack" } else { "SingleStack" };
    let policy = spec.entry("ipFamilyPolicy").or_insert_with(|| policy.into()).clone();
    let both = anywhere && policy != "SingleStack";
    spec.entry("ipFamilies").or_insert_with(|| if both { json!(["IPv4", "IPv6"]) } else { json!(["IPv4"]) });
    Ok(())
}

/// Checks an address that was asked for, or picks one; `held` is what the Service has already.
pub(super) fn allocate(
    case: &Case<'_>,
    service: &mut Value,
    held: &BTreeSet<Record>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    if !has_address(service) || str_at(service, "/spec/clusterIP") == "None" {
        return Ok(());
    }
    let asked = str_at(service, "/spec/clusterIP").to_owned();
    if asked.is_empty() {
        if !list_at(service, "/spec/clusterIPs").is_empty() {
            return Ok(());
        }
        let (address, range) = pick(case).ok_or_else(|| full(case, service))?;
        draft.guards.extend(range.guard);
        let spec = meta::map(service, "spec");
        spec.insert("clusterIP".to_owned(), address.to_string().into());
        spec.insert("clusterIPs".to_owned(), json!([address.to_string()]));
        return Ok(());
    }
    let Ok(address) = asked.parse::<Ipv4Addr>() else { return Ok(()) };
    // An address that a Service has is its own for good: the checks that follow refuse another.
    if held.iter().any(|held| matches!(held, Record::Address(_))) {
        return Ok(());
    }
    let why = match ranges::of(case).into_iter().find(|range| range.holds(address)) {
        None => "the provided network does not match the current range",
        Some(_) if taken(case.view, &Record::Address(asked.clone())) => "provided IP is already allocated",
        Some(range) => {
            draft.guards.extend(range.guard);
            return Ok(());
        }
    };
    let path = Path::new("spec").child("clusterIPs");
    let value = service.pointer("/spec/clusterIPs").cloned().unwrap_or_default();
    let error = FieldError::invalid(&path, value, format!("failed to allocate IP {asked}: {why}"));
    Err(invalid(case, service, error))
}

fn full(case: &Case<'_>, service: &Value) -> Refusal {
    let path = Path::new("spec").child("clusterIPs");
    let why = "failed to allocate a serviceIP: range is full";
    invalid(case, service, FieldError::invalid(&path, Value::Array(Vec::new()), why))
}

/// A free address of the first range that has one.
fn pick(case: &Case<'_>) -> Option<(Ipv4Addr, Range)> {
    ranges::of(case).into_iter().find_map(|range| Some((pick_in(case, &range.cidr)?, range)))
}

/// A free address from the seed: first from the upper part of the range, so that the lower stays free for those
/// that are asked for by number.
fn pick_in(case: &Case<'_>, cidr: &Cidr) -> Option<Ipv4Addr> {
    let hosts = cidr.size() - 2;
    let low = (cidr.size() / 16).clamp(16, 256).min(hosts);
    let mut draw = case.draw("address");
    let mut search = |first: u64, count: u64| {
        let start = if count == 0 { 0 } else { draw.below(count) };
        let mut all = (0..count).map(|step| cidr.at(first + (start + step) % count));
        all.find(|address| !taken(case.view, &Record::Address(address.to_string())))
    };
    search(1 + low, hosts - low).or_else(|| search(1, low))
}
