//! What is worked out once for a pod before nodes are looked at one by one.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{NodeFacts, NodeState};
use crate::pod::PodFacts;
use crate::pod_terms::{SpreadTerm, Term};
use crate::state::State;
use crate::tally::Count;
use crate::{filters, node_terms::NodeTerms};

/// A node that is looked at.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    /// Its slot.
    pub slot: usize,
    /// Its facts.
    pub facts: &'a NodeFacts,
    /// What is on it.
    pub state: &'a NodeState,
}

/// Values of one node label.
pub struct Places {
    /// The label.
    pub key: String,
    /// Its values.
    pub values: BTreeSet<String>,
}

/// Pods by value of one node label, for a spread constraint.
pub struct Domains {
    /// The label.
    pub key: String,
    /// How many pods of the group are in each domain that the pod may be in.
    pub counts: BTreeMap<String, i64>,
    /// What the emptiest domain has.
    pub emptiest: i64,
    /// Most that a domain may have beyond the emptiest.
    pub max_skew: i64,
    /// 1 where the pod would count itself.
    pub own: i64,
}

/// A pod with what follows from the pods that are placed already.
pub struct Cycle<'a> {
    /// The pod.
    pub pod: &'a PodFacts,
    /// The nodes it names, where it names any.
    pub named: Option<Vec<&'a str>>,
    /// Required affinity: where each term is met.
    pub with: Vec<Places>,
    /// Whether the pod is the first of a group that wants to be together, so that affinity holds anywhere.
    pub first_of_group: bool,
    /// Required anti-affinity: where each term is violated.
    pub without: Vec<Places>,
    /// Where pods are that keep this one away.
    pub kept_away: Vec<Places>,
    /// Required spreading.
    pub spread: Vec<Domains>,
    /// Wanted spreading.
    pub wanted_spread: Vec<Domains>,
    /// What places are worth by preferred affinity and anti-affinity: label, value, weight.
    pub preferred_places: BTreeMap<(String, String), i64>,
    /// How many pods of the same owner are on a node, by slot.
    pub siblings: BTreeMap<usize, i64>,
}

impl<'a> Cycle<'a> {
    /// Works out everything for `pod`.
    pub fn new(state: &mut State, pod: &'a PodFacts) -> Self {
        let with = pod.company.with.iter().map(|term| places(state, term)).collect::<Vec<_>>();
        let nobody = with.iter().all(|places| places.values.is_empty());
        let own = pod.company.with.iter().all(|term| term.group.includes(pod, &state.namespaces));
        let (required, wanted): (Vec<_>, Vec<_>) = pod.spread.iter().partition(|term| term.required);
        let keys: Vec<&str> = required.iter().map(|term| term.topology_key.as_str()).collect();
        Cycle {
            pod,
            named: pod.nodes.named(),
            first_of_group: !with.is_empty() && nobody && own,
            with,
            without: pod.company.without.iter().map(|term| places(state, term)).collect(),
            kept_away: kept_away(state, pod),
            spread: required.iter().map(|term| domains(state, pod, term, &keys)).collect(),
            wanted_spread: wanted.iter().map(|term| domains(state, pod, term, &[])).collect(),
            preferred_places: preferred_places(state, pod),
            siblings: pod.owner.as_ref().and_then(|owner| state.owners.get(owner)).cloned().unwrap_or_default(),
        }
    }
}

fn label<'s>(state: &'s State, slot: usize, key: &str) -> Option<&'s String> {
    state.nodes.get(slot)?.facts.as_ref()?.labels.get(key)
}

/// Where pods of the term's group are, with their number.
fn occupied(state: &mut State, term: &Term) -> BTreeMap<String, i64> {
    let counts = state.tallies.of(&term.group, Count::All, &state.nodes, &state.namespaces).clone();
    let mut by_value = BTreeMap::new();
    for (slot, count) in counts {
        if let Some(value) = label(state, slot, &term.topology_key) {
            *by_value.entry(value.clone()).or_default() += count;
        }
    }
    by_value
}

fn places(state: &mut State, term: &Term) -> Places {
    Places { key: term.topology_key.clone(), values: occupied(state, term).into_keys().collect() }
}

fn kept_away(state: &State, pod: &PodFacts) -> Vec<Places> {
    let mut by_key: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (slot, guard) in state.guarded.values() {
        for term in guard.company.without.iter().filter(|term| term.group.includes(pod, &state.namespaces)) {
            if let Some(value) = label(state, *slot, &term.topology_key) {
                by_key.entry(term.topology_key.clone()).or_default().insert(value.clone());
            }
        }
    }
    by_key.into_iter().map(|(key, values)| Places { key, values }).collect()
}

fn domains(state: &mut State, pod: &PodFacts, term: &SpreadTerm, all_keys: &[&str]) -> Domains {
    let group = term.group(&pod.key.namespace);
    let on_nodes = state.tallies.of(&group, Count::Staying, &state.nodes, &state.namespaces);
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (slot, node) in state.nodes.iter().enumerate() {
        let Some(facts) = &node.facts else { continue };
        let Some(value) = facts.labels.get(&term.topology_key) else { continue };
        if eligible(pod, term, facts, &pod.nodes) && all_keys.iter().all(|key| facts.labels.contains_key(*key)) {
            let on_node = on_nodes.get(&slot).copied().unwrap_or(0);
            match counts.get_mut(value) {
                Some(count) => *count += on_node,
                None => {
                    counts.insert(value.clone(), on_node);
                }
            }
        }
    }
    let few = i64::try_from(counts.len()).unwrap_or(i64::MAX) < term.min_domains;
    let emptiest = if few { 0 } else { counts.values().copied().min().unwrap_or(0) };
    let own = i64::from(group.includes(pod, &state.namespaces));
    Domains { key: term.topology_key.clone(), counts, emptiest, max_skew: term.max_skew, own }
}

fn eligible(pod: &PodFacts, term: &SpreadTerm, node: &NodeFacts, terms: &NodeTerms) -> bool {
    (!term.honor_affinity || terms.allow(node))
        && (!term.honor_taints || filters::taints::untolerated(&pod.tolerations, &node.taints).is_none())
}

fn preferred_places(state: &mut State, pod: &PodFacts) -> BTreeMap<(String, String), i64> {
    let mut worth: BTreeMap<(String, String), i64> = BTreeMap::new();
    for (weight, term) in &pod.company.preferred {
        for (value, count) in occupied(state, term) {
            *worth.entry((term.topology_key.clone(), value)).or_default() += weight * count;
        }
    }
    worth
}
