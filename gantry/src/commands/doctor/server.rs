//! What a running server says of itself.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use gantry_backup::age_seconds;
use gantry_client::Client;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use super::Finding;
use crate::paths::Paths;
use crate::process::Running;

/// What a server that is well needs less than by far.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer later than this means an overloaded machine.
const SLOW: Duration = Duration::from_secs(1);

async fn get(client: &Client, path: &str) -> Option<Value> {
    timeout(PATIENCE, client.get(path)).await.ok()?.ok()
}

/// A server of this data directory, and its answers.
pub struct Asked {
    pid: Option<i32>,
    /// There is no kubeconfig of an administrator, as on a node that is nothing but a node.
    agent_only: bool,
    version: Result<(Value, Duration), String>,
    skew: Option<String>,
    examined: Option<Value>,
    schedule: Option<Value>,
}

impl Asked {
    /// Asks everything that there is to ask.
    pub async fn ask(paths: &Paths) -> Result<Self> {
        let pid = Running::find(paths)?.map(|running| running.pid);
        let agent_only = !paths.admin_kubeconfig().exists();
        let version = Err("it was not asked".to_owned());
        let mut asked = Asked { pid, agent_only, version, skew: None, examined: None, schedule: None };
        if pid.is_none() || agent_only {
            return Ok(asked);
        }
        let client =
            Client::from_kubeconfig(&paths.admin_kubeconfig(), None).context("reading the admin kubeconfig")?;
        let started = Instant::now();
        asked.version = match timeout(PATIENCE, client.get("/version")).await {
            Ok(Ok(version)) => Ok((version, started.elapsed())),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        asked.skew = client.clock_skew().filter(|skew| skew.matters()).map(|skew| skew.to_string());
        if asked.version.is_ok() {
            asked.examined = get(&client, "/gantry/v1/doctor").await;
            asked.schedule = get(&client, "/gantry/v1/backup/schedule").await;
        }
        Ok(asked)
    }

    /// Whether a process has the data directory.
    pub fn runs(&self) -> bool {
        self.pid.is_some()
    }

    /// What the server found in its own objects; `None` when it was not asked or did not say.
    pub fn violations(&self) -> Option<Vec<String>> {
        let list = self.examined.as_ref()?["violations"].as_array()?;
        Some(list.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect())
    }

    /// Findings about the server, its clock and its backups.
    pub fn findings(&self, paths: &Paths) -> Vec<Finding> {
        let mut findings = vec![self.process(paths)];
        if let Some(skew) = &self.skew {
            findings.push(Finding::fail("server clock", skew, "set the clocks by NTP: apt-get install chrony"));
        }
        if let Some(stalled) = self.compaction() {
            findings.push(stalled);
        }
        findings.push(self.backups());
        findings
    }

    fn process(&self, paths: &Paths) -> Finding {
        const NAME: &str = "server";
        let Some(pid) = self.pid else {
            let root = paths.root().display();
            return Finding::warn(NAME, format!("none runs in {root}"), format!("gantry up --data-dir {root}"));
        };
        if self.agent_only {
            return Finding::ok(NAME, format!("none here: pid {pid} is an agent"));
        }
        match &self.version {
            Ok((version, took)) if *took < SLOW => {
                let version = version["gitVersion"].as_str().unwrap_or("?");
                Finding::ok(NAME, format!("pid {pid} serves {version}, and answers after {} ms", took.as_millis()))
            }
            Ok((_, took)) => {
                let message = format!("pid {pid} answers only after {} ms", took.as_millis());
                Finding::warn(NAME, message, "look for what loads this machine: top, iostat")
            }
            Err(why) => Finding::fail(
                NAME,
                format!("pid {pid} does not answer: {why}"),
                "read what it prints, with GANTRY_LOG=info",
            ),
        }
    }

    fn compaction(&self) -> Option<Finding> {
        let failures = self.examined.as_ref()?["store"]["compactionFailures"].as_u64()?;
        (failures > 0).then(|| {
            let message = format!("{failures} attempts failed since the start; the store may grow");
            Finding::warn("compaction", message, "read what the server prints, with GANTRY_LOG=info")
        })
    }

    fn backups(&self) -> Finding {
        const NAME: &str = "backups";
        let set = "gantry backup schedule --every 1h --to PLACE";
        let Some(answer) = &self.schedule else {
            return Finding::warn(NAME, "not known without a running server", "gantry backup list --from PLACE");
        };
        let Some(every) = answer["schedule"]["everySeconds"].as_u64() else {
            return Finding::warn(NAME, "none are scheduled: what is lost with this disk is lost", set);
        };
        let (record, now) = (&answer["record"], Timestamp::now());
        let failures = record["failuresInARow"].as_u64().unwrap_or(0);
        if failures > 0 {
            let why = record["lastFailure"]["why"].as_str().unwrap_or("?");
            return Finding::fail(NAME, format!("the last {failures} failed: {why}"), "gantry backup schedule --show");
        }
        let made = record["lastSuccess"]["at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        match made.map(|at| age_seconds(now, at)) {
            Some(age) if age <= every.saturating_mul(2) + 60 => {
                Finding::ok(NAME, format!("the last one was made {} min ago", age / 60))
            }
            Some(age) => {
                let message =
                    format!("the last one was made {} min ago, though one is due every {} min", age / 60, every / 60);
                Finding::fail(NAME, message, "gantry backup schedule --show")
            }
            None => Finding::warn(NAME, "scheduled, but none was made yet", "gantry backup schedule --show"),
        }
    }
}
