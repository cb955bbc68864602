//! Which pods go first: those that are missed least.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_view::Object;
use jiff::Timestamp;

use crate::pod_facts::PodFacts;

/// A pod with what its place in the order rests on.
struct Ranked<'a> {
    pod: &'a Arc<Object>,
    facts: std::borrow::Cow<'a, PodFacts>,
    /// How many pods of its relatives share its node.
    crowd: usize,
}

/// The `count` pods to delete, in that order: without a node, then pending, then not ready, then cheap by their own
/// annotation, then crowded on a node, then ready for a short time, then often restarted, then young.
pub(super) fn least_missed<'a>(
    pods: &[&'a Arc<Object>],
    relatives: &[&Arc<Object>],
    now: Timestamp,
    count: usize,
) -> Vec<&'a Arc<Object>> {
    let mut crowds: BTreeMap<String, usize> = BTreeMap::new();
    for pod in relatives {
        *crowds.entry(PodFacts::of(pod).node.clone()).or_default() += 1;
    }
    let rank = |pod: &&'a Arc<Object>| {
        let facts = PodFacts::of(pod);
        let crowd = crowds.get(&facts.node).copied().unwrap_or(0);
        Ranked { pod, facts, crowd }
    };
    let mut ranked: Vec<Ranked<'a>> = pods.iter().map(rank).collect();
    ranked.sort_by(|a, b| compare(a, b, now));
    ranked.into_iter().take(count).map(|ranked| ranked.pod).collect()
}

fn compare(a: &Ranked<'_>, b: &Ranked<'_>, now: Timestamp) -> Ordering {
    let (x, y) = (&a.facts, &b.facts);
    let ready_for = |facts: &PodFacts| facts.ready_since.filter(|_| facts.ready).map(|since| magnitude(since, now));
    let age = |pod: &Object| pod.header.created.map(|created| magnitude(created, now));
    y.node
        .is_empty()
        .cmp(&x.node.is_empty())
        .then_with(|| phase(x).cmp(&phase(y)))
        .then_with(|| x.ready.cmp(&y.ready))
        .then_with(|| x.deletion_cost.cmp(&y.deletion_cost))
        .then_with(|| b.crowd.cmp(&a.crowd))
        .then_with(|| ready_for(x).cmp(&ready_for(y)))
        .then_with(|| y.restarts.cmp(&x.restarts))
        .then_with(|| age(a.pod).cmp(&age(b.pod)))
        .then_with(|| a.pod.uid().cmp(b.pod.uid()))
}

fn phase(facts: &PodFacts) -> u8 {
    match facts.phase.as_str() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

/// How long ago, as a power of two: pods of about the same age are taken at random, so that one node is not emptied
/// because it was filled last.
fn magnitude(since: Timestamp, now: Timestamp) -> i32 {
    match u128::try_from(now.duration_since(since).as_nanos()) {
        Ok(nanos) if nanos > 0 => nanos.ilog2().cast_signed(),
        _ => -1,
    }
}
