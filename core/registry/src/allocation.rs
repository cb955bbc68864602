//! Records of what only one Service may have: a cluster address or a node port. An address is recorded by the IPAddress
//! of that name, a port by an object of a kind of our own, which no route serves. Taking writes the record
//! with "must not exist" in the same commit as the Service, so of two that want the same one, the store refuses
//! the second, which is then decided anew on a view that shows the first. Releasing removes the record in the
//! commit that changes or removes the Service.

use bytes::Bytes;
use gantry_kinds::tree::str_at;
use gantry_kinds::{IP_ADDRESS, Kind, KindRef, NoStrategy, table};
use gantry_view::{ObjectKey, View};
use serde_json::{Value, json};

use crate::case::Case;
use crate::meta;
use crate::request::Write;

/// The kind of the records of ports.
pub(crate) static ALLOCATION: Kind = Kind {
    group: "gantry.internal",
    version: "v1",
    kind: "Allocation",
    plural: "allocations",
    singular: "allocation",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: &["get"],
    subresources: &[],
    schema: "gantry.internal.v1.Allocation",
    strategy: &NoStrategy,
    columns: &[],
    cells: |_, _| Vec::new(),
    selectable: &[],
};

/// Every kind that the store may hold: the table's, and the registry's own.
pub fn stored_kinds() -> impl Iterator<Item = KindRef> {
    table::stored().chain([&ALLOCATION])
}

/// Who keeps the IPAddresses that are made here.
pub(crate) const MANAGER: &str = "ipallocator.k8s.io";
/// Label of an IPAddress that says who keeps it.
pub(crate) const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// Label of an IPAddress that says of which family it is.
const FAMILY: &str = "ipaddress.kubernetes.io/ip-family";
/// What the names of addresses' records began with before IPAddresses took their place.
pub(crate) const FORMER_ADDRESS: &str = "ip-";

/// What only one Service may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Record {
    /// A cluster address, recorded by the IPAddress of that name.
    Address(String),
    /// A node port, recorded by an object of our own kind.
    Port(i64),
}

impl Record {
    /// The object that records it.
    pub(crate) fn key(&self) -> ObjectKey {
        match self {
            Record::Address(address) => ObjectKey::new(&IP_ADDRESS, "", address),
            Record::Port(port) => ObjectKey::new(&ALLOCATION, "", &format!("port-{port}")),
        }
    }

    /// Namespace and name of the Service that a stored record names.
    pub(crate) fn owner(record: &Value) -> (&str, &str) {
        match record.get("owner") {
            Some(_) => str_at(record, "/owner").split_once('/').unwrap_or_default(),
            None => (str_at(record, "/spec/parentRef/namespace"), str_at(record, "/spec/parentRef/name")),
        }
    }
}

/// Whether somebody has it.
pub(crate) fn taken(view: &View, record: &Record) -> bool {
    view.at(&record.key()).is_some()
}

/// The write that takes it for the Service.
pub(crate) fn take(case: &Case<'_>, record: &Record, namespace: &str, name: &str) -> Write {
    let key = record.key();
    let mut object = match record {
        Record::Address(address) => ip_address(address, namespace, name),
        Record::Port(_) => json!({
            "apiVersion": ALLOCATION.api_version(), "kind": ALLOCATION.kind,
            "metadata": {"name": &*key.name}, "owner": format!("{namespace}/{name}"),
        }),
    };
    let meta = meta::of(&mut object);
    meta.insert("uid".to_owned(), case.draw(&key.name).uid().into());
    meta.insert("creationTimestamp".to_owned(), case.now().into());
    Write { key, expect: 0, json: Some(Bytes::from(object.to_string())) }
}

/// The IPAddress by which a Service has an address.
pub(crate) fn ip_address(address: &str, namespace: &str, name: &str) -> Value {
    let family = if address.contains(':') { "IPv6" } else { "IPv4" };
    json!({
        "apiVersion": IP_ADDRESS.api_version(), "kind": IP_ADDRESS.kind,
        "metadata": {"name": address, "labels": {FAMILY: family, MANAGED_BY: MANAGER}},
        "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
    })
}

/// The write by which the Service gives it back; nothing where it does not have it.
pub(crate) fn release(view: &View, record: &Record, namespace: &str, name: &str) -> Option<Write> {
    let stored = view.at(&record.key()).filter(|stored| Record::owner(&stored.value()) == (namespace, name))?;
    Some(Write { key: stored.key().clone(), expect: stored.header.revision, json: None })
}
