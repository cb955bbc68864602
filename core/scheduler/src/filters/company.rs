//! Required affinity and anti-affinity between pods, both ways.

use super::Misfit;
use crate::cycle::{Candidate, Cycle, Places};

const RULE: &str = "InterPodAffinity";

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    let value = |places: &Places| node.facts.labels.get(&places.key);
    let at = |places: &Places| value(places).is_some_and(|value| places.values.contains(value));
    let met = |places: &Places| at(places) || (cycle.first_of_group && value(places).is_some());
    if !cycle.with.iter().all(met) {
        misfits.push(Misfit::lasting(RULE, "node(s) didn't match pod affinity rules"));
    } else if cycle.without.iter().any(at) {
        misfits.push(Misfit::curable(RULE, "node(s) didn't match pod anti-affinity rules"));
    } else if cycle.kept_away.iter().any(at) {
        misfits.push(Misfit::curable(RULE, "node(s) didn't satisfy existing pods anti-affinity rules"));
    }
}
