//! Spreading: by the pod's own wishes, or else pods of one owner over zones and nodes.

use std::collections::BTreeMap;

use super::lowest_best;
use crate::cycle::{Candidate, Cycle};

const ZONE: &str = "topology.kubernetes.io/zone";
/// A sibling on the same node weighs more than one in the same zone.
const NODE_WEIGHT: i64 = 2;

pub(super) fn score(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    if cycle.pod.spread.is_empty() { by_owner(cycle, nodes) } else { by_wish(cycle, nodes) }
}

/// Domains are weighed by how many there are, so that spreading over nodes does not outweigh spreading over zones.
/// A node without the label counts as the fullest.
fn by_wish(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let crowd = |node: &Candidate<'_>| {
        let per_wish = cycle.wanted_spread.iter().map(|domains| {
            let fullest = domains.counts.values().copied().max().unwrap_or(0) + 1;
            let there = node.facts.labels.get(&domains.key).and_then(|value| domains.counts.get(value));
            let weight = i64::try_from(domains.counts.len()).unwrap_or(i64::MAX).saturating_add(2).ilog2();
            there.copied().unwrap_or(fullest).saturating_mul(i64::from(weight)) + domains.max_skew - 1
        });
        per_wish.sum()
    };
    lowest_best(nodes.iter().map(crowd).collect())
}

fn by_owner(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let on_node = |node: &Candidate<'_>| cycle.siblings.get(&node.slot).copied().unwrap_or(0);
    let mut in_zone: BTreeMap<&str, i64> = BTreeMap::new();
    for node in nodes {
        if let Some(zone) = node.facts.labels.get(ZONE) {
            *in_zone.entry(zone).or_default() += on_node(node);
        }
    }
    let crowd = |node: &Candidate<'_>| {
        let zone = node.facts.labels.get(ZONE).and_then(|zone| in_zone.get(zone.as_str())).copied().unwrap_or(0);
        NODE_WEIGHT * on_node(node) + zone
    };
    lowest_best(nodes.iter().map(crowd).collect())
}
