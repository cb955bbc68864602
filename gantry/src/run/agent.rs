//! Wires the agent half.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use gantry_agent::Step;
use gantry_client::{Client, Kubeconfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::host::Host;
use crate::cli::AgentFlags;
use crate::paths::Paths;
use crate::profile;

/// The pause program, built beside this binary.
const PAUSE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/pause"));

/// Starts the agent; it ends when `stop` is cancelled.
pub fn start(
    paths: &Paths,
    (flags, defaults): (&AgentFlags, &profile::Settings),
    (kubeconfig, servers): (&Path, &[String]),
    host: &Host,
    stop: &CancellationToken,
) -> Result<Running> {
    let client =
        client(kubeconfig, servers, &host.name).with_context(|| format!("reading {}", kubeconfig.display()))?;
    let mut config = gantry_agent::Config::new(host.name.clone(), paths.agent(), client, Bytes::from_static(PAUSE));
    config.node_ip = Some(host.address);
    config.containerd_socket.clone_from(&flags.containerd_socket);
    config.registry_config_dir.clone_from(&flags.registry_config);
    config.seccomp_default = flags.seccomp_default.unwrap_or(defaults.seccomp_default);
    config.pod_pid_limit = match flags.pod_max_pids {
        Some(count) => u32::try_from(count).ok(),
        None => defaults.pod_pid_limit,
    };
    let (told, ready) = watch::channel(false);
    config.progress = Arc::new(move |step| {
        if step == Step::Ready {
            told.send_replace(true);
        }
    });
    let stop = stop.clone();
    let task = tokio::spawn(async move { gantry_agent::run(config, stop).await.context("running the node") });
    Ok(Running { task, ready })
}

/// A running agent.
pub struct Running {
    /// Ends with the agent.
    pub task: JoinHandle<Result<()>>,
    ready: watch::Receiver<bool>,
}

impl Running {
    /// Waits until this agent has told a server that its node is ready; what an earlier one has told does not count.
    pub fn ready(&self) -> impl Future<Output = ()> + use<> {
        let mut told = self.ready.clone();
        async move {
            // An agent that ends without it is told of by its task.
            if told.wait_for(|ready| *ready).await.is_err() {
                std::future::pending().await
            }
        }
    }
}

/// A client of the server in the kubeconfig and of these others.
fn client(kubeconfig: &Path, servers: &[String], node: &str) -> Result<Client> {
    let endpoint = Kubeconfig::load(kubeconfig)?.endpoint(None)?;
    let given = std::iter::once(endpoint.server.clone()).chain(servers.iter().cloned()).collect();
    Ok(Client::of_servers(node, endpoint, given)?)
}
