//! Addresses of Services: the ServiceCIDRs that they come from, and the IPAddresses that record who has them.
//!
//! Invariants: a ServiceCIDR that is being deleted stays as long as an address that was allocated from it is in no
//! other; what allocation itself guarantees (one Service for an address) is not decided here.

mod cidrs;
mod records;

pub(crate) use self::cidrs::ServiceCidrs;
pub(crate) use self::records::AddressRecords;

use gantry_view::Object;

/// Label of an IPAddress that says who keeps it.
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// What those of Services say there.
const MANAGER: &str = "ipallocator.k8s.io";
/// Label of an IPAddress that says of which family it is.
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";

/// Whether an IPAddress was made for a Service by the cluster itself.
fn is_allocated(address: &Object) -> bool {
    address.header.labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER)
}

#[cfg(test)]
mod tests;
