//! The cluster as the scheduler sees it, kept up to date change by change.
//!
//! Invariants: a pod is on at most one node; a pod that was assumed to be on a node counts there until the cluster
//! says where it is; `tallies` and `owners` count exactly the pods on nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_view::ObjectKey;

use crate::node::{NodeFacts, NodeState};
use crate::pod::PodFacts;
use crate::pod_terms::Namespaces;
use crate::tally::Tallies;

/// Nodes and the pods on them.
#[derive(Default)]
pub struct State {
    /// Slots; a node keeps its slot as long as it, or a pod on it, is known.
    pub nodes: Vec<NodeState>,
    by_name: BTreeMap<String, usize>,
    free: Vec<usize>,
    placed: BTreeMap<ObjectKey, usize>,
    /// Pods on nodes that keep others away.
    pub guarded: BTreeMap<ObjectKey, (usize, Arc<PodFacts>)>,
    /// How many pods of an owner are on a node.
    pub owners: BTreeMap<String, BTreeMap<usize, i64>>,
    /// Counted groups of pods.
    pub tallies: Tallies,
    /// Labels of namespaces.
    pub namespaces: Namespaces,
}

impl State {
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(NodeState::default());
            self.nodes.len() - 1
        });
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    fn release_slot(&mut self, name: &str, slot: usize) {
        if self.nodes[slot].facts.is_none() && self.nodes[slot].pods.is_empty() {
            self.by_name.remove(name);
            self.nodes[slot] = NodeState::default();
            self.free.push(slot);
        }
    }

    /// A node is as given, or gone. Whether this may let a waiting pod fit.
    pub fn set_node(&mut self, name: &str, facts: Option<NodeFacts>) -> bool {
        let slot = self.slot(name);
        let helps = match (&self.nodes[slot].facts, &facts) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(now)) => now.may_help(before),
        };
        self.nodes[slot].facts = facts;
        self.release_slot(name, slot);
        helps
    }

    /// A pod is on this node, or is assumed to be.
    pub fn place(&mut self, node: &str, pod: &Arc<PodFacts>) {
        self.remove(&pod.key);
        let slot = self.slot(node);
        self.placed.insert(pod.key.clone(), slot);
        self.nodes[slot].place(pod.clone());
        self.tallies.count(pod, slot, 1, &self.namespaces);
        if let Some(owner) = &pod.owner {
            *self.owners.entry(owner.clone()).or_default().entry(slot).or_default() += 1;
        }
        if !pod.company.without.is_empty() {
            self.guarded.insert(pod.key.clone(), (slot, pod.clone()));
        }
    }

    /// A pod holds nothing any more. Whether it held something.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        let Some(slot) = self.placed.remove(key) else { return false };
        let Some(pod) = self.nodes[slot].remove(key) else { return false };
        self.tallies.count(&pod, slot, -1, &self.namespaces);
        if let Some(owner) = &pod.owner {
            self.forget_owner(owner, slot);
        }
        self.guarded.remove(key);
        if self.nodes[slot].facts.is_none() {
            let name = self.by_name.iter().find(|(_, s)| **s == slot).map(|(name, _)| name.clone());
            self.release_slot(&name.unwrap_or_default(), slot);
        }
        true
    }

    fn forget_owner(&mut self, owner: &str, slot: usize) {
        let Some(counts) = self.owners.get_mut(owner) else { return };
        if let Some(count) = counts.get_mut(&slot) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&slot);
            }
        }
        if counts.is_empty() {
            self.owners.remove(owner);
        }
    }

    /// The node that a pod is on, or assumed to be on.
    pub fn node_of(&self, key: &ObjectKey) -> Option<usize> {
        self.placed.get(key).copied()
    }

    /// Labels of a namespace; a change of them makes all counts by namespace label start anew.
    pub fn set_namespace(&mut self, name: &str, labels: Option<BTreeMap<String, String>>) {
        if self.namespaces.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        self.tallies.clear();
    }
}
