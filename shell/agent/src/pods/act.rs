//! Carrying out what a step asks for.

use std::fs;
use std::path::Path;

use gantry_node::{Action, Done, Failure, Notice, cgroup, pod, sandbox, volume};
use jiff::Timestamp;
use tokio::time::Instant;

use super::launch;
use super::worker::{Finished, News, Scene};
use crate::error::AgentError;
use crate::failpoints::failpoint;
use crate::probes::Target;
use crate::volumes;

impl Scene {
    /// Carries out one action.
    pub(super) async fn act(self, action: Action) -> Finished {
        let mut news = Vec::new();
        let begun = Instant::now();
        failpoint!("agent::before_action");
        let result = match &action {
            Action::CreateSandbox { attempt } => self.create_sandbox(*attempt, &mut news).await,
            Action::StopSandbox { id } => self.stop_sandbox(id, &mut news).await,
            Action::PrepareVolumes => self.prepare_volumes().await,
            Action::EnsureImage { container } => self.ensure_image(container).await,
            Action::StartContainer { container, attempt, sandbox } => {
                self.start_container(container, *attempt, sandbox, &mut news).await
            }
            Action::PostStart { container, id } => self.post_start(container, id).await,
            Action::StopContainer { container, id, grace, hook, .. } => {
                self.stop_container(container, id, *grace, *hook, &mut news).await
            }
            Action::RemoveContainer { id } => {
                let removed = self.shared.runtime.cri.remove_container(id).await;
                news.extend(removed.is_ok().then(|| News::NoContainer(id.clone())));
                removed.map_err(|error| Failure::new("RemoveContainerError", error.to_string()))
            }
            Action::Probe { container, id, kind } => {
                let done = self.probe(container, id, *kind).await;
                return Finished { action: Some((action, done)), news };
            }
            Action::Release => self.release().await,
            Action::Discard => self.discard().await,
            Action::Finish | Action::Notify(_) => Ok(()),
        };
        let took = begun.elapsed();
        failpoint!("agent::after_action");
        tracing::debug!(pod = pod::name(&self.pod), ?action, ?took, failure = ?result.as_ref().err(), "done");
        let done = result.map_or_else(Done::Failed, |()| Done::Well);
        Finished { action: Some((action, done)), news }
    }

    pub(super) fn notify(&self, notice: Notice) {
        self.shared.events.pod(&self.pod, &notice);
    }

    async fn create_sandbox(&self, attempt: u32, news: &mut Vec<News>) -> Result<(), Failure> {
        let node = self.shared.node.borrow().clone();
        let plan = sandbox::plan(&self.pod, attempt, &node)?;
        let refuse = |error: &dyn std::fmt::Display| {
            Failure::new("CreatePodSandboxError", format!("Failed to create pod sandbox: {error}"))
        };
        self.network().await?;
        let uid = pod::uid(&self.pod);
        let made = || -> Result<(), AgentError> {
            for folder in [&self.shared.paths.pod(uid), Path::new(&plan.log_folder)] {
                fs::create_dir_all(folder).map_err(AgentError::at("create", folder))?;
            }
            self.shared.cgroups.ensure(&plan.cgroup, &cgroup::of_pod(&self.pod, node.pod_pid_limit))
        };
        made().map_err(|error| refuse(&error))?;
        let permit = self.shared.starts.acquire().await;
        let runtime = &self.shared.runtime;
        let created = runtime.cri.run_sandbox(launch::sandbox_config(&self.pod, &plan), "").await;
        drop(permit);
        let id = match created {
            Ok(id) => id,
            Err(error) => {
                // What was half made is seen, so that the next step takes it away.
                news.extend(self.all().await);
                return Err(refuse(&error));
            }
        };
        failpoint!("agent::sandbox_after_create");
        runtime.own(&id, uid);
        let found = runtime.sandbox(&id).await.map_err(|error| refuse(&error))?;
        if let Some(found) = found {
            let host = fs::read_to_string("/etc/hosts").unwrap_or_default();
            let text = sandbox::hosts_file(&self.pod, &found.ips, &node.cluster_domain, &host);
            fs::write(self.shared.paths.hosts(uid), text).map_err(|error| refuse(&error))?;
            news.push(News::Sandbox(found));
        }
        Ok(())
    }

