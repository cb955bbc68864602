//! The servers of the cluster, as the endpoints of the Service `default/kubernetes` name them; remembered on disk, so
//! that a node finds one even if those that it was given are gone.
//!
//! Invariants: no list takes the place of another that names somebody by naming nobody; a server on this machine
//! that was given as loopback is not known a second time by its other address.

use std::net::{IpAddr, UdpSocket};

use gantry_client::{Client, Event};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::checkpoint::write_private;
use crate::paths::Paths;

/// Whether a slice is that of the servers.
pub(crate) fn is_of_servers(slice: &Value) -> bool {
    let metadata = &slice["metadata"];
    metadata["namespace"] == "default" && metadata["labels"]["kubernetes.io/service-name"] == "kubernetes"
}

/// Tells the client of the servers that were known last.
pub(crate) fn remember(client: &Client, paths: &Paths) {
    let text = std::fs::read_to_string(paths.servers()).unwrap_or_default();
    let urls: Vec<String> = serde_json::from_str(&text).unwrap_or_default();
    if !urls.is_empty() {
        client.learn_servers(&urls);
    }
}

/// Tells the client of the servers, for ever, and keeps them on disk.
pub(crate) async fn follow(client: Client, mut slices: mpsc::Receiver<Event>, paths: Paths) {
    let given = client.servers().borrow().clone();
    let mut known: Vec<Value> = Vec::new();
    let mut told: Vec<String> = Vec::new();
    while let Some(event) = slices.recv().await {
        match event {
            Event::Restarted(objects) => known = objects,
            Event::Applied(object) => {
                known.retain(|slice| slice["metadata"]["name"] != object["metadata"]["name"]);
                known.push(object);
            }
            Event::Deleted(object) => known.retain(|slice| slice["metadata"]["name"] != object["metadata"]["name"]),
        }
        let mut urls: Vec<String> = known.iter().flat_map(urls).filter(|url| !twice(url, &given)).collect();
        urls.sort();
        urls.dedup();
        if urls.is_empty() || urls == told {
            continue;
        }
        tracing::info!(?urls, "servers of the cluster");
        client.learn_servers(&urls);
        if let Err(error) = write_private(&paths.servers(), json!(urls).to_string().as_bytes()) {
            tracing::warn!(%error, "the servers are not remembered");
        }
        told = urls;
    }
}

/// The addresses of the servers in a slice.
fn urls(slice: &Value) -> Vec<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let Some(port) = list(&slice["ports"]).iter().find_map(|port| port["port"].as_u64()) else { return Vec::new() };
    let ready = |endpoint: &Value| endpoint["conditions"]["ready"] != false;
    let endpoints = list(&slice["endpoints"]).into_iter().filter(ready);
    let addresses = endpoints.flat_map(|endpoint| list(&endpoint["addresses"]));
    let addresses = addresses.filter_map(|address| address.as_str()?.parse::<IpAddr>().ok());
    addresses.map(|ip| format!("https://{}", std::net::SocketAddr::new(ip, u16::try_from(port).unwrap_or(0)))).collect()
}

/// Whether this is a server on this machine that was given as loopback.
fn twice(url: &str, given: &[String]) -> bool {
    let parse = |url: &str| url.strip_prefix("https://")?.parse::<std::net::SocketAddr>().ok();
    let Some(address) = parse(url) else { return false };
    let loopback = |other: std::net::SocketAddr| other.ip().is_loopback() && other.port() == address.port();
    let here = || UdpSocket::bind((address.ip(), 0)).is_ok();
    given.iter().filter_map(|url| parse(url)).any(loopback) && here()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_name_servers() {
        let slice = json!({
            "metadata": {"namespace": "default", "name": "kubernetes",
                         "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "ports": [{"name": "https", "port": 6443}],
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"]},
                          {"addresses": ["10.0.0.3"], "conditions": {"ready": false}}, {"addresses": ["fd00::1"]}],
        });
        assert!(is_of_servers(&slice));
        assert!(!is_of_servers(&json!({"metadata": {"namespace": "default", "name": "kubernetes"}})));
        assert_eq!(urls(&slice), ["https://10.0.0.1:6443", "https://10.0.0.2:6443", "https://[fd00::1]:6443"]);
        assert!(urls(&json!({})).is_empty());
    }

    #[test]
    fn a_server_on_this_machine_is_known_once() {
        let given = ["https://127.0.0.1:6443".to_owned()];
        assert!(twice("https://127.0.0.1:6443", &given));
        assert!(twice("https://127.0.0.2:6443", &given), "all of 127/8 is this machine");
        assert!(!twice("https://127.0.0.1:6444", &given));
        assert!(!twice("https://192.0.2.1:6443", &given));
        assert!(!twice("https://127.0.0.1:6443", &["https://server:6443".to_owned()]));
    }
}
