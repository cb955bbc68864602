//! One of the two that are compared: how it is reached, its processes, and what was measured on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use gantry_client::Client;
use serde_json::{Value, json};

use crate::cluster::{cpu_seconds_of, rss_mb_of};
use crate::samples::Samples;

/// Rest before memory is read.
const REST: Duration = Duration::from_secs(5);

pub(super) struct Side {
    pub name: &'static str,
    kubeconfig: PathBuf,
    client: Client,
    pids: Vec<u32>,
    empty_mb: f64,
    samples: BTreeMap<&'static str, Samples>,
}

impl Side {
    pub fn new(name: &'static str, kubeconfig: &Path, pids: Vec<u32>) -> Result<Self> {
        let client = Client::from_kubeconfig(kubeconfig, None)?;
        let kubeconfig = kubeconfig.to_owned();
        Ok(Side { name, kubeconfig, client, pids, empty_mb: 0.0, samples: BTreeMap::new() })
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// So many clients, each with a connection of its own that is open already.
    pub async fn connect(&self, count: usize) -> Result<Vec<Client>> {
        let mut clients = Vec::with_capacity(count);
        for _ in 0..count {
            let client = Client::from_kubeconfig(&self.kubeconfig, None)?;
            client.get("/version").await.context("connecting")?;
            clients.push(client);
        }
        Ok(clients)
    }

    pub fn push(&mut self, what: &'static str, unit: &'static str, value: f64) {
        self.samples.entry(what).or_insert_with(|| Samples::new(unit)).push(value);
    }

    /// Processor seconds that its processes have used; 0 when none is known.
    pub fn cpu_seconds(&self) -> Result<f64> {
        self.pids.iter().map(|pid| cpu_seconds_of(*pid)).sum()
    }

    /// Resident memory of its processes, in MB; 0 when none is known.
    pub fn rss_mb(&self) -> Result<f64> {
        self.pids.iter().map(|pid| rss_mb_of(*pid)).sum()
    }

    pub async fn settle(&mut self) -> Result<()> {
        tokio::time::sleep(REST).await;
        self.empty_mb = self.rss_mb()?;
        Ok(())
    }

    pub async fn memory_per_pod(&mut self, pods: usize) -> Result<()> {
        tokio::time::sleep(REST).await;
        let grown = self.rss_mb()? - self.empty_mb;
        self.push("memory a pod", "KB", grown * 1000.0 / pods as f64);
        Ok(())
    }

    pub fn print(&self) {
        for (what, samples) in &self.samples {
            println!("{:<7} {what:<32} {samples}", self.name);
        }
    }

    pub fn json(&self) -> Value {
        json!(self.samples.iter().map(|(what, samples)| (*what, samples.json())).collect::<BTreeMap<_, _>>())
    }
}
