//! The `Namespace` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Namespace`.
pub static NAMESPACE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    categories: &[],
    namespaced: false,
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    subresources: &[Subresource { name: "finalize", group_version: None, kind: "Namespace", schema: "io.k8s.api.core.v1.Namespace", verbs: &["update"] }, Subresource { name: "status", group_version: None, kind: "Namespace", schema: "io.k8s.api.core.v1.Namespace", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.core.v1.Namespace",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("status.phase", |o| text(o, "/status/phase"))],
};
