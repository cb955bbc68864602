//! Taints that would rather not have the pod.

use super::lowest_best;
use crate::cycle::{Candidate, Cycle};
use crate::filters::taints::tolerated;

pub(super) fn score(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let against = |node: &Candidate<'_>| {
        let soft = node.facts.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule");
        i64::try_from(soft.filter(|taint| !tolerated(&cycle.pod.tolerations, taint)).count()).unwrap_or(i64::MAX)
    };
    lowest_best(nodes.iter().map(against).collect())
}
