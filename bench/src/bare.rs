//! The same pods by bare CRI calls: the least that any control plane can take.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use gantry_cri::Runtime;
use gantry_cri::message::{
    ContainerConfig, ContainerMetadata, ImageSpec, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata,
};

use crate::Pods;
use crate::samples::Samples;

/// Pods that are started at the same time in a burst.
const AT_ONCE: usize = 8;

/// One round: pods one after the other, then a burst; all are removed again.
pub async fn measure(socket: &Path, pods: &Pods, round: usize, row: &mut (&str, Samples, Samples)) -> Result<()> {
    let runtime = Runtime::new(socket);
    let mut sandboxes = Vec::new();
    for number in 0..pods.serial {
        let start = Instant::now();
        sandboxes.push(start_pod(&runtime, &format!("bare-one-{round}-{number}")).await?);
        row.1.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let start = Instant::now();
    let runtime = &runtime;
    let burst: Vec<String> = stream::iter(0..pods.burst)
        .map(|number| async move { start_pod(runtime, &format!("bare-many-{round}-{number}")).await })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    row.2.push(pods.burst as f64 / start.elapsed().as_secs_f64());
    for id in sandboxes.iter().chain(&burst) {
        runtime.stop_sandbox(id).await.context("stopping a sandbox")?;
        runtime.remove_sandbox(id).await.context("removing a sandbox")?;
    }
    Ok(())
}

async fn start_pod(runtime: &Runtime, name: &str) -> Result<String> {
    let sandbox = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: name.to_owned(),
            uid: name.to_owned(),
            namespace: "bench".to_owned(),
            attempt: 0,
        }),
        hostname: name.to_owned(),
        linux: Some(LinuxPodSandboxConfig { cgroup_parent: "/gantry/bench".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let id = runtime.run_sandbox(sandbox.clone(), "").await.context("running a sandbox")?;
    let container = ContainerConfig {
        metadata: Some(ContainerMetadata { name: "web".to_owned(), attempt: 0 }),
        image: Some(ImageSpec { image: "gantry.local/web:1".to_owned(), ..Default::default() }),
        command: vec!["/bin/sleep".to_owned(), "3600".to_owned()],
        ..Default::default()
    };
    let container = runtime.create_container(&id, container, sandbox).await.context("creating a container")?;
    runtime.start_container(&container).await.context("starting a container")?;
    Ok(id)
}
