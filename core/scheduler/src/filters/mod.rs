//! What rules a node out for a pod, one rule a file, in the order in which they are asked.

pub mod company;
pub mod node_affinity;
pub mod node_ports;
pub mod resources;
pub mod spread;
pub mod taints;
pub mod unschedulable;

use std::borrow::Cow;

use crate::cycle::{Candidate, Cycle};

/// Why a node is ruled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The rule.
    pub rule: &'static str,
    /// The words that people know it by.
    pub text: Cow<'static, str>,
    /// Whether taking pods off the node could change it.
    pub curable: bool,
}

impl Misfit {
    pub(crate) fn lasting(rule: &'static str, text: &'static str) -> Self {
        Misfit { rule, text: Cow::Borrowed(text), curable: false }
    }
    pub(crate) fn curable(rule: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Misfit { rule, text: text.into(), curable: true }
    }
}

type Filter = fn(&Cycle<'_>, &Candidate<'_>, &mut Vec<Misfit>);

const ORDER: [Filter; 7] = [
    unschedulable::check,
    taints::check,
    node_affinity::check,
    node_ports::check,
    resources::check,
    spread::check,
    company::check,
];

/// Whether the pod fits the node; `misfits` gets what the first rule that says no has to say.
pub fn fits(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) -> bool {
    misfits.clear();
    ORDER.iter().all(|check| {
        check(cycle, node, misfits);
        misfits.is_empty()
    })
}
