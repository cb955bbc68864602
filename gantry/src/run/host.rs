//! What the wiring must know of this machine.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

use anyhow::{Context, Result, bail};
use nix::ifaddrs::getifaddrs;

/// Programs that the node needs, with the Debian package of each.
const PROGRAMS: [(&str, &str); 5] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
];
/// Where Debian's containernetworking-plugins lie.
const CNI_PLUGIN: &str = "/usr/lib/cni/ptp";

/// This machine's name and address.
#[derive(Clone, Debug)]
pub struct Host {
    /// Node name.
    pub name: String,
    /// The address by which pods and other machines reach this one.
    pub address: IpAddr,
}

impl Host {
    /// The host's own name unless one is given; the address of the default route, else the first that is not
    /// loopback.
    pub fn find(name: Option<&str>) -> Result<Self> {
        let name = match name {
            Some(name) => name.to_owned(),
            None => nix::unistd::gethostname().context("reading the host's name")?.to_string_lossy().to_lowercase(),
        };
        let problems = gantry_kinds::names::dns_subdomain(&name);
        if let Some(problem) = problems.first() {
            bail!("the node name {name:?} cannot be used: {problem}; give another with --node-name");
        }
        Ok(Host { name, address: default_address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)) })
    }

    /// With another address, where one is given.
    pub fn advertised_as(self, address: Option<IpAddr>) -> Self {
        Host { address: address.unwrap_or(self.address), ..self }
    }
}

/// Refuses early, and with the remedy, where the node could not run.
pub fn check() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("containers, networks and cgroups need root: run gantry as root");
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        bail!(
            "this machine lacks programs that a node needs; install them with: apt-get install {}",
            missing.join(" ")
        );
    }
    Ok(())
}

/// Debian's packages of programs that a node needs and this machine lacks.
pub fn missing_packages() -> Vec<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !std::env::split_paths(&path).any(|folder| folder.join(program).exists()))
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(CNI_PLUGIN).exists() {
        missing.push("containernetworking-plugins");
    }
    missing.dedup();
    missing
}

fn default_address() -> Option<IpAddr> {
    // Connecting a datagram socket sends nothing; it only asks the kernel for the route.
    let routed = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr()))
        .map(|address| address.ip())
        .ok();
    routed.filter(|a| !a.is_loopback()).or_else(first_address)
}

fn first_address() -> Option<IpAddr> {
    let addresses = getifaddrs().ok()?.filter(|i| i.interface_name != "lo").filter_map(|i| i.address);
    let mut v4 = addresses.filter_map(|a| a.as_sockaddr_in().map(nix::sys::socket::SockaddrIn::ip));
    v4.find(|a| !a.is_loopback() && !a.is_link_local()).map(IpAddr::V4)
}
