//! Pods say where their node is: in which zone, and in which region.

use gantry_kinds::NODE;
use gantry_kinds::tree::str_at;
use serde_json::Value;

use crate::case::Case;
use crate::meta;

/// Labels of a node that its pods carry too.
const LABELS: [&str; 2] = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone"];

/// Labels a pod as its node is, where it has one.
pub(crate) fn label(case: &Case<'_>, pod: &mut Value) {
    let Some(node) = case.view.get(&NODE, "", str_at(pod, "/spec/nodeName")) else { return };
    for label in LABELS {
        if let Some(value) = node.header.labels.get(label) {
            meta::map(&mut pod["metadata"], "labels").insert(label.to_owned(), value.as_str().into());
        }
    }
}
