//! Counts of pods by node, for each group of pods that some rule asks about.
//!
//! A count is made when it is first asked for and kept up to date from then on, so that placing the thousandth pod
//! of a workload costs no more than the first.

use std::collections::BTreeMap;

use crate::node::NodeState;
use crate::pod::PodFacts;
use crate::pod_terms::{Group, Namespaces};

/// Groups counted at a time; one more, and counting starts anew.
const MAX_TALLIES: usize = 512;

/// Which pods of a group count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// All.
    All,
    /// Those that are not being deleted.
    Staying,
}

struct Tally {
    group: Group,
    by_node: BTreeMap<usize, i64>,
}

/// All counts.
#[derive(Default)]
pub struct Tallies {
    tallies: BTreeMap<(Count, String), Tally>,
}

impl Tallies {
    /// How many pods of the group are on each node that has any.
    pub fn of(
        &mut self,
        group: &Group,
        count: Count,
        nodes: &[NodeState],
        namespaces: &Namespaces,
    ) -> &BTreeMap<usize, i64> {
        let key = (count, group.identity.clone());
        if self.tallies.len() >= MAX_TALLIES && !self.tallies.contains_key(&key) {
            self.tallies.clear();
        }
        let tally = self.tallies.entry(key).or_insert_with(|| {
            let mut by_node = BTreeMap::new();
            for (slot, node) in nodes.iter().enumerate() {
                let on_node = node.pods.values().filter(|pod| counts(group, count, pod, namespaces)).count();
                if on_node > 0 {
                    by_node.insert(slot, i64::try_from(on_node).unwrap_or(i64::MAX));
                }
            }
            Tally { group: group.clone(), by_node }
        });
        &tally.by_node
    }

    /// A pod came to a node (`by` is 1) or left it (-1).
    pub fn count(&mut self, pod: &PodFacts, slot: usize, by: i64, namespaces: &Namespaces) {
        for ((count, _), tally) in &mut self.tallies {
            if counts(&tally.group, *count, pod, namespaces) {
                let on_node = tally.by_node.entry(slot).or_default();
                *on_node += by;
                if *on_node == 0 {
                    tally.by_node.remove(&slot);
                }
            }
        }
    }

    /// Forgets all counts.
    pub fn clear(&mut self) {
        self.tallies.clear();
    }
}

fn counts(group: &Group, count: Count, pod: &PodFacts, namespaces: &Namespaces) -> bool {
    !(count == Count::Staying && pod.terminating) && group.includes(pod, namespaces)
}
