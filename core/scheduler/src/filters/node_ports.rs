//! Host ports that are taken.

use super::Misfit;
use crate::cycle::{Candidate, Cycle};

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    let taken = cycle.pod.ports.iter().any(|wanted| node.state.ports.iter().any(|port| port.conflicts(wanted)));
    if taken {
        misfits.push(Misfit::curable("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
}
