//! A node: a machine on which containers really run, and an agent who runs them as the API says.
//!
//! The agent is a client as any other. What the machine does is the truth that identities and addresses are
//! checked against.

mod lease;
mod machine;
mod pod;
mod process;
mod source;

pub use machine::{Container, Machine, Machines, Power};
pub use process::{Context, keep};
