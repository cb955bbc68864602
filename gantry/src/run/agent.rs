//! Wires the agent half.

use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use gantry_client::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::host::Host;
use crate::cli::AgentFlags;
use crate::paths::Paths;

/// The pause program, built beside this binary.
const PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Starts the agent; it ends when `stop` is cancelled.
pub fn start(
    paths: &Paths,
    flags: &AgentFlags,
    kubeconfig: &Path,
    host: &Host,
    stop: &CancellationToken,
) -> Result<JoinHandle<Result<()>>> {
    let client =
        Client::from_kubeconfig(kubeconfig, None).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let mut config = gantry_agent::Config::new(host.name.clone(), paths.agent(), client, Bytes::from_static(PAUSE));
    config.node_ip = Some(host.address);
    config.containerd_socket.clone_from(&flags.containerd_socket);
    config.registry_config_dir.clone_from(&flags.registry_config);
    let stop = stop.clone();
    Ok(tokio::spawn(async move { gantry_agent::run(config, stop).await.context("running the node") }))
}
