//! The node's half of the cluster: it drives `gantry_node` and `gantry_net` on this machine.
//!
//! Invariants: this process owns nothing that runs — containers, containerd and the network table outlive it and are
//! found again; everything it keeps is below its own directory; it listens on no port but dials out to the servers;
//! while none of them answers, what it was told last holds.

mod archive;
mod cgroups;
mod checkpoint;
mod cni;
mod config;
mod contact;
mod containerd;
mod error;
mod events;
mod failpoints;
mod feed;
pub mod images;
mod limits;
pub mod local;
mod logs;
pub mod net;
mod node;
mod paths;
mod pods;
mod probes;
mod run;
mod runtime;
mod servers;
mod sources;
mod sweep;
mod teardown;
mod tunnel;
mod volumes;

pub use config::{Config, Progress, Step};
pub use error::AgentError;
#[cfg(feature = "failpoints")]
pub use failpoints::FAILPOINTS;
pub use run::run;
pub use teardown::teardown;

/// The socket of the private containerd below the agent's directory.
pub fn socket(data_dir: &std::path::Path) -> std::path::PathBuf {
    paths::Paths::new(data_dir).socket()
}
