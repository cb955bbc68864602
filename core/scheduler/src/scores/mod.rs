//! What speaks for a node, one point of view a file, each from 0 to 100.

mod company;
mod images;
mod node_affinity;
mod resources;
mod spread;
mod taints;

use crate::cycle::{Candidate, Cycle};

/// The best that a point of view can say.
pub const MAX: i64 = 100;

type Score = fn(&Cycle<'_>, &[Candidate<'_>]) -> Vec<i64>;

/// Points of view with their weights.
const WEIGHTED: [(Score, i64); 7] = [
    (resources::least_allocated, 1),
    (resources::balanced, 1),
    (taints::score, 3),
    (node_affinity::score, 2),
    (spread::score, 2),
    (company::score, 2),
    (images::score, 1),
];

/// The weighted sum for each node.
pub fn total(cycle: &Cycle<'_>, nodes: &[Candidate<'_>]) -> Vec<i64> {
    let mut totals = vec![0; nodes.len()];
    for (score, weight) in WEIGHTED {
        for (total, points) in totals.iter_mut().zip(score(cycle, nodes)) {
            *total += weight * points;
        }
    }
    totals
}

/// Brings raw points onto 0 to 100, the highest being best.
fn highest_best(raw: Vec<i64>) -> Vec<i64> {
    let (low, high) = bounds(&raw);
    raw.into_iter().map(|points| if high > low { MAX * (points - low) / (high - low) } else { 0 }).collect()
}

/// Brings raw points onto 0 to 100, the lowest being best.
fn lowest_best(raw: Vec<i64>) -> Vec<i64> {
    let (low, high) = bounds(&raw);
    raw.into_iter().map(|points| if high > low { MAX * (high - points) / (high - low) } else { MAX }).collect()
}

fn bounds(raw: &[i64]) -> (i64, i64) {
    (raw.iter().copied().min().unwrap_or(0), raw.iter().copied().max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_brought_onto_one_scale() {
        assert_eq!(highest_best(vec![-5, 0, 5]), [0, 50, 100]);
        assert_eq!(lowest_best(vec![1, 2, 3]), [100, 50, 0]);
        assert_eq!((highest_best(vec![7, 7]), lowest_best(vec![7, 7])), (vec![0, 0], vec![100, 100]));
    }
}
