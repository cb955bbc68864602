//! Linearizability of registers: is there an order of what clients did, in which each took effect at one instant
//! between its call and its answer, that explains everything that was read?
//!
//! The search is that of Wing and Gong with the memory of Lowe: configurations (who took effect, what the register
//! then holds) are tried once.

use std::collections::{BTreeMap, BTreeSet};

/// What a client did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Wrote this value.
    Write(u64),
    /// Read this value; `None` before the read has returned.
    Read(Option<u64>),
    /// Replaced the first value by the second.
    Swap(u64, u64),
}

/// One operation: when it was called, and when it was answered, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub act: Act,
    /// When it began.
    pub call: u64,
    /// When it ended; `None` when no answer came, so that it may take effect at any time, or never.
    pub answer: Option<u64>,
}

/// The operations on all registers.
#[derive(Default)]
pub struct Registers {
    tick: u64,
    by_name: BTreeMap<String, Vec<Operation>>,
}

/// Operations on one register that are looked at: as many as a set of them has bits.
pub const OPERATIONS_MAX: usize = 128;

impl Registers {
    /// An operation begins; its number. `None` when this register has enough.
    pub fn begin(&mut self, name: &str, act: Act) -> Option<usize> {
        self.tick += 1;
        let operations = self.by_name.entry(name.to_owned()).or_default();
        if operations.len() >= OPERATIONS_MAX {
            return None;
        }
        operations.push(Operation { act, call: self.tick, answer: None });
        Some(operations.len() - 1)
    }

    /// It is answered, a read with its value.
    pub fn end(&mut self, name: &str, number: usize, read: Option<u64>) {
        self.tick += 1;
        let Some(operation) = self.by_name.get_mut(name).and_then(|o| o.get_mut(number)) else { return };
        operation.answer = Some(self.tick);
        if let Act::Read(value) = &mut operation.act {
            *value = read;
        }
    }

    /// It has certainly not happened.
    pub fn refused(&mut self, name: &str, number: usize) {
        // A read of nothing explains nothing: as if it had never been.
        if let Some(operation) = self.by_name.get_mut(name).and_then(|o| o.get_mut(number)) {
            operation.act = Act::Read(None);
        }
    }

    /// What no order explains.
    pub fn check(&self) -> Vec<String> {
        let broken = self.by_name.iter().filter(|(_, operations)| !linearizable(operations));
        broken.map(|(name, operations)| format!("register {name} is not linearizable: {operations:?}")).collect()
    }
}

/// Whether an order explains the operations; the register holds 0 at first.
pub fn linearizable(operations: &[Operation]) -> bool {
    let known = |o: &&Operation| o.act != Act::Read(None) && (o.answer.is_some() || !matches!(o.act, Act::Read(_)));
    let operations = observed(operations.iter().filter(known).copied().collect());
    let must: u128 = operations.iter().enumerate().filter(|(_, o)| o.answer.is_some()).map(|(at, _)| 1 << at).sum();
    let mut tried = BTreeSet::new();
    let mut open = vec![(0_u128, 0_u64)];
    while let Some((done, value)) = open.pop() {
        if done & must == must {
            return true;
        }
        if !tried.insert((done, value)) {
            continue;
        }
        let left = || operations.iter().enumerate().filter(move |(at, _)| done >> at & 1 == 0);
        // Nothing takes effect after something that was called only after its own answer.
        let soonest = left().filter_map(|(_, o)| o.answer).min().unwrap_or(u64::MAX);
        for (at, operation) in left().filter(|(_, o)| o.call < soonest) {
            let after = match operation.act {
                Act::Write(new) => Some(new),
                Act::Read(seen) => (seen == Some(value)).then_some(value),
                Act::Swap(old, new) => (old == value).then_some(new),
            };
            open.extend(after.map(|after| (done | 1 << at, after)));
        }
    }
    false
}

/// Without the writes of unknown outcome whose value nobody saw: what nobody saw explains nothing, as no value is
/// written twice.
fn observed(mut operations: Vec<Operation>) -> Vec<Operation> {
    loop {
        let needed = |operation: &Operation| match operation.act {
            Act::Read(seen) => seen,
            Act::Swap(old, _) => Some(old),
            Act::Write(_) => None,
        };
        let seen: BTreeSet<u64> = operations.iter().filter_map(needed).collect();
        let before = operations.len();
        operations.retain(|operation| match operation.act {
            Act::Write(new) | Act::Swap(_, new) => operation.answer.is_some() || seen.contains(&new),
            Act::Read(_) => true,
        });
        if operations.len() == before {
            return operations;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(act: Act, call: u64, answer: u64) -> Operation {
        Operation { act, call, answer: Some(answer) }
    }

    #[test]
    fn what_an_order_explains_is_accepted() {
        let lost = Operation { act: Act::Write(3), call: 1, answer: None };
        for history in [
            vec![op(Act::Write(1), 1, 4), op(Act::Read(Some(0)), 2, 3), op(Act::Read(Some(1)), 5, 6)],
            vec![op(Act::Write(1), 1, 4), op(Act::Read(Some(1)), 2, 3)],
            vec![op(Act::Read(Some(0)), 2, 3), lost, op(Act::Read(Some(3)), 5, 6)],
            vec![op(Act::Write(1), 1, 2), op(Act::Swap(1, 2), 3, 4), op(Act::Read(Some(2)), 5, 6)],
        ] {
            assert!(linearizable(&history), "{history:?}");
        }
    }

    #[test]
    fn stale_reads_and_lost_writes_are_found() {
        for history in [
            vec![op(Act::Write(1), 1, 2), op(Act::Read(Some(0)), 3, 4)],
            vec![op(Act::Write(1), 1, 6), op(Act::Read(Some(1)), 2, 3), op(Act::Read(Some(0)), 4, 5)],
            vec![op(Act::Write(1), 1, 2), op(Act::Swap(1, 2), 3, 4), op(Act::Swap(1, 3), 5, 6)],
            vec![op(Act::Read(Some(7)), 1, 2)],
        ] {
            assert!(!linearizable(&history), "{history:?}");
        }
    }
}
