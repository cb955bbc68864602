//! The ranges that addresses of Services come from: the cluster's own, and those of all ServiceCIDRs that are ready.
//!
//! Invariant: an address is taken from a ServiceCIDR only at the revision at which it was seen to be ready, so that
//! one whose deletion has begun gives none.

use std::net::Ipv4Addr;

use gantry_kinds::SERVICE_CIDR;
use gantry_kinds::tree::list_at;
use gantry_view::ObjectKey;
use serde_json::Value;

use crate::case::Case;
use crate::context::Cidr;

/// The ServiceCIDR of the cluster's own range.
pub(crate) const DEFAULT: &str = "kubernetes";

/// A range of addresses.
pub(super) struct Range {
    pub(super) cidr: Cidr,
    /// The ServiceCIDR that must not have changed.
    pub(super) guard: Option<(ObjectKey, u64)>,
}

impl Range {
    /// Whether a Service may have the address: first and last of a network are nobody's.
    pub(super) fn holds(&self, address: Ipv4Addr) -> bool {
        let cidr = &self.cidr;
        cidr.contains(address) && address != cidr.address && address != cidr.at(cidr.size() - 1)
    }
}

/// All ranges, the cluster's own first. It counts before its ServiceCIDR is ready, as the first Services need it.
pub(super) fn of(case: &Case<'_>) -> Vec<Range> {
    let own = case.view.get(&SERVICE_CIDR, "", DEFAULT);
    let mut ranges = Vec::new();
    if own.is_none_or(|own| own.header.deleted.is_none()) {
        let guard = own.map(|own| (own.key().clone(), own.header.revision));
        ranges.push(Range { cidr: case.context.settings.service_cidr, guard });
    }
    for object in case.view.list(&SERVICE_CIDR, None).filter(|object| object.header.deleted.is_none()) {
        let value = object.value();
        if !is_ready(&value) {
            continue;
        }
        let guard = (object.key().clone(), object.header.revision);
        let cidrs = list_at(&value, "/spec/cidrs").iter().filter_map(|text| text.as_str()?.parse::<Cidr>().ok());
        for cidr in cidrs.filter(|cidr| *cidr != case.context.settings.service_cidr) {
            ranges.push(Range { cidr, guard: Some(guard.clone()) });
        }
    }
    ranges
}

fn is_ready(cidr: &Value) -> bool {
    list_at(cidr, "/status/conditions").iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}
