//! The `Pod` kind.

#[allow(unused_imports)]
use crate::columns;
use crate::row::{Kind, NoStrategy, STATUS_VERBS, STORED_VERBS, Subresource};
use crate::tree::text;

/// The row of `Pod`.
pub static POD: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource { name: "attach", group_version: None, kind: "PodAttachOptions", schema: "", verbs: &["create", "get"] }, Subresource { name: "binding", group_version: None, kind: "Binding", schema: "io.k8s.api.core.v1.Binding", verbs: &["create"] }, Subresource { name: "ephemeralcontainers", group_version: None, kind: "Pod", schema: "io.k8s.api.core.v1.Pod", verbs: STATUS_VERBS }, Subresource { name: "eviction", group_version: Some(("policy", "v1")), kind: "Eviction", schema: "io.k8s.api.policy.v1.Eviction", verbs: &["create"] }, Subresource { name: "exec", group_version: None, kind: "PodExecOptions", schema: "", verbs: &["create", "get"] }, Subresource { name: "log", group_version: None, kind: "Pod", schema: "", verbs: &["get"] }, Subresource { name: "portforward", group_version: None, kind: "PodPortForwardOptions", schema: "", verbs: &["create", "get"] }, Subresource { name: "status", group_version: None, kind: "Pod", schema: "io.k8s.api.core.v1.Pod", verbs: STATUS_VERBS }],
    schema: "io.k8s.api.core.v1.Pod",
    strategy: &NoStrategy,
    columns: columns::NAME_AND_AGE,
    cells: columns::name_and_age,
    selectable: &[("spec.nodeName", |o| text(o, "/spec/nodeName")), ("spec.restartPolicy", |o| text(o, "/spec/restartPolicy")), ("spec.schedulerName", |o| text(o, "/spec/schedulerName")), ("spec.serviceAccountName", |o| text(o, "/spec/serviceAccountName")), ("spec.hostNetwork", |o| text(o, "/spec/hostNetwork")), ("status.phase", |o| text(o, "/status/phase")), ("status.podIP", |o| text(o, "/status/podIP")), ("status.nominatedNodeName", |o| text(o, "/status/nominatedNodeName"))],
};
