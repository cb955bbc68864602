//! Objects in numbers, written by several connections at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use gantry_client::Client;
use serde_json::{Value, json};

/// Connections that write at the same time.
pub const CONNECTIONS: usize = 8;
/// Requests under way on each of them.
const STREAMS: usize = 16;

/// Creates `count` objects at `path`, each made of its number; returns once all are acknowledged.
pub async fn create(
    clients: &[Client],
    path: &str,
    count: usize,
    make: impl Fn(usize) -> Value + Send + Sync,
) -> Result<()> {
    let (next, make) = (AtomicUsize::new(0), &make);
    let next = &next;
    let writers = clients.iter().flat_map(|client| std::iter::repeat_n(client, STREAMS));
    let writers = writers.map(|client| async move {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return Ok::<(), anyhow::Error>(());
            }
            client.create(path, &make(number)).await.with_context(|| format!("creating number {number}"))?;
        }
    });
    try_join_all(writers).await.map(drop)
}

/// A pod of ordinary size that no scheduler takes: about 2 KB as it is stored.
pub fn pod(number: usize) -> Value {
    let container = |name: &str| {
        json!({
            "name": name, "image": "registry.example/shop/web:1.2.3",
            "ports": [{"containerPort": 8080, "name": "http"}],
            "env": [{"name": "STAGE", "value": "production"}, {"name": "REGION", "value": "north"}],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 10},
            "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}, "periodSeconds": 20},
        })
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("pod-{number:06}"), "labels": {"app": "web", "shard": format!("s{}", number % 100)}},
        "spec": {"schedulerName": "nobody", "containers": [container("web"), container("side")]},
    })
}

/// Names that were acknowledged, shared by the writers of one row.
pub type Names = Arc<parking_lot::Mutex<Vec<String>>>;
