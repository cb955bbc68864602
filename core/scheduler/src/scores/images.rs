//! Nodes that have the pod's images already.

use super::MAX;
use crate::cycle::{Candidate, Cycle};

/// Smaller images are quick to fetch anyway.
const SMALL: i64 = 23 << 20;
/// For larger images, by container, nothing more is gained.
const LARGE: i64 = 1000 << 20;

pub(super) fn score(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let names: Vec<String> = cycle.pod.images.iter().map(|image| normalized(image)).collect();
    let containers = i64::try_from(names.len()).unwrap_or(i64::MAX).max(1);
    let score = |node: &Candidate<'_>| {
        let there: i64 = names.iter().filter_map(|name| node.facts.images.get(name)).sum();
        let large = LARGE.saturating_mul(containers);
        MAX * (there.clamp(SMALL, large) - SMALL) / (large - SMALL)
    };
    nodes.iter().map(score).collect()
}

/// The name as nodes report it.
fn normalized(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || last.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}
