//! Data of before IPAddresses: addresses were recorded by objects of our own kind. Services that have an address get
//! its IPAddress, and the former records go.

use gantry_kinds::{IP_ADDRESS, KindRef, SERVICE};
use gantry_view::View;

use super::own;
use crate::allocation::{ALLOCATION, FORMER_ADDRESS, Record, ip_address, taken};
use crate::request::{DeleteOptions, Operation, Request, Target};
use crate::service::reserved;

/// What brings the records up to date.
pub(super) fn requests(view: &View) -> Vec<Request> {
    let target = |kind: KindRef, name: &str| Target {
        kind,
        namespace: String::new(),
        name: name.to_owned(),
        subresource: String::new(),
    };
    let mut requests = Vec::new();
    for service in view.list(&SERVICE, None) {
        for record in reserved(&service.value()) {
            if let Record::Address(address) = &record
                && !taken(view, &record)
            {
                let body = ip_address(address, service.namespace(), service.name());
                requests.push(own(target(&IP_ADDRESS, ""), Operation::Create(body.into())));
            }
        }
    }
    let former = view.list(&ALLOCATION, None).filter(|record| record.name().starts_with(FORMER_ADDRESS));
    requests.extend(
        former.map(|record| own(target(&ALLOCATION, record.name()), Operation::Delete(DeleteOptions::default()))),
    );
    requests
}
