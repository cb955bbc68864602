//! `gantry status`: what runs here, and whether it is well.

use anyhow::{Context, Result};
use gantry_client::Client;
use gantry_kinds::presence;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::DataDir;
use crate::output::say;
use crate::paths::Paths;
use crate::process::Running;

/// Prints the process, the API's health, the nodes and the pods; exit code 1 when something is not well.
pub async fn status(flags: DataDir) -> Result<u8> {
    let paths = Paths::new(&flags.data_dir)?;
    let Some(running) = Running::find(&paths)? else {
        say!("gantry is not running in {}", paths.root().display());
        return Ok(1);
    };
    say!("gantry    running, pid {}, data in {}", running.pid, paths.root().display());
    if !paths.admin_kubeconfig().exists() {
        say!("api       none here: this process is an agent");
        return Ok(0);
    }
    let client = Client::from_kubeconfig(&paths.admin_kubeconfig(), None).context("reading the admin kubeconfig")?;
    match client.get("/version").await {
        Ok(version) => {
            say!("api       {} serving {}", server(&paths), version["gitVersion"].as_str().unwrap_or("?"))
        }
        Err(error) => {
            say!("api       not answering: {error}");
            return Ok(1);
        }
    }
    let mut well = servers(&client).await?;
    let nodes = client.list("/api/v1/nodes", "").await?;
    for node in nodes["items"].as_array().into_iter().flatten() {
        let (ready, message) = readiness(node);
        well &= ready;
        let state = if ready { "Ready".to_owned() } else { format!("NotReady: {message}") };
        say!("node      {}: {state}", node["metadata"]["name"].as_str().unwrap_or("?"));
    }
    let pods = client.list("/api/v1/pods", "").await?;
    let pods = pods["items"].as_array().map_or(&[][..], Vec::as_slice);
    let running = pods.iter().filter(|p| p["status"]["phase"] == "Running").count();
    say!("pods      {running} of {} running", pods.len());
    Ok(u8::from(!well))
}

/// Prints the servers that share the store, where several may; false when one of them is silent.
async fn servers(client: &Client) -> Result<bool> {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", presence::NAMESPACE);
    let query = format!("labelSelector={}%3D{}", presence::LABEL.replace('/', "%2F"), presence::LABEL_VALUE);
    let leases = client.list(&path, &query).await?;
    let mut well = true;
    for lease in leases["items"].as_array().into_iter().flatten() {
        let (meta, now) = (&lease["metadata"], Timestamp::now());
        let renewed: Option<Timestamp> = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse().ok());
        let silent = renewed.map_or(0, |renewed| now.duration_since(renewed).as_secs());
        let state = if silent > i64::from(presence::DURATION_SECONDS) {
            well = false;
            format!("silent for {silent} s")
        } else if let Some(epoch) = meta["annotations"][presence::LEADER_EPOCH].as_str() {
            format!("leads since revision {epoch}")
        } else {
            "stands by".to_owned()
        };
        let host = meta["labels"]["kubernetes.io/hostname"].as_str().unwrap_or("?");
        let address = meta["annotations"][presence::ADDRESS].as_str().unwrap_or("?");
        say!("server    {host} at {address}: {state}");
    }
    Ok(well)
}

fn server(paths: &Paths) -> String {
    let text = std::fs::read_to_string(paths.admin_kubeconfig()).unwrap_or_default();
    let file: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    file["clusters"][0]["cluster"]["server"].as_str().unwrap_or("?").to_owned()
}

fn readiness(node: &Value) -> (bool, &str) {
    let conditions = node["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    match conditions.iter().find(|c| c["type"] == "Ready") {
        Some(ready) => (ready["status"] == "True", ready["message"].as_str().unwrap_or_default()),
        None => (false, "it has not reported yet"),
    }
}
