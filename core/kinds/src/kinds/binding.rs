//! Bindings: the old way to give a pod its node, which is answered and never stored.

use crate::columns;
use crate::row::{Kind, NoStrategy};

/// The row of `Binding`.
pub static BINDING: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Binding",
    plural: "bindings",
    singular: "binding",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: &["create"],
    subresources: &[],
    schema: "io.k8s.api.core.v1.Binding",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[],
};
