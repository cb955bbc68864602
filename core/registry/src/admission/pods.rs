//! What every new pod gets: patience with nodes that are briefly away.

use gantry_kinds::tree::{list_at, str_at};
use serde_json::{Value, json};

use crate::meta;

/// Seconds that a pod stays on a node that is not ready or cannot be reached.
const PATIENCE: i64 = 300;

/// Adds the tolerations of a short absence of the node, where the pod says nothing about it.
pub(crate) fn tolerations(pod: &mut Value) {
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let about = |toleration: &Value| {
            ["", key].contains(&str_at(toleration, "/key"))
                && ["", "NoExecute"].contains(&str_at(toleration, "/effect"))
        };
        if !list_at(pod, "/spec/tolerations").iter().any(about) {
            let toleration =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE});
            meta::list(meta::map(pod, "spec"), "tolerations").push(toleration);
        }
    }
}
