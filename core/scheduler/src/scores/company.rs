//! Preferred affinity and anti-affinity between pods.

use super::highest_best;
use crate::cycle::{Candidate, Cycle};

pub(super) fn score(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let worth = |node: &Candidate<'_>| {
        let here = cycle.preferred_places.iter().filter(|((key, value), _)| node.facts.labels.get(key) == Some(value));
        here.map(|(_, weight)| weight).sum()
    };
    highest_best(nodes.iter().map(worth).collect())
}
