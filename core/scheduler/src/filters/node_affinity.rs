//! Nodes that the pod's own node selection leaves out.

use super::Misfit;
use crate::cycle::{Candidate, Cycle};

const RULE: &str = "NodeAffinity";

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    let unnamed = cycle.named.as_ref().is_some_and(|names| !names.contains(&node.facts.name.as_str()));
    if unnamed {
        misfits.push(Misfit::lasting(RULE, "node(s) didn't satisfy plugin(s) [NodeAffinity]"));
    } else if !cycle.pod.nodes.allow(node.facts) {
        misfits.push(Misfit::lasting(RULE, "node(s) didn't match Pod's node affinity/selector"));
    }
}
