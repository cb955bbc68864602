//! Preferred node affinity.

use super::highest_best;
use crate::cycle::{Candidate, Cycle};
use crate::node_terms::term_matches;

pub(super) fn score(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let worth = |node: &Candidate<'_>| {
        let met = cycle.pod.preferred_nodes.iter().filter(|wish| term_matches(&wish.preference, node.facts));
        met.map(|wish| i64::from(wish.weight)).sum()
    };
    highest_best(nodes.iter().map(worth).collect())
}
