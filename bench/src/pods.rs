//! A pod's way from POST to Running, as a watch sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use gantry_client::{Client, Event};
use serde_json::{Value, json};

use crate::Pods;
use crate::samples::Samples;

const PODS: &str = "/api/v1/namespaces/default/pods";
/// How long a pod may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// One round on one cluster: pods one after the other, then a burst; all are removed again.
pub async fn measure(client: &Client, pods: &Pods, round: usize, row: &mut (&str, Samples, Samples)) -> Result<()> {
    for number in 0..pods.serial {
        row.1.push(start_one(client, &format!("one-{round}-{number}")).await?);
    }
    let names: Vec<_> = (0..pods.burst).map(|n| format!("many-{round}-{n}")).collect();
    let elapsed = start_all(client, &names).await?;
    row.2.push(pods.burst as f64 / elapsed.as_secs_f64());
    remove_all(client).await
}

/// Milliseconds from POST to Running of one pod.
pub async fn start_one(client: &Client, name: &str) -> Result<f64> {
    let elapsed = start_all(client, &[name.to_owned()]).await?;
    Ok(elapsed.as_secs_f64() * 1000.0)
}

async fn start_all(client: &Client, names: &[String]) -> Result<Duration> {
    let mut watch = client.watch(PODS, "labelSelector=bench=pods");
    // The watch is open once it has said what there is.
    watch.next().await;
    let start = Instant::now();
    try_join_all(names.iter().map(|name| async move { client.create(PODS, &pod(name)).await }))
        .await
        .context("creating pods")?;
    let mut waiting: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    while !waiting.is_empty() {
        let event = tokio::time::timeout(PATIENCE, watch.next()).await.context("waiting for pods")?;
        let seen = match event {
            Event::Applied(pod) => vec![pod],
            Event::Restarted(pods) => pods,
            Event::Deleted(pod) => bail!("{} is gone", pod["metadata"]["name"]),
        };
        for pod in seen.iter().filter(|pod| is_running(pod)) {
            waiting.remove(pod["metadata"]["name"].as_str().unwrap_or_default());
        }
    }
    Ok(start.elapsed())
}

async fn remove_all(client: &Client) -> Result<()> {
    client.delete(&format!("{PODS}?labelSelector=bench=pods"), None).await.context("removing pods")?;
    let mut watch = client.watch(PODS, "labelSelector=bench=pods");
    let mut left = usize::MAX;
    while left > 0 {
        left = match tokio::time::timeout(PATIENCE, watch.next()).await.context("waiting for the pods to go")? {
            Event::Restarted(pods) => pods.len(),
            Event::Deleted(_) => left - 1,
            Event::Applied(_) => left,
        };
    }
    Ok(())
}

fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && pod["status"]["containerStatuses"][0]["state"]["running"].is_object()
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"bench": "pods"}},
        "spec": {
            // Without any grace the object is gone before its containers are, and their end would disturb what
            // is measured next.
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "web", "image": "gantry.local/web:1", "imagePullPolicy": "Never",
                "command": ["/bin/sleep", "3600"]}],
        },
    })
}
