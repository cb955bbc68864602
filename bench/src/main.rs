//! Measurements on this machine, each beside its peer in the same run. Never a timed test: it prints figures and
//! writes them as JSON; nothing here passes or fails.

mod api;
mod authz;
mod bare;
mod cluster;
mod commit;
mod hollow;
mod lists;
mod load;
mod pods;
mod recovery;
mod samples;
mod starts;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};

/// What to measure.
#[derive(Parser, Debug)]
#[command(name = "gantry-bench", about)]
pub struct Flags {
    /// The gantry binary
    #[arg(long, global = true, default_value = "target/release/gantry")]
    gantry: PathBuf,
    /// Interleaved rounds of each row
    #[arg(long, global = true, default_value_t = 5)]
    rounds: usize,
    /// Where the figures go
    #[arg(long, global = true, default_value = "target/bench.json")]
    out: PathBuf,
    #[command(subcommand)]
    row: Row,
}

#[derive(Subcommand, Debug)]
enum Row {
    /// From exec to node Ready and to the first pod Running; memory at rest
    Start(Pods),
    /// A pod's way from POST to Running, beside bare CRI calls and a peer
    Pods(Pods),
    /// Durable commits through the store, beside the batched commits of an embedded engine
    Commit(commit::Commits),
    /// kill -9 under writes with many objects, to the first LIST 200; acknowledged writes that are lost
    Recovery(recovery::Recovery),
    /// Restart of a server with thousands of agents: until all are Ready again
    Hollow(hollow::Hollow),
    /// Writes, lists, watches and memory with many pods, beside a peer
    Api(api::Api),
    /// LIST of large objects without a limit: time, memory, and what it does to other requests
    Lists(lists::Lists),
    /// One decision of authorization with many role bindings, beside few
    Authz(authz::Authz),
}

/// How many pods, of which image, beside whom.
#[derive(Args, Debug)]
pub struct Pods {
    /// Image archive with gantry.local/web:1, as `make demo-image` writes it
    #[arg(long, default_value = "target/demo/web.tar")]
    image: PathBuf,
    /// Kubeconfig of a peer cluster on this machine that has the image too
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Pods started one after the other in each round
    #[arg(long, default_value_t = 10)]
    serial: usize,
    /// Pods started at once in each round
    #[arg(long, default_value_t = 20)]
    burst: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    let (name, figures) = match &flags.row {
        Row::Start(row) => ("start", starts::cluster(&flags, row).await?),
        Row::Pods(row) => ("pods", starts::pods_row(&flags, row).await?),
        Row::Commit(row) => ("commit", commit::measure(&flags, row).await?),
        Row::Recovery(row) => ("recovery", recovery::measure(&flags, row).await?),
        Row::Hollow(row) => ("hollow", hollow::measure(&flags, row).await?),
        Row::Api(row) => ("api", api::measure(&flags, row).await?),
        Row::Lists(row) => ("lists", lists::measure(&flags, row).await?),
        Row::Authz(row) => ("authz", authz::measure(&flags, row)?),
    };
    let report = json!({"machine": machine(), "row": name, "figures": figures});
    if let Some(folder) = flags.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&flags.out, serde_json::to_string_pretty(&report)?)
        .with_context(|| format!("writing {}", flags.out.display()))?;
    println!("figures are in {}", flags.out.display());
    Ok(())
}

fn machine() -> Value {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({"kernel": kernel.trim(), "cores": cores})
}
