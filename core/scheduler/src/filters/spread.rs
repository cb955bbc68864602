//! Required topology spread constraints.

use super::Misfit;
use crate::cycle::{Candidate, Cycle};

const RULE: &str = "PodTopologySpread";

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    for domains in &cycle.spread {
        let Some(value) = node.facts.labels.get(&domains.key) else {
            let text = "node(s) didn't match pod topology spread constraints (missing required label)";
            misfits.push(Misfit::lasting(RULE, text));
            return;
        };
        let there = domains.counts.get(value).copied().unwrap_or(0);
        if there + domains.own - domains.emptiest > domains.max_skew {
            misfits.push(Misfit::curable(RULE, "node(s) didn't match pod topology spread constraints"));
            return;
        }
    }
}
