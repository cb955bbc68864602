//! Why a pod fits nowhere, in the words that people search for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::filters::Misfit;

/// Nodes that are named one by one; the message counts the rest.
const NAMED_NODES: usize = 16;

/// What was said about all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnosis {
    nodes: usize,
    reasons: BTreeMap<Cow<'static, str>, usize>,
    curable: usize,
    /// Some nodes with what ruled them out.
    pub named: Vec<(String, Misfit)>,
}

impl Diagnosis {
    /// A node was ruled out.
    pub fn add(&mut self, node: &str, misfits: &[Misfit]) {
        self.nodes += 1;
        for misfit in misfits {
            *self.reasons.entry(misfit.text.clone()).or_default() += 1;
        }
        self.curable += usize::from(misfits.iter().all(|misfit| misfit.curable));
        if self.named.len() < NAMED_NODES {
            self.named.extend(misfits.iter().map(|misfit| (node.to_owned(), misfit.clone())));
        }
    }

    /// The whole sentence.
    pub fn message(&self, never_preempts: bool) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".to_owned();
        }
        let available = format!("0/{} nodes are available", self.nodes);
        let reasons = counted(self.reasons.iter().map(|(text, count)| (*count, text.as_ref())));
        if never_preempts {
            return format!("{available}: {reasons}. preemption: not eligible due to preemptionPolicy=Never.");
        }
        let preemption = counted([
            (self.curable, "No preemption victims found for incoming pod"),
            (self.nodes - self.curable, "Preemption is not helpful for scheduling"),
        ]);
        format!("{available}: {reasons}. preemption: {available}: {preemption}.")
    }
}

fn counted<'a>(reasons: impl IntoIterator<Item = (usize, &'a str)>) -> String {
    let some = reasons.into_iter().filter(|(count, _)| *count > 0);
    let mut texts: Vec<String> = some.map(|(count, text)| format!("{count} {text}")).collect();
    texts.sort();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_counted_and_sorted() {
        let mut diagnosis = Diagnosis::default();
        assert_eq!(diagnosis.message(false), "no nodes available to schedule pods");
        let closed = Misfit::lasting("a", "node(s) were unschedulable");
        diagnosis.add("n1", &[closed]);
        let full = Misfit::curable("b", "Insufficient cpu");
        diagnosis.add("n2", std::slice::from_ref(&full));
        diagnosis.add("n3", std::slice::from_ref(&full));
        let said = "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: ";
        let preemption = "0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
                          2 No preemption victims found for incoming pod.";
        assert_eq!(diagnosis.message(false), format!("{said}{preemption}"));
        assert_eq!(diagnosis.message(true), format!("{said}not eligible due to preemptionPolicy=Never."));
    }
}
