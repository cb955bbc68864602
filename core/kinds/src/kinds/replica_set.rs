//! The `ReplicaSet` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `ReplicaSet`.
pub static REPLICA_SET: Kind = Kind {
    group: "apps",
    version: "v1",
    kind: "ReplicaSet",
    plural: "replicasets",
    singular: "replicaset",
    short_names: &["rs"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource { name: "scale", group_version: Some(("autoscaling", "v1")), kind: "Scale", schema: "io.k8s.api.autoscaling.v1.Scale", verbs: STATUS_VERBS }, Subresource { name: "status", group_version: None, kind: "ReplicaSet", schema: "io.k8s.api.apps.v1.ReplicaSet", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.apps.v1.ReplicaSet",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("status.replicas", |o| text(o, "/status/replicas"))],
};
