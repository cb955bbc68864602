//! The whole cluster in one thread: production code of core, cluster and runner on simulated time, with a faulty
//! store, faulty machines, users who work on it, and checkers who look at every step.
//!
//! Invariant: a seed determines everything. Nothing here asks for the time, for chance or for the order of a hash
//! map; every select is biased; every task is of one thread, on a clock that passes only when all tasks wait.

pub mod agent;
pub mod api;
pub mod check;
pub mod clock;
pub mod nemesis;
pub mod net;
pub mod plan;
pub mod rng;
pub mod run;
pub mod seeds;
pub mod server;
pub mod shrink;
pub mod signal;
pub mod store;
pub mod trace;
pub mod workload;
pub mod world;

pub use plan::{Plan, Sabotage};
pub use run::{Report, run};
