//! The `Service` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Service`.
pub static SERVICE: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Service",
    plural: "services",
    singular: "service",
    short_names: &["svc"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource { name: "status", group_version: None, kind: "Service", schema: "io.k8s.api.core.v1.Service", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.core.v1.Service",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("spec.clusterIP", |o| text(o, "/spec/clusterIP")), ("spec.type", |o| text(o, "/spec/type"))],
};
