//! The private containerd: started when there is none, found again when there is one, started anew when it dies.
//!
//! Invariants: it runs in a session of its own, so that it outlives this process; one that answers on our socket is
//! never replaced.

mod process;
mod settings;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gantry_cri::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::AgentError;
use crate::limits::{CONTAINERD_ASK, CONTAINERD_GONE, CONTAINERD_LOOK, CONTAINERD_START};
use crate::paths::Paths;

pub(crate) use process::{find, stop};
pub(crate) use settings::PAUSE_IMAGE;

/// Starts or finds the private containerd and waits until it answers.
pub(crate) async fn ensure(paths: &Paths, registry_config: &Path) -> Result<(), AgentError> {
    for folder in [paths.containerd(), paths.cni_conf(), paths.cni_state()] {
        std::fs::create_dir_all(&folder).map_err(AgentError::at("create", &folder))?;
    }
    settings::write(paths, registry_config)?;
    ensure_as_it_was(paths).await
}

/// Starts the private containerd with the configuration that it had, unless it runs, and waits until it answers.
pub(crate) async fn ensure_as_it_was(paths: &Paths) -> Result<(), AgentError> {
    if find(paths).is_none() {
        process::spawn(paths)?;
    }
    wait(paths).await
}

async fn wait(paths: &Paths) -> Result<(), AgentError> {
    let runtime = Runtime::new(&paths.socket());
    let begun = Instant::now();
    let mut seen = Instant::now();
    loop {
        let answer = runtime.version().await;
        // A process that is just becoming another program has no command line for a moment.
        if find(paths).is_some() {
            seen = Instant::now();
        }
        match answer {
            Ok(_) => return Ok(()),
            Err(_) if seen.elapsed() > CONTAINERD_GONE => {
                return Err(AgentError::Program { program: "containerd", cause: process::last_words(paths) });
            }
            Err(error) if begun.elapsed() > CONTAINERD_START => return Err(error.into()),
            Err(_) => tokio::time::sleep(CONTAINERD_ASK).await,
        }
    }
}

/// Looks after the private containerd until `shutdown`: at once when it is suspected, and now and then.
pub(crate) fn supervise(
    paths: Paths,
    registry_config: std::path::PathBuf,
    suspect: Arc<Notify>,
    shutdown: CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = suspect.notified() => {}
                () = tokio::time::sleep(CONTAINERD_LOOK) => {}
            }
            process::reap(&paths);
            if find(&paths).is_some() {
                continue;
            }
            tracing::warn!("containerd has gone; starting it again");
            if let Err(error) = ensure(&paths, &registry_config).await {
                tracing::error!(%error, "containerd does not start");
                tokio::time::sleep(CONTAINERD_LOOK).await;
            }
        }
    })
}

#[cfg(test)]
mod tests;
