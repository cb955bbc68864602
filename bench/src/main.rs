//! Measurements of a real cluster on this machine, each beside its peer in the same run. Never a timed test: it prints
//! figures and writes them as JSON; nothing here passes or fails.

mod bare;
mod cluster;
mod pods;
mod samples;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::{Value, json};

use cluster::Cluster;
use samples::Samples;

/// What to measure, and against what.
#[derive(Parser, Debug)]
#[command(name = "gantry-bench", about)]
pub struct Flags {
    /// The gantry binary
    #[arg(long)]
    gantry: PathBuf,
    /// Image archive with gantry.local/web:1, as `make demo-image` writes it
    #[arg(long, default_value = "target/demo/web.tar")]
    image: PathBuf,
    /// Kubeconfig of a peer cluster on this machine that has the image too
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Interleaved rounds of each row
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Pods started one after the other in each round
    #[arg(long, default_value_t = 10)]
    serial: usize,
    /// Pods started at once in each round
    #[arg(long, default_value_t = 20)]
    burst: usize,
    /// Where the figures go
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut report = json!({"machine": machine()});
    report["start"] = start(&flags).await?;
    report["pods"] = pod_starts(&flags).await?;
    if let Some(folder) = flags.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&flags.out, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("writing {}", flags.out.display()))?;
    println!("figures are in {}", flags.out.display());
    Ok(())
}

/// From the start of the process to node Ready and to the first pod Running, and the memory at rest.
async fn start(flags: &Flags) -> Result<Value> {
    let (mut ready, mut running, mut memory) = (Samples::new("ms"), Samples::new("ms"), Samples::new("MB"));
    for _ in 0..flags.rounds {
        let mut cluster = Cluster::new(&flags.gantry)?;
        cluster.start(&[])?;
        ready.push(cluster.ready_ms());
        cluster.import(&flags.image)?;
        // The image must be there before the first pod; what its import takes is not the pod's.
        let pod = pods::start_one(&cluster.client()?, "first").await?;
        running.push(cluster.ready_ms() + pod);
        memory.push(cluster.idle_rss_mb().await?);
        cluster.down()?;
    }
    println!("start to node Ready          {ready}");
    println!("start to first pod Running   {running}   (image present)");
    println!("RSS at rest                  {memory}");
    Ok(json!({"node_ready": ready.json(), "first_pod_running": running.json(), "idle_rss": memory.json()}))
}

/// A pod's way from POST to Running as a watch sees it, the bare CRI calls, and the peer.
async fn pod_starts(flags: &Flags) -> Result<Value> {
    let mut cluster = Cluster::new(&flags.gantry)?;
    cluster.start(&[])?;
    cluster.import(&flags.image)?;
    let peer = flags.peer.as_deref().map(|file| gantry_client::Client::from_kubeconfig(file, None)).transpose()?;
    let mut rows: Vec<(&str, Samples, Samples)> = ["gantry", "bare CRI", "peer"]
        .into_iter()
        .map(|name| (name, Samples::new("ms"), Samples::new("pods/s")))
        .collect();
    for round in 0..flags.rounds {
        let client = cluster.client()?;
        pods::measure(&client, flags, round, &mut rows[0]).await?;
        // The node's agent would remove sandboxes that no pod asked for, so it is not there meanwhile.
        cluster.pause()?;
        bare::measure(&cluster.containerd_socket(), flags, round, &mut rows[1]).await?;
        cluster.start(&[])?;
        if let Some(peer) = &peer {
            pods::measure(peer, flags, round, &mut rows[2]).await?;
        }
    }
    cluster.down()?;
    let mut result = json!({});
    for (name, serial, burst) in rows.iter().filter(|row| !row.1.is_empty()) {
        println!("{name:<9} one pod   {serial}");
        println!("{name:<9} {:>3} pods  {burst}", flags.burst);
        result[*name] = json!({"serial": serial.json(), "burst": burst.json()});
    }
    Ok(result)
}

fn machine() -> Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"kernel": kernel.trim(), "cores": cores})
}
