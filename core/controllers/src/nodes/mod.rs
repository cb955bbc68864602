//! Nodes: whether they are heard of, what may run on them, and which addresses their pods have.
//!
//! Invariants: a node is judged only by how long this process has not heard of it, never by its clock, and never for
//! a time in which this process did not run; no pod is evicted while all nodes are silent, because then it is us who
//! cannot hear.

mod addresses;
mod eviction;
mod health;
mod release;
mod taints;

use serde_json::Value;

use crate::conditions;

pub(crate) use self::addresses::Addresses;
pub(crate) use self::eviction::Eviction;
pub(crate) use self::health::Health;
pub(crate) use self::taints::Taints;

/// The service account of all that is about nodes.
const ACCOUNT: &str = "node-controller";

/// The status of a condition; empty where it was never said.
fn condition_status<'a>(node: &'a Value, kind: &str) -> &'a str {
    conditions::find(node, kind).and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
