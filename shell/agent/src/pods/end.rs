//! Ending containers, sandboxes and what a pod leaves behind.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use gantry_cri::CriError;
use gantry_node::{Failure, Notice, cgroup, pod, sandbox};
use jiff::Timestamp;
use tokio::time::Instant;

use super::worker::{News, Scene};
use crate::error::AgentError;
use crate::limits::SERVED_WAIT;
use crate::volumes;

/// What is left of a grace at least, after a preStop hook.
const LEAST_GRACE: Duration = Duration::from_secs(2);

impl Scene {
    pub(super) async fn stop_sandbox(&self, id: &str, news: &mut Vec<News>) -> Result<(), Failure> {
        let stopped = self.shared.runtime.cri.stop_sandbox(id).await;
        news.extend(self.all().await);
        stopped.map_err(|error| Failure::new("KillPodSandboxError", error.to_string()))
    }

    pub(super) async fn stop_container(
        &self,
        container: &str,
        id: &str,
        grace: Duration,
        hook: bool,
        news: &mut Vec<News>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        if hook && !grace.is_zero() {
            tokio::join!(self.pre_stop(container, id, grace), self.unserved(grace));
        }
        let left =
            if grace.is_zero() { grace } else { grace.saturating_sub(begun.elapsed()).max(LEAST_GRACE.min(grace)) };
        let stopped = self.shared.runtime.cri.stop_container(id, left).await;
        let result = stopped.map_err(|error| Failure::new("KillContainerError", error.to_string()));
        if result.is_ok() {
            news.extend(self.ended(id, 137, Timestamp::now()).await);
        }
        result
    }

    /// Waits until no service sends the pod new connections, if the pod is to end: none shall meet a closed port.
    async fn unserved(&self, grace: Duration) {
        let ips = self.observed.ready_sandbox().map(|sandbox| sandbox.ips.clone()).unwrap_or_default();
        let ips: Vec<Ipv4Addr> = ips.iter().filter_map(|ip| ip.parse().ok()).collect();
        if self.pod.metadata.deletion_timestamp.is_none() {
            return;
        }
        let mut served = self.shared.served.clone();
        let left = served.wait_for(|served| !ips.iter().any(|ip| served.contains(ip)));
        let _ = tokio::time::timeout(SERVED_WAIT.min(grace), left).await;
    }

    async fn pre_stop(&self, container: &str, id: &str, grace: Duration) {
        let Some(target) = self.target(container, id) else { return };
        let lifecycle = target.container.lifecycle.clone().unwrap_or_default();
        let Some(handler) = lifecycle.pre_stop else { return };
        match tokio::time::timeout(grace, target.hook(&handler)).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::debug!(container, why, "a preStop hook has failed");
                self.notify(Notice::warning("FailedPreStopHook", Some(container), "PreStopHook failed"));
            }
            Err(_) => tracing::debug!(container, "a preStop hook has used up all of the grace"),
        }
    }

    /// What is there to see once a container or sandbox has ended.
    pub(super) async fn ended(&self, id: &str, code: i32, at: Timestamp) -> Vec<News> {
        let runtime = &self.shared.runtime;
        if let Some(known) = self.observed.container(id) {
            let ended = runtime.ended(known, code, at).await;
            return ended
                .map(|container| News::Container(Box::new(self.with_message(container))))
                .into_iter()
                .collect();
        }
        let Some(known) = self.observed.sandboxes.iter().find(|sandbox| sandbox.id == id) else {
            return self.all().await;
        };
        let ended = runtime.ended_sandbox(known).await;
        let mut news = self.all().await;
        news.extend(ended.map(News::Sandbox));
        news
    }

    /// All that the runtime says of the pod; nothing where it does not answer.
    pub(super) async fn all(&self) -> Vec<News> {
        let begun = std::time::Instant::now();
        let seen = self.shared.runtime.observe(pod::uid(&self.pod)).await;
        seen.map(|all| News::All(self.with_messages(all), begun)).into_iter().collect()
    }

    pub(super) async fn release(&self) -> Result<(), Failure> {
        let uid = pod::uid(&self.pod);
        let node = self.shared.node.borrow().clone();
        self.shared.cgroups.remove(&cgroup::path(&node.cgroup_root, &self.pod)).await;
        let folder = self.shared.paths.pod(uid);
        // Messages stay with the dead containers that left them.
        let removed = tokio::task::spawn_blocking(move || -> Result<(), AgentError> {
            volumes::unmount_below(&folder);
            for name in ["volumes", "sub-paths"] {
                volumes::remove(&folder.join(name))?;
            }
            Ok(())
        });
        outcome(removed.await)
    }

    pub(super) async fn discard(&self) -> Result<(), Failure> {
        let uid = pod::uid(&self.pod);
        remove_all(&self.shared.runtime.cri, self.observed.sandboxes.iter().map(|sandbox| sandbox.id.as_str()))
            .await
            .map_err(|error| Failure::new("RemovePodSandboxError", error.to_string()))?;
        let node = self.shared.node.borrow().clone();
        self.shared.cgroups.remove(&cgroup::path(&node.cgroup_root, &self.pod)).await;
        let folder = self.shared.paths.pod(uid);
        let logs = sandbox::log_folder(&self.pod, &node.logs);
        let removed = tokio::task::spawn_blocking(move || -> Result<(), AgentError> {
            volumes::remove(&folder)?;
            volumes::remove(Path::new(&logs))
        });
        outcome(removed.await)
    }
}

/// Removes sandboxes and all in them.
pub(crate) async fn remove_all(
    runtime: &gantry_cri::Runtime,
    sandboxes: impl Iterator<Item = &str>,
) -> Result<(), CriError> {
    for id in sandboxes {
        runtime.remove_sandbox(id).await?;
    }
    Ok(())
}

fn outcome(removed: Result<Result<(), AgentError>, tokio::task::JoinError>) -> Result<(), Failure> {
    let why = match removed {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(why, "what a pod leaves behind cannot be removed yet");
    Err(Failure::new("CleanUpError", why))
}
