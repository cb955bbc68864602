//! Emptier nodes, and nodes whose CPU and memory fill evenly.

use super::MAX;
use crate::cycle::{Candidate, Cycle};

/// CPU and memory: what the node has, and what of it would be taken with the pod there.
fn amounts(cycle: &Cycle<'_>, node: &Candidate<'_>) -> [(i64, i64); 2] {
    let (has, taken, more) = (&node.facts.allocatable, &node.state.weight, &cycle.pod.weight);
    [(has.milli_cpu, taken.milli_cpu + more.milli_cpu), (has.memory, taken.memory + more.memory)]
}

pub(super) fn least_allocated(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let free = |(has, taken): (i64, i64)| if has > taken { MAX * (has - taken) / has } else { 0 };
    nodes.iter().map(|node| amounts(cycle, node).map(free).iter().sum::<i64>() / 2).collect()
}

pub(super) fn balanced(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let full = |(has, taken): (i64, i64)| if has > 0 { (1000 * taken / has).min(1000) } else { 1000 };
    let score = |node: &Candidate<'_>| {
        let [cpu, memory] = amounts(cycle, node).map(full);
        MAX - (cpu - memory).abs() * MAX / 2000
    };
    nodes.iter().map(score).collect()
}
