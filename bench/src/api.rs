//! What the API server does with many pods, beside a peer in the same run: writes, lists, watches, memory.

mod lists;
mod side;
mod watches;
mod writes;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use crate::Flags;
use crate::cluster::Cluster;
use side::Side;

pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";

/// How many pods and watchers, and beside whom.
#[derive(Args, Debug)]
pub struct Api {
    /// Pods that each round creates with 64 connections; a tenth as many with one
    #[arg(long, default_value_t = 5_000)]
    pods: usize,
    /// Watches that are open at once
    #[arg(long, default_value_t = 1_000)]
    watches: usize,
    /// Changes that all of them are told
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Kubeconfig of a peer cluster on this machine
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Processes of the peer's control plane by their pids, for its memory and its processor seconds
    #[arg(long, value_delimiter = ',')]
    peer_pids: Vec<u32>,
}

/// The whole row.
pub async fn measure(flags: &Flags, row: &Api) -> Result<Value> {
    let mut cluster = Cluster::server(&flags.gantry)?;
    cluster.start(&[])?;
    let mut sides = vec![Side::new("gantry", &cluster.kubeconfig(), vec![cluster.pid()?])?];
    if let Some(peer) = &row.peer {
        sides.push(Side::new("peer", peer, row.peer_pids.clone())?);
    }
    for side in &mut sides {
        side.settle().await?;
    }
    for round in 0..flags.rounds {
        for side in &mut sides {
            writes::one_round(side, row.pods, round).await?;
        }
    }
    for side in &mut sides {
        side.memory_per_pod(flags.rounds * (row.pods + row.pods / writes::FEWER)).await?;
    }
    for _ in 0..flags.rounds {
        for side in &mut sides {
            lists::one_round(side).await?;
            watches::one_round(side, row.watches, row.changes).await?;
        }
    }
    for side in &sides {
        side.print();
        side.client().delete(PODS, None).await?;
    }
    cluster.down()?;
    Ok(json!(sides.iter().map(|side| (side.name, side.json())).collect::<std::collections::BTreeMap<_, _>>()))
}
