//! Finds nodes for pods: filters rule nodes out, scores choose among the rest, and a pod that fits nowhere is told
//! why on every node.
//!
//! Invariants: pods placed in a turn count at once, so that no turn puts more on a node than it has; the same
//! changes and seed give the same binds; a pod that waits is tried again after a growing pause, and at once when
//! something changes that may help it.

mod cycle;
mod diagnosis;
mod filters;
mod node;
mod node_terms;
mod pod;
mod pod_terms;
mod queue;
mod resources;
mod scheduler;
mod scores;
mod state;
mod tally;

pub use pod::SCHEDULER_NAME;
pub use scheduler::{Scheduler, Start};

#[cfg(test)]
mod tests;
