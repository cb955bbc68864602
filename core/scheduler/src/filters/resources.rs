//! Room on the node: CPU, memory, other resources, and the number of pods.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Misfit;
use crate::cycle::{Candidate, Cycle};

const RULE: &str = "NodeResourcesFit";

pub(super) fn check(cycle: &Cycle<'_>, node: &Candidate<'_>, misfits: &mut Vec<Misfit>) {
    let (wanted, has, taken) = (&cycle.pod.requests, &node.facts.allocatable, &node.state.requested);
    let pods = i64::try_from(node.state.pods.len()).unwrap_or(i64::MAX);
    if pods >= node.facts.max_pods {
        misfits.push(Misfit::curable(RULE, "Too many pods"));
    }
    let mut check = |text: &dyn Fn() -> Cow<'static, str>, wanted: i64, has: i64, taken: i64| {
        if wanted > 0 && wanted > has - taken {
            misfits.push(Misfit { curable: wanted <= has, ..Misfit::curable(RULE, text()) });
        }
    };
    check(&|| "Insufficient cpu".into(), wanted.milli_cpu, has.milli_cpu, taken.milli_cpu);
    check(&|| "Insufficient memory".into(), wanted.memory, has.memory, taken.memory);
    check(&|| "Insufficient ephemeral-storage".into(), wanted.ephemeral, has.ephemeral, taken.ephemeral);
    for (name, amount) in &wanted.other {
        let of = |amounts: &BTreeMap<String, i64>| amounts.get(name).copied().unwrap_or(0);
        check(&|| format!("Insufficient {name}").into(), *amount, of(&has.other), of(&taken.other));
    }
}
