//! The `ConfigMap` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `ConfigMap`.
pub static CONFIG_MAP: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.ConfigMap",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};
