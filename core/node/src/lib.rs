//! What a node does for a pod: `step` says which actions come next, `status` what the API is told, and the plans say
//! what sandboxes, containers, volumes, environments and cgroups are made of.
//!
//! Invariants: nothing here acts or waits; an action is asked for once and not again until its outcome is known;
//! what runs is never restarted because memory was lost; a pod that ends has no container left that runs.

pub mod action;
pub mod backoff;
pub mod certificates;
pub mod cgroup;
pub mod container;
pub mod downward;
pub mod env;
pub mod fence;
pub mod image;
pub mod memory;
pub mod mount;
pub mod observed;
pub mod pod;
pub mod probe;
pub mod qos;
pub mod sandbox;
pub mod security;
pub mod service_env;
pub mod sources;
mod status;
mod step;
pub mod trust;
pub mod volume;

pub use action::{Action, Done, Failure, Notice};
pub use memory::Memory;
pub use observed::{Container, Exit, Observed, Sandbox, State};
pub use sources::{NodeFacts, Sources};
pub use status::status;
pub use step::{Step, step};