    /// Waits until pods can have addresses, if this one needs one.
    async fn network(&self) -> Result<(), Failure> {
        if !pod::host_network(&self.pod) {
            let mut ready = self.shared.network_ready.clone();
            let _ = ready.wait_for(|ready| *ready).await;
        }
        Ok(())
    }

    async fn prepare_volumes(&self) -> Result<(), Failure> {
        let refuse = |volume: &str, why: &str| {
            Failure::new("FailedMount", format!("MountVolume.SetUp failed for volume {volume:?} : {why}"))
        };
        let wanted = pod::spec(&self.pod).volumes.as_deref().unwrap_or_default();
        let first = wanted.first().map(|volume| volume.name.as_str()).unwrap_or_default();
        let mut sources = self.sources().await.map_err(|why| refuse(first, &why))?;
        sources.certificates = self.certificates().await.map_err(|(volume, why)| refuse(&volume, &why))?;
        let node = self.shared.node.borrow().clone();
        let group = volume::fs_group(&self.pod);
        for wanted in wanted {
            let plan =
                volume::plan(&self.pod, wanted, &[], &sources, &node).map_err(|why| refuse(&wanted.name, &why))?;
            let folder = self.shared.paths.volume(pod::uid(&self.pod), &wanted.name);
            let prepared = tokio::task::spawn_blocking(move || volumes::prepare(&folder, &plan, group)).await;
            match prepared {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(refuse(&wanted.name, &error.to_string())),
                Err(error) => return Err(refuse(&wanted.name, &error.to_string())),
            }
        }
        Ok(())
    }

    /// What the pod is made from, with tokens that are fresh enough.
    pub(super) async fn sources(&self) -> Result<gantry_node::Sources, String> {
        let now = Timestamp::now();
        for request in gantry_node::sources::token_requests(&self.pod) {
            let key = (request.volume.clone(), request.path.clone());
            let fresh = self.tokens.lock().get(&key).is_some_and(|(_, renew)| *renew > now);
            if !fresh {
                let token = self.shared.sources.token(&self.pod, &request).await;
                let token = token.map_err(|error| format!("failed to fetch token: {error}"))?;
                self.tokens.lock().insert(key, token);
            }
        }
        let tokens = self.tokens.lock().iter().map(|(key, (token, _))| (key.clone(), token.clone())).collect();
        self.shared.sources.gather(&self.pod, &self.followed, tokens).await
    }

    pub(super) fn target(&self, container: &str, id: &str) -> Option<Target> {
        let (_, spec) = pod::container(&self.pod, container)?;
        let own = self.observed.ready_sandbox().and_then(|sandbox| sandbox.ips.first().cloned());
        let ip = own.or_else(|| self.shared.node.borrow().ips.first().cloned());
        Some(Target {
            runtime: self.shared.runtime.cri.clone(),
            id: id.to_owned(),
            ip: ip.unwrap_or_else(|| "127.0.0.1".to_owned()),
            container: spec.clone(),
        })
    }

    async fn probe(&self, container: &str, id: &str, kind: gantry_node::probe::Kind) -> Done {
        match self.target(container, id) {
            Some(target) => Done::Probed(target.probe(kind).await),
            None => Done::Well,
        }
    }

    async fn post_start(&self, container: &str, id: &str) -> Result<(), Failure> {
        let Some(target) = self.target(container, id) else { return Ok(()) };
        let lifecycle = target.container.lifecycle.clone().unwrap_or_default();
        let Some(handler) = lifecycle.post_start else { return Ok(()) };
        target.hook(&handler).await.map_err(|why| {
            tracing::debug!(container, why, "a postStart hook has failed");
            Failure::new("PostStartHookError", "PostStartHook failed")
        })
    }
}
