//! Claims: of volumes, by size and storage class, and of devices, by device class.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Amounts, amounts};
use crate::quantity::Quantity;
use crate::tree::{int_at, list_at, str_at};

const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
/// Between the name of a storage class and what is bounded of it.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// After the name of a device class.
pub(super) const DEVICES: &str = ".deviceclass.resource.k8s.io/devices";
/// The annotation that named the class before there was a field for it.
const OLD_CLASS: &str = "/metadata/annotations/volume.beta.kubernetes.io~1storage-class";
/// Devices that a request for all of them may come to.
const ALL_DEVICES: i64 = 32;

pub(super) fn concerns(resource: &str) -> bool {
    let of_class = resource.split_once(OF_CLASS).map(|(_, what)| what);
    [CLAIMS, STORAGE].contains(&of_class.unwrap_or(resource))
}

pub(super) fn usage(claim: &Value) -> Amounts {
    let mut used = Amounts::from([(CLAIMS.to_owned(), Quantity::from_value(1))]);
    let asked = amounts(claim, "/spec/resources/requests").get("storage").copied();
    let had = amounts(claim, "/status/allocatedResources").get("storage").copied();
    // While a claim is being expanded it takes what it may come to.
    let size = asked.map(|asked| had.map_or(asked, |had| had.max(asked)));
    used.extend(size.map(|size| (STORAGE.to_owned(), size)));
    let class = match str_at(claim, OLD_CLASS) {
        "" => str_at(claim, "/spec/storageClassName"),
        old => old,
    };
    if !class.is_empty() {
        let of_class: Vec<_> =
            used.iter().map(|(what, amount)| (format!("{class}{OF_CLASS}{what}"), *amount)).collect();
        used.extend(of_class);
    }
    used
}

/// The most devices of each class that the claim may be given.
pub(super) fn devices(claim: &Value) -> Amounts {
    let mut used: BTreeMap<&str, i64> = BTreeMap::new();
    for request in list_at(claim, "/spec/devices/requests") {
        if let Some(exactly) = request.get("exactly") {
            let total = used.entry(str_at(exactly, "/deviceClassName")).or_default();
            *total = total.saturating_add(count(exactly));
        }
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        for choice in list_at(request, "/firstAvailable") {
            let before = most.entry(str_at(choice, "/deviceClassName")).or_default();
            *before = count(choice).max(*before);
        }
        for (class, count) in most {
            let total = used.entry(class).or_default();
            *total = total.saturating_add(count);
        }
    }
    used.into_iter().map(|(class, count)| (format!("{class}{DEVICES}"), Quantity::from_value(count))).collect()
}

fn count(request: &Value) -> i64 {
    match str_at(request, "/allocationMode") {
        "All" => ALL_DEVICES,
        _ => int_at(request, "/count").unwrap_or(1),
    }
}
