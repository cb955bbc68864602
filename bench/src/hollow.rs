//! Agents without a machine: each with a connection, a lease, a status and the watches of a real one. How a restart
//! of the server goes that all of them notice at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use gantry_client::{Backoff, Client, ClientError, Event, PatchKind, part_of};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::Flags;
use crate::cluster::Cluster;
use crate::load;
use crate::samples::Samples;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const PODS: &str = "/api/v1/namespaces/default/pods";
const SERVICES: &str = "/api/v1/namespaces/default/services";
/// How often an agent renews its lease.
const RENEW: Duration = Duration::from_secs(10);
/// Agents that begin at the same time.
const BEGIN: usize = 64;
/// How long everything may take to be well again before the run is given up.
const PATIENCE: Duration = Duration::from_secs(300);
/// Share of a processor above which the server counts as busy.
const BUSY: f64 = 0.5;

/// How many agents, and for how long they rest before the restart.
#[derive(Args, Debug)]
pub struct Hollow {
    /// Agents
    #[arg(long, default_value_t = 5000)]
    agents: usize,
    /// Seconds of rest before the server is killed
    #[arg(long, default_value_t = 30)]
    rest: u64,
    /// Seconds between kill and start
    #[arg(long, default_value_t = 0)]
    away: u64,
}

/// What all agents tell of themselves.
struct Fleet {
    begun: Instant,
    /// Milliseconds after `begun` at which the server was started again; 0 before.
    restarted: AtomicU64,
    /// Milliseconds from the restart to the first renewal of each agent after it.
    renewed: Mutex<Vec<f64>>,
    /// Agents whose watch has told of the Service that was made after the restart.
    resumed: AtomicUsize,
    failures: AtomicUsize,
}

/// The whole row.
pub async fn measure(flags: &Flags, row: &Hollow) -> Result<Value> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut cluster = Cluster::server(&flags.gantry)?;
    cluster.start(&[])?;
    let fleet = Arc::new(Fleet {
        begun: Instant::now(),
        restarted: AtomicU64::new(0),
        renewed: Mutex::default(),
        resumed: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
    });
    let mut tasks = begin(&cluster, row.agents, &fleet).await?;
    println!("{} agents began in {:.1} s", row.agents, fleet.begun.elapsed().as_secs_f64());
    let admin = cluster.client()?;
    load::create(std::slice::from_ref(&admin), PODS, row.agents, |number| {
        let mut pod = load::pod(number);
        pod["spec"]["nodeName"] = json!(name(number));
        pod
    })
    .await?;
    let calm = watch_processor(&cluster, Duration::from_secs(row.rest)).await?;
    let steady = cluster.rss_mb()?;
    println!("at rest                 {:.2} processors, {steady:.0} MB", mean(&calm));
    cluster.kill()?;
    tokio::time::sleep(Duration::from_secs(row.away)).await;
    let start = Instant::now();
    cluster.launch(&[])?;
    let since = u64::try_from(fleet.begun.elapsed().as_millis())?;
    fleet.restarted.store(since.max(1), Ordering::Relaxed);
    let (busy, silent, peak) = until_well(&cluster, row, &fleet, start).await?;
    let mut renewed = Samples::new("ms");
    fleet.renewed.lock().iter().for_each(|ms| renewed.push(*ms));
    let all_ready = fleet.renewed.lock().iter().copied().fold(0.0, f64::max) / 1000.0;
    let all_well = start.elapsed().as_secs_f64();
    let evicted = evicted(&cluster.client()?).await?;
    println!("restart to renewal      {renewed}");
    println!("all renewed             {all_ready:.1} s, all watches resumed {all_well:.1} s");
    println!("server busy             {busy:.0} s, at most {peak:.0} MB ({:.2}x)", peak / steady);
    println!("NotReady {silent}, evicted {evicted}, failed requests {}", fleet.failures.load(Ordering::Relaxed));
    tasks.shutdown().await;
    cluster.down()?;
    Ok(json!({
        "agents": row.agents, "renewed": {"median_ms": renewed.json()["median"], "all_s": all_ready},
        "watches_resumed_s": all_well, "busy_s": busy, "steady_mb": steady, "peak_mb": peak,
        "steady_processors": mean(&calm), "not_ready": silent, "evicted": evicted,
    }))
}

fn name(number: usize) -> String {
    format!("hollow-{number:05}")
}

/// Has all agents registered and at work.
async fn begin(cluster: &Cluster, agents: usize, fleet: &Arc<Fleet>) -> Result<JoinSet<()>> {
    let clients = (0..agents).map(|number| Ok((number, cluster.client()?))).collect::<Result<Vec<_>>>()?;
    // A lease is renewed from the first moment on, whatever the others do.
    let registered = stream::iter(clients).map(|(number, client)| async move {
        register(&client, &name(number)).await.with_context(|| format!("registering agent {number}"))?;
        let mut parts = JoinSet::new();
        parts.spawn(renew(client.clone(), name(number), fleet.clone()));
        parts.spawn(follow(client.clone(), PODS, format!("fieldSelector=spec.nodeName={}", name(number)), None));
        parts.spawn(follow(client, SERVICES, String::new(), Some(fleet.clone())));
        Ok::<_, anyhow::Error>(parts)
    });
    let mut tasks = JoinSet::new();
    let mut registered = std::pin::pin!(registered.buffer_unordered(BEGIN));
    while let Some(mut parts) = registered.try_next().await? {
        tasks.spawn(async move { while parts.join_next().await.is_some() {} });
    }
    Ok(tasks)
}

