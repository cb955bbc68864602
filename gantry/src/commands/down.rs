//! `gantry down`: ends the cluster on this machine.

use anyhow::{Context, Result};

use crate::cli::Down;
use crate::kubeconfig;
use crate::paths::Paths;
use crate::process::Running;

/// Where the node keeps its cgroups, in every hierarchy.
const CGROUP_ROOT: &str = "/gantry";

/// Ends the process, then its pods, containerd and network; with `--wipe` the data too. May be repeated.
pub fn down(flags: &Down) -> Result<u8> {
    let paths = Paths::new(&flags.data.data_dir)?;
    if !paths.root().exists() {
        println!("there is nothing in {}", paths.root().display());
        return Ok(0);
    }
    // An agent of its own holds the node's directory, everything else the whole.
    for held in [Paths::new(&paths.agent())?, paths.clone()] {
        if let Some(running) = Running::find(&held)? {
            println!("ending gantry (pid {})", running.pid);
            running.end(&held)?;
        }
    }
    // Nobody may start here while things are taken apart.
    let _held = crate::process::hold(&paths)?;
    println!("stopping pods and containerd");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(gantry_agent::teardown(&paths.agent(), CGROUP_ROOT)).context("taking the node apart")?;
    if flags.wipe {
        kubeconfig::remove_from_users(&paths)?;
        std::fs::remove_dir_all(paths.root()).with_context(|| format!("removing {}", paths.root().display()))?;
        println!("removed {}", paths.root().display());
    }
    Ok(0)
}
