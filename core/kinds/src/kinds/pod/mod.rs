//! Pods.

mod columns;
mod defaults;
pub mod demand;
mod gated;
mod qos;
pub mod references;
mod resize;
mod update;
mod validate;
mod warnings;

use serde_json::{Value, json};

pub use self::defaults::{pull_policy, round_to_milli, template as default_template};
pub use self::qos::class as qos_class;
pub use self::validate::{check_node_selector, check_tolerations, template as check_template};
pub use self::warnings::{
    name as name_warning, node_selector as node_selector_warnings, template as template_warnings,
    template_at as template_warnings_at,
};
use crate::field::ErrorList;
use crate::names;
use crate::row::{Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::tree::{int_at, keep, list_at, str_at, text, text_or};

/// The row of `Pod`.
pub static POD: Kind = Kind {
    group: "",
    version: "v1",
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    version_of: None,
    short_names: &["po"],
    categories: &["all"],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "attach",
            group_version: None,
            kind: "PodAttachOptions",
            schema: "",
            verbs: &["create", "get"],
        },
        Subresource {
            name: "binding",
            group_version: None,
            kind: "Binding",
            schema: "io.k8s.api.core.v1.Binding",
            verbs: &["create"],
        },
        Subresource {
            name: "ephemeralcontainers",
            group_version: None,
            kind: "Pod",
            schema: "io.k8s.api.core.v1.Pod",
            verbs: STATUS_VERBS,
        },
        Subresource {
            name: "eviction",
            group_version: Some(("policy", "v1")),
            kind: "Eviction",
            schema: "io.k8s.api.policy.v1.Eviction",
            verbs: &["create"],
        },
        Subresource {
            name: "exec",
            group_version: None,
            kind: "PodExecOptions",
            schema: "",
            verbs: &["create", "get"],
        },
        Subresource { name: "log", group_version: None, kind: "Pod", schema: "", verbs: &["get"] },
        Subresource {
            name: "portforward",
            group_version: None,
            kind: "PodPortForwardOptions",
            schema: "",
            verbs: &["create", "get"],
        },
        Subresource {
            name: "proxy",
            group_version: None,
            kind: "PodProxyOptions",
            schema: "",
            verbs: &["create", "delete", "get", "patch", "update"],
        },
        Subresource {
            name: "resize",
            group_version: None,
            kind: "Pod",
            schema: "io.k8s.api.core.v1.Pod",
            verbs: STATUS_VERBS,
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "Pod",
            schema: "io.k8s.api.core.v1.Pod",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.core.v1.Pod",
    strategy: &PodStrategy,
    columns: columns::COLUMNS,
    cells: columns::cells,
    selectable: &[
        ("spec.nodeName", |o| text(o, "/spec/nodeName")),
        ("spec.restartPolicy", |o| text(o, "/spec/restartPolicy")),
        ("spec.schedulerName", |o| text(o, "/spec/schedulerName")),
        ("spec.serviceAccountName", |o| text(o, "/spec/serviceAccountName")),
        ("spec.hostNetwork", |o| text_or(o, "/spec/hostNetwork", "false")),
        ("status.phase", |o| text(o, "/status/phase")),
        ("status.podIP", |o| text(o, "/status/podIP")),
        ("status.nominatedNodeName", |o| text(o, "/status/nominatedNodeName")),
    ],
};

struct PodStrategy;

impl Strategy for PodStrategy {
    fn default(&self, object: &mut Value) {
        defaults::pod(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({ "phase": "Pending", "qosClass": qos::class(object) });
        if !list_at(object, "/spec/schedulingGates").is_empty() {
            object["status"]["conditions"] = json!([{
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": null,
                "lastTransitionTime": object.pointer("/metadata/creationTimestamp"),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }]);
        }
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        match update {
            Update::Sub("status") => {
                keep(new, old, "spec");
                keep(&mut new["metadata"], &old["metadata"], "ownerReferences");
                if str_at(new, "/status/qosClass").is_empty()
                    && let Some(class) = old.pointer("/status/qosClass")
                {
                    new["status"]["qosClass"] = class.clone();
                }
            }
            Update::Sub("ephemeralcontainers") => {
                let added = new["spec"]["ephemeralContainers"].take();
                *new = old.clone();
                if added.as_array().is_some_and(|list| !list.is_empty()) {
                    new["spec"]["ephemeralContainers"] = added;
                } else {
                    crate::tree::remove(&mut new["spec"], "ephemeralContainers");
                }
            }
            Update::Sub("resize") => resize::prepare(new, old),
            _ => {
                keep(new, old, "status");
                // What a pod asks for as a whole stays when nothing is said of it.
                if new.pointer("/spec/resources").is_none() {
                    keep(&mut new["spec"], &old["spec"], "resources");
                }
            }
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        validate::pod(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        match update {
            Update::Sub("status") => update::check_status(new, old),
            Update::Sub("ephemeralcontainers") => update::check_ephemeral(new, old),
            Update::Sub("resize") => resize::check(new, old),
            _ => update::check(new, old),
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        warnings::pod(new, old)
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }

    fn grace_seconds(&self, object: &Value, asked: Option<i64>) -> Option<i64> {
        let own = int_at(object, "/spec/terminationGracePeriodSeconds");
        let seconds = match asked.or(own).unwrap_or(0) {
            below if below < 0 => 1,
            seconds => seconds,
        };
        let unplaced = str_at(object, "/spec/nodeName").is_empty();
        let ended = matches!(str_at(object, "/status/phase"), "Succeeded" | "Failed");
        Some(if unplaced || ended { 0 } else { seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_is_for_pods_that_may_run() {
        let check = |object: Value, asked, expected| {
            assert_eq!(PodStrategy.grace_seconds(&object, asked), Some(expected), "{object}");
        };
        let spec = json!({"nodeName": "n", "terminationGracePeriodSeconds": 30});
        check(json!({ "spec": spec }), None, 30);
        check(json!({ "spec": spec }), Some(5), 5);
        check(json!({ "spec": spec }), Some(0), 0);
        check(json!({"spec": {"terminationGracePeriodSeconds": 30}}), None, 0);
        check(json!({"spec": spec, "status": {"phase": "Failed"}}), None, 0);
        check(json!({"spec": {"nodeName": "n", "terminationGracePeriodSeconds": -5}}), None, 1);
    }

    #[test]
    fn a_status_update_keeps_the_rest() {
        let old = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Pending"}});
        let mut new = json!({"metadata": {"name": "a", "ownerReferences": [], "labels": {"a": "b"}},
            "spec": {}, "status": {"phase": "Running"}});
        PodStrategy.prepare_update(&mut new, &old, Update::Sub("status"));
        let expected = json!({"metadata": {"name": "a", "labels": {"a": "b"}}, "spec": {"nodeName": "n"},
            "status": {"phase": "Running"}});
        assert_eq!(new, expected);
    }

    #[test]
    fn a_gated_pod_says_so() {
        let mut pod = json!({"metadata": {}, "spec": {"schedulingGates": [{"name": "x"}], "containers": []}});
        PodStrategy.prepare_create(&mut pod);
        assert_eq!(pod["status"]["conditions"][0]["reason"], "SchedulingGated");
        assert_eq!(pod["status"]["qosClass"], "BestEffort");
    }
}