async fn register(client: &Client, name: &str) -> Result<(), ClientError> {
    let labels = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"});
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}});
    client.create("/api/v1/nodes", &node).await?;
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": name, "namespace": "kube-node-lease"}, "spec": lease(name)});
    client.create(LEASES, &lease).await?;
    let now = time("%Y-%m-%dT%H:%M:%SZ");
    let rows = [("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False")];
    let conditions: Vec<_> = rows
        .iter()
        .map(|(kind, status)| {
            json!({"type": kind, "status": status, "reason": "Hollow", "message": "",
                   "lastHeartbeatTime": now, "lastTransitionTime": now})
        })
        .collect();
    let capacity = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let status = json!({"conditions": conditions, "capacity": capacity, "allocatable": capacity});
    client
        .patch(&format!("/api/v1/nodes/{name}/status"), PatchKind::Strategic, &json!({"status": status}))
        .await
        .map(drop)
}

fn time(format: &str) -> String {
    jiff::Timestamp::now().strftime(format).to_string()
}

fn lease(name: &str) -> Value {
    json!({"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": time("%Y-%m-%dT%H:%M:%S.%6fZ")})
}

/// Renews a lease for ever, as a real agent does.
async fn renew(client: Client, name: String, fleet: Arc<Fleet>) {
    let mut backoff = Backoff::new(Duration::from_secs(5));
    let mut told = false;
    tokio::time::sleep(part_of(RENEW)).await;
    loop {
        let path = format!("{LEASES}/{name}");
        let spec = json!({"spec": lease(&name)});
        let renewal = tokio::time::timeout(RENEW, client.patch(&path, PatchKind::Merge, &spec)).await;
        let wait = if let Ok(Err(error)) = &renewal {
            fleet.failures.fetch_add(1, Ordering::Relaxed);
            backoff.after(error)
        } else if renewal.is_ok() {
            let restarted = fleet.restarted.load(Ordering::Relaxed);
            if restarted > 0 && !told {
                told = true;
                let now = fleet.begun.elapsed().as_secs_f64() * 1000.0;
                fleet.renewed.lock().push(now - restarted as f64);
            }
            backoff.reset();
            RENEW - part_of(RENEW / 10)
        } else {
            fleet.failures.fetch_add(1, Ordering::Relaxed);
            backoff.next_pause()
        };
        tokio::time::sleep(wait).await;
    }
}

/// Follows a collection for ever; tells the fleet of the Service that marks the restart.
async fn follow(client: Client, path: &str, query: String, fleet: Option<Arc<Fleet>>) {
    let mut watch = client.watch(path, &query);
    let mut told = false;
    loop {
        let event = watch.next().await;
        let is_mark = |object: &Value| object["metadata"]["name"] == "mark";
        let seen = match &event {
            Event::Restarted(objects) => objects.iter().any(is_mark),
            Event::Applied(object) => is_mark(object),
            Event::Deleted(_) => false,
        };
        if let Some(fleet) = fleet.as_ref().filter(|_| seen && !told) {
            told = true;
            fleet.resumed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits until all agents have renewed and all watches are there; seconds that the server was busy, the most nodes
/// that counted as silent at a time, and the most memory.
async fn until_well(cluster: &Cluster, row: &Hollow, fleet: &Fleet, start: Instant) -> Result<(f64, usize, f64)> {
    let admin = cluster.client()?;
    let mark = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mark"},
                      "spec": {"ports": [{"port": 80}]}});
    while admin.create(SERVICES, &mark).await.is_err() {
        if start.elapsed() > PATIENCE {
            bail!("the server does not answer: {}", cluster.log()?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (mut busy, mut silent, mut peak) = (0.0, 0, 0.0_f64);
    loop {
        let seconds = watch_processor(cluster, Duration::from_secs(1)).await?;
        busy += if mean(&seconds) > BUSY { 1.0 } else { 0.0 };
        peak = peak.max(cluster.rss_mb()?);
        let (renewed, resumed) = (fleet.renewed.lock().len(), fleet.resumed.load(Ordering::Relaxed));
        let well = renewed >= row.agents && resumed >= row.agents;
        if well || start.elapsed().as_secs().is_multiple_of(5) {
            silent = silent.max(not_ready(&admin).await.unwrap_or(0));
            println!("  {:.0} s: {renewed} renewed, {resumed} watches", start.elapsed().as_secs_f64());
        }
        if well {
            return Ok((busy, silent, peak));
        }
        if start.elapsed() > PATIENCE {
            bail!("after {PATIENCE:?} {renewed} agents have renewed and {resumed} watches resumed");
        }
    }
}

async fn not_ready(client: &Client) -> Result<usize, ClientError> {
    let nodes = client.list("/api/v1/nodes", "").await?;
    let ready = |node: &&Value| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    let nodes = nodes["items"].as_array().cloned().unwrap_or_default();
    Ok(nodes.len() - nodes.iter().filter(ready).count())
}

async fn evicted(client: &Client) -> Result<usize> {
    let pods = client.list(PODS, "").await?;
    let pods = pods["items"].as_array().cloned().unwrap_or_default();
    Ok(pods.iter().filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()).count())
}

/// Processors that the server used, second by second.
async fn watch_processor(cluster: &Cluster, time: Duration) -> Result<Vec<f64>> {
    let mut seconds = Vec::new();
    for _ in 0..time.as_secs() {
        let before = (cluster.cpu_seconds()?, Instant::now());
        tokio::time::sleep(Duration::from_secs(1)).await;
        seconds.push((cluster.cpu_seconds()? - before.0) / before.1.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
