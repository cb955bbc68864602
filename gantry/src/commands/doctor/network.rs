//! The network of this machine: the API's port, names, and how large packets may be.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Finding;
use crate::paths::Paths;

/// Where most images come from.
const REGISTRY: &str = "registry-1.docker.io";
const DEFAULT_PORT: u16 = 6443;
const NAME_WAIT: Duration = Duration::from_secs(5);
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// The least that IPv6 allows; below it, tunnels break.
const MTU_MIN: u32 = 1280;

/// Findings about the network.
pub async fn findings(paths: &Paths, runs: bool) -> Vec<Finding> {
    vec![port(paths, runs).await, names().await, mtu()]
}

async fn port(paths: &Paths, runs: bool) -> Finding {
    const NAME: &str = "port";
    let known = api_address(paths);
    let address = known.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)));
    let port = address.port();
    let connected = matches!(timeout(CONNECT_WAIT, TcpStream::connect(address)).await, Ok(Ok(_)));
    let who = format!("see who listens: ss -ltnp sport = :{port}");
    match (runs, connected) {
        (true, true) => Finding::ok(NAME, format!("{address} is ours")),
        (true, false) if !paths.admin_kubeconfig().exists() => Finding::ok(NAME, "an agent listens nowhere"),
        (true, false) => Finding::fail(NAME, format!("{address} does not take connections though a server runs"), who),
        (false, true) => Finding::fail(NAME, format!("{address} is taken by somebody else"), who),
        (false, false) => match TcpListener::bind(known.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))) {
            Ok(_) => Finding::ok(NAME, format!("{port} is free")),
            Err(error) => Finding::fail(NAME, format!("{port} cannot be listened on: {error}"), who),
        },
    }
}

/// Where the API of this data directory is.
fn api_address(paths: &Paths) -> Option<SocketAddr> {
    let text = std::fs::read_to_string(paths.admin_kubeconfig()).ok()?;
    let config: Value = serde_saphyr::from_str(&text).ok()?;
    config["clusters"][0]["cluster"]["server"].as_str()?.strip_prefix("https://")?.parse().ok()
}

async fn names() -> Finding {
    const NAME: &str = "names";
    let help = "look at /etc/resolv.conf; images can be imported without a network: gantry images import FILE";
    match timeout(NAME_WAIT, lookup_host((REGISTRY, 443))).await {
        Ok(Ok(_)) => Finding::ok(NAME, format!("{REGISTRY} is found")),
        Ok(Err(error)) => Finding::warn(NAME, format!("{REGISTRY} is not found: {error}"), help),
        Err(_) => Finding::warn(NAME, format!("{REGISTRY} is not found within {} s", NAME_WAIT.as_secs()), help),
    }
}

fn mtu() -> Finding {
    const NAME: &str = "mtu";
    let Some(interface) = default_interface() else {
        return Finding::warn(NAME, "there is no default route: this node reaches no other", "ip route");
    };
    let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/mtu")).unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(mtu) if mtu >= MTU_MIN => Finding::ok(NAME, format!("{mtu} on {interface}")),
        Ok(mtu) => {
            let message = format!("{mtu} on {interface}: packets of pods may be lost");
            Finding::warn(NAME, message, format!("ip link set {interface} mtu 1500"))
        }
        Err(_) => Finding::ok(NAME, format!("not known of {interface}")),
    }
}

fn default_interface() -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/net/route").ok()?;
    let mut rows = table.lines().skip(1).map(|line| line.split_whitespace());
    rows.find_map(|mut words| Some((words.next()?, words.next()?)).filter(|(_, to)| *to == "00000000"))
        .map(|(interface, _)| interface.to_owned())
}
