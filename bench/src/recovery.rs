//! How soon a server answers after kill -9 under writes, and whether it has all that it acknowledged.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use gantry_client::Client;
use serde_json::{Value, json};

use crate::Flags;
use crate::cluster::Cluster;
use crate::load::{self, CONNECTIONS, Names};
use crate::samples::Samples;

const PODS: &str = "/api/v1/namespaces/default/pods";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// How long writers write before the kill.
const WRITING: Duration = Duration::from_secs(2);
/// How long the answer may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many objects.
#[derive(Args, Debug)]
pub struct Recovery {
    /// Pods in the store
    #[arg(long, default_value_t = 100_000)]
    objects: usize,
}

/// The whole row.
pub async fn measure(flags: &Flags, row: &Recovery) -> Result<Value> {
    let mut cluster = Cluster::server(&flags.gantry)?;
    cluster.start(&[])?;
    let clients = (0..CONNECTIONS).map(|_| cluster.client()).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    load::create(&clients, PODS, row.objects, load::pod).await?;
    println!("{} pods created in {:.1} s", row.objects, began.elapsed().as_secs_f64());
    let (mut first, mut whole) = (Samples::new("ms"), Samples::new("ms"));
    let acknowledged = Names::default();
    let mut lost = 0;
    for round in 0..flags.rounds {
        let clients = (0..CONNECTIONS).map(|_| cluster.client()).collect::<Result<Vec<_>>>()?;
        let writers: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(writer, client)| tokio::spawn(write(client, format!("{round}-{writer}"), acknowledged.clone())))
            .collect();
        tokio::time::sleep(WRITING).await;
        cluster.kill()?;
        writers.into_iter().for_each(|writer| writer.abort());
        let start = Instant::now();
        cluster.launch(&[])?;
        let (answered, complete) = first_list(&cluster, start).await?;
        first.push(answered);
        whole.push(complete);
        cluster.log()?.lines().filter(|line| line.ends_with(" ms")).for_each(|step| println!("{step}"));
        lost += missing(&cluster.client()?, &acknowledged).await?;
    }
    let written = acknowledged.lock().len();
    println!("exec to first LIST 200       {first}   ({} pods)", row.objects);
    println!("exec to the whole LIST       {whole}");
    println!("lost acknowledged writes     {lost} of {written}");
    let store = cluster.store_bytes()? as f64 / 1e6;
    println!("store on disk                {store:.1} MB, server {:.0} MB", cluster.rss_mb()?);
    cluster.down()?;
    Ok(json!({
        "objects": row.objects, "first_list": first.json(), "whole_list": whole.json(), "store_mb": store,
        "acknowledged": written, "lost": lost,
    }))
}

/// Creates objects one after the other until the server is gone.
async fn write(client: Client, mark: String, acknowledged: Names) {
    for number in 0_u64.. {
        let name = format!("written-{mark}-{number}");
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": "1"}});
        match client.create(MAPS, &map).await {
            Ok(_) => acknowledged.lock().push(name),
            Err(_) => return,
        }
    }
}

/// Milliseconds since `start` to the first piece of a LIST of all pods, and to its end. A client that was refused
/// waits before it dials again: each attempt has one of its own.
async fn first_list(cluster: &Cluster, start: Instant) -> Result<(f64, f64)> {
    let milliseconds = || start.elapsed().as_secs_f64() * 1000.0;
    loop {
        if let Ok(mut body) = cluster.client()?.stream(PODS).await {
            let answered = milliseconds();
            while body.next().await.context("reading the list")?.is_some() {}
            return Ok((answered, milliseconds()));
        }
        if start.elapsed() > PATIENCE {
            bail!("the server did not answer");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn missing(client: &Client, acknowledged: &Names) -> Result<usize> {
    let list = client.list(MAPS, "").await.context("listing what was written")?;
    let items = list["items"].as_array().context("no items")?;
    let there: BTreeSet<&str> = items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    Ok(acknowledged.lock().iter().filter(|name| !there.contains(name.as_str())).count())
}
