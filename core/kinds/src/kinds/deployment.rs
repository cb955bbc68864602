//! The `Deployment` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Deployment`.
pub static DEPLOYMENT: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "Deployment",
    plural: "deployments",
    singular: "deployment",
    short_names: &["deploy"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource { name: "scale", group_version: Some(("autoscaling", "v1")), kind: "Scale", schema: "io.k8s.api.autoscaling.v1.Scale", verbs: STATUS_VERBS }, Subresource { name: "status", group_version: None, kind: "Deployment", schema: "io.k8s.api.apps.v1.Deployment", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.apps.v1.Deployment",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};
