//! Nodes that are closed to new pods.

use k8s_openapi::api::core::v1::Taint;

use super::Misfit;
use super::taints::tolerated;
use crate::cycle::{Candidate, Cycle};

/// The taint that stands for `spec.unschedulable`; a pod that tolerates it may come nevertheless.
const TAINT: &str = "node.kubernetes.io/unschedulable";

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    if node.facts.unschedulable {
        let taint = Taint { key: TAINT.into(), effect: "NoSchedule".into(), ..Taint::default() };
        if !tolerated(&cycle.pod.tolerations, &taint) {
            misfits.push(Misfit::lasting("NodeUnschedulable", "node(s) were unschedulable"));
        }
    }
}
