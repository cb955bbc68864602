//! Records of what only one Service may have: an address or a node port. A record is an object of a kind of our
//! own, which no route serves; its name says what is taken (`ip-10.43.0.1`, `port-30080`). Taking writes the record
//! with "must not exist" in the same commit as the Service, so of two that want the same one, the store refuses
//! the second, which is then decided anew on a view that shows the first. Releasing removes the record in the
//! commit that changes or removes the Service.

use bytes::Bytes;
use gantry_kinds::{Kind, KindRef, NoStrategy, table};
use gantry_view::{ObjectKey, View};
use serde_json::json;

use crate::case::Case;
use crate::request::Write;

/// The kind of the records.
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

/// Whether somebody has it.
pub(crate) fn taken(view: &View, name: &str) -> bool {
    view.get(&ALLOCATION, "", name).is_some()
}

/// The write that takes it for `owner`.
pub(crate) fn take(case: &Case<'_>, name: &str, owner: &str) -> Write {
    let record = json!({
        "apiVersion": ALLOCATION.api_version(), "kind": ALLOCATION.kind,
        "metadata": {"name": name, "uid": case.draw(name).uid(), "creationTimestamp": case.now()},
        "owner": owner,
    });
    let json = Bytes::from(record.to_string());
    Write { key: ObjectKey::new(&ALLOCATION, "", name), expect: 0, json: Some(json) }
}

/// The write that gives it back; nothing where nobody has it.
pub(crate) fn release(view: &View, name: &str) -> Option<Write> {
    let record = view.get(&ALLOCATION, "", name)?;
    Some(Write { key: record.key().clone(), expect: record.header.revision, json: None })
}
