//! Many watches of one collection, and what a change costs when all are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gantry_client::PatchKind;
use serde_json::json;
use tokio::task::JoinSet;

use super::side::Side;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Connections that carry the watches.
const CONNECTIONS: usize = 20;
/// How long the last of them may wait for the last change.
const PATIENCE: Duration = Duration::from_secs(120);
/// Rest before memory is read.
const REST: Duration = Duration::from_secs(2);

pub(super) async fn one_round(side: &mut Side, watches: usize, changes: usize) -> Result<()> {
    let clients = side.connect(CONNECTIONS).await?;
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "told"}, "data": {"x": "y".repeat(500)}});
    let made = side.client().create(MAPS, &map).await.context("creating what is watched")?;
    let revision = made["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let before = side.rss_mb()?;
    let told = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for number in 0..watches {
        let client = clients[number % CONNECTIONS].clone();
        let path = format!("{MAPS}?watch=true&fieldSelector=metadata.name%3Dtold&resourceVersion={revision}");
        let mut body = client.stream(&path).await.context("opening a watch")?;
        let told = told.clone();
        readers.spawn(async move {
            while let Ok(Some(piece)) = body.next().await {
                told.fetch_add(piece.iter().filter(|byte| **byte == b'\n').count(), Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(REST).await;
    side.push("a watch, memory", "KiB", (side.rss_mb()? - before) * 1e6 / 1024.0 / watches as f64);
    let cpu = side.cpu_seconds()?;
    let start = Instant::now();
    for number in 0..changes {
        let patch = json!({"data": {"number": number.to_string()}});
        side.client().patch(&format!("{MAPS}/told"), PatchKind::Merge, &patch).await?;
    }
    while told.load(Ordering::Relaxed) < watches * changes {
        if start.elapsed() > PATIENCE {
            bail!("{} of {} events came", told.load(Ordering::Relaxed), watches * changes);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let events = (watches * changes) as f64;
    side.push("events to watches", "/s", events / start.elapsed().as_secs_f64());
    let used = side.cpu_seconds()? - cpu;
    side.push("events to watches, a processor", "/s", events / used.max(0.01));
    readers.shutdown().await;
    side.client().delete(&format!("{MAPS}/told"), None).await?;
    Ok(())
}
