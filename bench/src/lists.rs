//! What a LIST of large objects without a limit costs: time, memory, and other requests' latency meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use gantry_client::Client;
use serde_json::{Value, json};

use crate::Flags;
use crate::cluster::Cluster;
use crate::load::{self, CONNECTIONS};
use crate::samples::Samples;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Pause between two small requests.
const PROBE_EVERY: Duration = Duration::from_millis(5);
/// How long small requests are measured without a list.
const QUIET: Duration = Duration::from_secs(3);

/// How many objects of what size.
#[derive(Args, Debug)]
pub struct Lists {
    /// Objects in the namespace
    #[arg(long, default_value_t = 4_000)]
    objects: usize,
    /// KiB of data in each
    #[arg(long, default_value_t = 256)]
    kib: usize,
}

/// The whole row.
pub async fn measure(flags: &Flags, row: &Lists) -> Result<Value> {
    let mut cluster = Cluster::server(&flags.gantry)?;
    cluster.start(&[])?;
    let clients = (0..CONNECTIONS).map(|_| cluster.client()).collect::<Result<Vec<_>>>()?;
    let text = "x".repeat(row.kib * 1024);
    let map = |number| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("large-{number:06}")},
            "data": {"text": text}})
    };
    load::create(&clients, MAPS, row.objects, map).await?;
    let (mut time, mut growth) = (Samples::new("ms"), Samples::new("MB"));
    let (mut quiet, mut beside) = (Samples::new("ms"), Samples::new("ms"));
    let probe = cluster.client()?;
    for _ in 0..flags.rounds {
        probe_for(&probe, tokio::time::sleep(QUIET), &mut quiet).await?;
        let before = cluster.rss_mb()?;
        let mut peak = before;
        let client = cluster.client()?;
        let start = Instant::now();
        let list = async {
            let mut body = client.stream(MAPS).await.context("listing")?;
            while body.next().await.context("reading the list")?.is_some() {
                peak = peak.max(cluster.rss_mb()?);
            }
            Ok::<(), anyhow::Error>(())
        };
        probe_for(&probe, list, &mut beside).await??;
        time.push(start.elapsed().as_secs_f64() * 1000.0);
        growth.push(peak - before);
    }
    let size = row.objects * row.kib / 1024;
    println!("LIST of {size} MiB              {time}");
    println!("growth of the server          {growth}   (at rest {:.0} MB)", cluster.rss_mb()?);
    println!("GET, p99: alone {:.2} ms, beside the list {:.2} ms", quiet.quantile(0.99), beside.quantile(0.99));
    cluster.down()?;
    let p99 = json!({"alone": quiet.quantile(0.99), "beside": beside.quantile(0.99)});
    Ok(json!({"mib": size, "list": time.json(), "rss_growth": growth.json(), "get_p99_ms": p99}))
}

/// Sends small requests until `work` is done.
async fn probe_for<T>(client: &Client, work: impl Future<Output = T>, samples: &mut Samples) -> Result<T> {
    tokio::pin!(work);
    loop {
        let start = Instant::now();
        let get = async {
            client.get("/api/v1/namespaces/default").await?;
            let took = start.elapsed();
            tokio::time::sleep(PROBE_EVERY).await;
            Ok::<_, anyhow::Error>(took)
        };
        tokio::select! {
            done = &mut work => return Ok(done),
            took = get => samples.push(took?.as_secs_f64() * 1000.0),
        }
    }
}
