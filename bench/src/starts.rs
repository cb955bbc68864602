//! Rows about starting: the cluster, and pods on it beside the bare CRI calls and a peer.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::samples::Samples;
use crate::{Flags, Pods, bare, pods};

/// From the start of the process to node Ready and to the first pod Running, and the memory at rest.
pub async fn cluster(flags: &Flags, row: &Pods) -> Result<Value> {
    let (mut ready, mut running, mut memory) = (Samples::new("ms"), Samples::new("ms"), Samples::new("MB"));
    for _ in 0..flags.rounds {
        let mut cluster = Cluster::new(&flags.gantry)?;
        cluster.start(&[])?;
        ready.push(cluster.ready_ms());
        cluster.import(&row.image)?;
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
pub async fn pods_row(flags: &Flags, row: &Pods) -> Result<Value> {
    let mut cluster = Cluster::new(&flags.gantry)?;
    cluster.start(&[])?;
    cluster.import(&row.image)?;
    let peer = row.peer.as_deref().map(|file| gantry_client::Client::from_kubeconfig(file, None)).transpose()?;
    let mut rows: Vec<(&str, Samples, Samples)> = ["gantry", "bare CRI", "peer"]
        .into_iter()
        .map(|name| (name, Samples::new("ms"), Samples::new("pods/s")))
        .collect();
    for round in 0..flags.rounds {
        let client = cluster.client()?;
        pods::measure(&client, row, round, &mut rows[0]).await?;
        // The node's agent would remove sandboxes that no pod asked for, so it is not there meanwhile.
        cluster.pause()?;
        bare::measure(&cluster.containerd_socket(), row, round, &mut rows[1]).await?;
        cluster.start(&[])?;
        if let Some(peer) = &peer {
            pods::measure(peer, row, round, &mut rows[2]).await?;
        }
    }
    cluster.down()?;
    let mut result = json!({});
    for (name, serial, burst) in rows.iter().filter(|row| !row.1.is_empty()) {
        println!("{name:<9} one pod   {serial}");
        println!("{name:<9} {:>3} pods  {burst}", row.burst);
        result[*name] = json!({"serial": serial.json(), "burst": burst.json()});
    }
    Ok(result)
}
