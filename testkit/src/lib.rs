//! Machines for tests: a network namespace with a data directory, a gantry on it, and the clients of a user.
//!
//! Invariants: everything runs in namespaces that the test made; whatever a machine started it ends, by pid, when
//! it is dropped, also when the test fails; waiting is for conditions, with a bound.

mod alone;
pub mod api;
mod caller;
pub mod differential;
mod etcd;
mod gantry;
pub mod history;
mod hollow;
mod load;
mod machine;
mod network;
mod servers;
mod site;
mod small_disk;

use std::time::{Duration, Instant};

pub use alone::{Alone, Start, failpoints, failpoints_binary, was_killed};
pub use api::{Api, NoAnswer};
pub use caller::{Answer, Caller};
pub use etcd::{Certificates, EtcdCluster, Place, why_no_etcd};
pub use gantry::Gantry;
pub use hollow::hollow_node;
pub use load::{Load, LoadReport, fetch};
pub use machine::{Machine, Output};
pub use network::Network;
pub use servers::{Agent, Servers};
pub use site::{Member, Site};
pub use small_disk::{SmallDisk, may_mount};

/// What a condition is given at the most.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `condition` holds, and panics with its last word when it does not within `patience`. Returns how
/// long it took.
pub fn wait_for(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<(), String>) -> Duration {
    let start = Instant::now();
    loop {
        match condition() {
            Ok(()) => return start.elapsed(),
            Err(last) if start.elapsed() > patience => panic!("{what}: not within {patience:?}; last: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// Why tests with real containers cannot run here; `None` when they can.
pub fn why_not() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("they need root".to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = ["containerd", "runc", "nft", "ip", "nsenter", "kubectl"]
        .into_iter()
        .find(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    missing.map(|program| format!("{program} is not installed"))
}

/// Ends a test that cannot run here, visibly.
#[macro_export]
macro_rules! needs_containers {
    () => {
        if let Some(why) = $crate::why_not() {
            eprintln!("SKIPPED {}: {why}", module_path!());
            return;
        }
    };
}
