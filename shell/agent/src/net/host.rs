//! The machine's own side: kernel settings, the DNS address, the services' route, and the programs that set them.

use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use gantry_net::{Cidr, Flow};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a program may take.
const PROGRAM_TIME: Duration = Duration::from_secs(60);
/// Kernel settings that services need: forwarding, and node ports on 127.0.0.1.
const SETTINGS: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/all/route_localnet"];

/// A program that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// It could not be run.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Its name.
        program: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It said no.
    #[error("{program}: {text}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it said.
        text: String,
    },
    /// It did not end.
    #[error("{program} did not end in time")]
    Timeout {
        /// Its name.
        program: &'static str,
    },
}

async fn run(program: &'static str, arguments: &[&str], input: &str) -> Result<(), NetError> {
    let start = |source| NetError::Start { program, source };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(start)?;
    let mut stdin = child.stdin.take();
    let work = async {
        if let Some(pipe) = stdin.as_mut() {
            // A program that ends early says why in its own words.
            let _ = pipe.write_all(input.as_bytes()).await;
        }
        drop(stdin);
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(PROGRAM_TIME, work).await.map_err(|_| NetError::Timeout { program })?;
    let output = output.map_err(start)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().chars().take(2000).collect();
    Err(NetError::Failed { program, text })
}

/// Carries out one transaction.
pub(super) async fn nft(text: &str) -> Result<(), NetError> {
    run("nft", &["-f", "-"], text).await
}

/// Whether the table is there.
pub(super) async fn table_exists() -> bool {
    run("nft", &["-t", "list", "chain", "ip", "gantry", "dispatch"], "").await.is_ok()
}

/// Forgets a flow; there may be none.
pub(super) async fn forget(flow: &Flow) {
    let (port, endpoint) = (flow.port.to_string(), flow.endpoint.to_string());
    let mut arguments = vec!["-D", "-p", "udp", "--orig-port-dst", &port, "--reply-src", &endpoint];
    let to = flow.to.map(|ip| ip.to_string());
    if let Some(to) = &to {
        arguments.extend(["--orig-dst", to]);
    }
    if let Err(error @ (NetError::Start { .. } | NetError::Timeout { .. })) = run("conntrack", &arguments, "").await {
        tracing::warn!(%error, "UDP clients may go on sending to an endpoint that is gone");
    }
}

/// What the machine needs besides the table.
#[derive(Clone, Copy)]
pub(super) struct Host {
    pub node_ip: Ipv4Addr,
    pub service_cidr: Cidr,
    pub dns_ip: Ipv4Addr,
}

impl Host {
    /// Makes everything as it must be; what is so already stays.
    pub async fn prepare(&self) {
        for path in SETTINGS {
            let set = tokio::fs::read_to_string(path).await.is_ok_and(|value| value.trim() == "1");
            if !set && let Err(error) = tokio::fs::write(path, "1").await {
                tracing::error!(path, %error, "cannot change a kernel setting that services need");
            }
        }
        let (address, services) = (format!("{}/32", self.dns_ip), self.service_cidr.to_string());
        let source = self.node_ip.to_string();
        self.ip(&["address", "replace", &address, "dev", "lo"]).await;
        // Service addresses have a route, so that programs of this machine reach them even without a default one.
        self.ip(&["route", "replace", &services, "dev", "lo", "src", &source]).await;
    }

    async fn ip(&self, arguments: &[&str]) {
        if let Err(error) = run("ip", arguments, "").await {
            tracing::error!(%error, ?arguments, "cannot set up the machine's network");
        }
    }

    /// Takes everything away again, the table included.
    pub async fn remove(&self) {
        let (address, services) = (format!("{}/32", self.dns_ip), self.service_cidr.to_string());
        let removals: [(&'static str, &[&str], &str); 3] = [
            ("nft", &["-f", "-"], "table ip gantry\ndelete table ip gantry\n"),
            ("ip", &["route", "del", &services, "dev", "lo"], ""),
            ("ip", &["address", "del", &address, "dev", "lo"], ""),
        ];
        for (program, arguments, input) in removals {
            if let Err(error) = run(program, arguments, input).await {
                tracing::debug!(%error, "nothing to take away");
            }
        }
    }
}
