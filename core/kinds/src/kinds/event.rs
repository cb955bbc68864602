//! The `Event` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Event`.
pub static EVENT: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.core.v1.Event",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("involvedObject.kind", |o| text(o, "/involvedObject/kind")), ("involvedObject.namespace", |o| text(o, "/involvedObject/namespace")), ("involvedObject.name", |o| text(o, "/involvedObject/name")), ("involvedObject.uid", |o| text(o, "/involvedObject/uid")), ("involvedObject.apiVersion", |o| text(o, "/involvedObject/apiVersion")), ("involvedObject.resourceVersion", |o| text(o, "/involvedObject/resourceVersion")), ("involvedObject.fieldPath", |o| text(o, "/involvedObject/fieldPath")), ("reason", |o| text(o, "/reason")), ("reportingComponent", |o| text(o, "/reportingComponent")), ("source", |o| text(o, "/source")), ("type", |o| text(o, "/type"))],
};
