//! The `Node` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Node`.
pub static NODE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Node",
    plural: "nodes",
    singular: "node",
    short_names: &["no"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource { name: "status", group_version: None, kind: "Node", schema: "io.k8s.api.core.v1.Node", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.core.v1.Node",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("spec.unschedulable", |o| text(o, "/spec/unschedulable"))],
};
