//! The long-running commands: `up`, `server`, `agent`. Wiring only; what the parts do is theirs.

mod access;
mod admission;
mod agent;
mod audit;
mod bootstrap;
mod encryption;
mod format;
mod host;
mod operations;
mod presence;
mod server;
mod steps;
mod storage;

use std::net::IpAddr;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli;
use crate::paths::Paths;
use crate::process;
use crate::profile::{self, Profile};
use steps::Steps;

pub use format::refuse_other_formats;
pub use host::missing_packages;
pub use operations::{CLUSTER_KEY, files as backup_files, source as backup_source};
pub use storage::Storage;

/// Server and agent in one process.
pub async fn up(flags: cli::Up) -> Result<()> {
    let steps = Steps::start();
    host::check()?;
    let paths = Paths::new(&flags.data.data_dir)?;
    refuse_other_formats(&paths)?;
    let _held = process::hold(&paths)?;
    let host = host::Host::find(flags.agent.node_name.as_deref())?.advertised_as(flags.server.advertise_address);
    let defaults = told(flags.defaults.profile);
    let stop = until_told();
    let Some(mut server) = unless(&stop, server::start(&paths, (&flags.server, defaults), &host, &steps)).await? else {
        return Ok(());
    };
    let agent = agent::start(&paths, (&flags.agent, defaults), (&paths.node_kubeconfig(), &[]), &host, &stop)?;
    let (ready, mut agent) = (agent.ready(), agent.task);
    let ready = async {
        ready.await;
        server::node_ready(&server, &host.name).await
    };
    let ended = tokio::select! {
        ready = ready => {
            ready?;
            steps.done(&format!("node {} is Ready", host.name));
            server.announce(&steps);
            tokio::select! {
                ended = &mut agent => ended.context("the agent")?,
                ended = server.ended() => ended,
                () = stop.cancelled() => Ok(()),
            }
        }
        ended = &mut agent => ended.context("the agent")?,
        () = stop.cancelled() => Ok(()),
    };
    stop.cancel();
    println!("ending; containers go on running (gantry up takes them over again, gantry down stops them)");
    server.shutdown().await;
    if !agent.is_finished() {
        // An agent that does not end in time is cut off: it survives kill -9 as well.
        let _ = tokio::time::timeout(steps::END_WAIT, agent).await;
    }
    ended
}

/// The server half.
pub async fn server(flags: cli::Server) -> Result<()> {
    let steps = Steps::start();
    let paths = Paths::new(&flags.data.data_dir)?;
    refuse_other_formats(&paths)?;
    let _held = process::hold(&paths)?;
    let host = host::Host::find(flags.node_name.as_deref())?.advertised_as(flags.server.advertise_address);
    let defaults = told(flags.defaults.profile);
    let stop = until_told();
    let Some(mut server) = unless(&stop, server::start(&paths, (&flags.server, defaults), &host, &steps)).await? else {
        return Ok(());
    };
    println!("run the agent with:  gantry agent --kubeconfig {}", paths.node_kubeconfig().display());
    server.announce(&steps);
    server.announce_growth(&flags.server);
    let ended = tokio::select! {
        ended = server.ended() => ended,
        () = stop.cancelled() => Ok(()),
    };
    server.shutdown().await;
    ended
}

/// The agent half.
pub async fn agent(flags: cli::Agent) -> Result<()> {
    let steps = Steps::start();
    host::check()?;
    let paths = Paths::new(&flags.data.data_dir)?;
    let kubeconfig = flags.kubeconfig.clone().unwrap_or_else(|| paths.node_kubeconfig());
    // The server of the same data directory holds the lock of its own.
    let agent_paths = Paths::new(&paths.agent())?;
    let _held = process::hold(&agent_paths)?;
    let host = host::Host::find(flags.agent.node_name.as_deref())?;
    let defaults = told(flags.defaults.profile);
    let stop = until_told();
    let agent = agent::start(&paths, (&flags.agent, defaults), (&kubeconfig, &flags.servers), &host, &stop)?;
    steps.done(&format!("agent of node {} runs", host.name));
    let ended = tokio::select! {
        ended = agent.task => ended.context("the agent")?,
        () = stop.cancelled() => Ok(()),
    };
    stop.cancel();
    ended
}

/// The defaults of the profile; each is told to who wants to hear what is going on.
fn told(profile: Profile) -> &'static profile::Settings {
    let settings = profile.settings();
    for (setting, value) in settings.rows() {
        tracing::info!(setting, value, "the profile's default");
    }
    settings
}

/// A token that is cancelled by SIGTERM or SIGINT.
fn until_told() -> CancellationToken {
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        told.cancel();
    });
    token
}

/// What `work` comes to; `None` when `stop` is cancelled before.
async fn unless<T>(stop: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
    tokio::select! {
        done = work => done.map(Some),
        () = stop.cancelled() => Ok(None),
    }
}

/// How an address stands in a URL.
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
