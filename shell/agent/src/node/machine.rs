//! What this machine is: its size, its names, its system; and whether it runs short of anything.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;

use nix::sys::statvfs::statvfs;
use serde_json::{Value, json};

use crate::archive::architecture;
use crate::limits::PODS;

/// Memory that must stay free, in bytes; pods do not get it.
const MEMORY_RESERVE: u64 = 100 << 20;
/// Share of the disk that must stay free, in percent; pods do not get it.
const DISK_RESERVE: u64 = 10;
/// Share of process numbers that must stay free, in percent.
const PID_RESERVE: u64 = 5;

/// What a machine is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    pub(crate) ip: IpAddr,
    pub(crate) hostname: String,
    pub(crate) memory: u64,
    cpus: usize,
    disk: u64,
}

/// What a machine runs short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    pub(crate) memory: bool,
    pub(crate) disk: bool,
    pub(crate) pids: bool,
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// One value of `/proc/meminfo`, in bytes.
fn meminfo(name: &str) -> u64 {
    let all = text("/proc/meminfo");
    let line = all.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

impl Machine {
    /// Looks at the machine; `folder` is on the disk that pods use.
    pub(crate) fn look(ip: Option<IpAddr>, folder: &Path) -> Self {
        let disk = statvfs(folder).map(|disk| disk.blocks() * disk.fragment_size()).unwrap_or(0);
        let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Machine { ip: ip.unwrap_or_else(address), hostname, memory: meminfo("MemTotal"), cpus, disk }
    }

    /// All that the machine has.
    pub(crate) fn capacity(&self) -> BTreeMap<String, String> {
        self.amounts(self.memory, self.disk.to_string())
    }

    /// What of it pods may have.
    pub(crate) fn allocatable(&self) -> BTreeMap<String, String> {
        let disk = self.disk / 100 * (100 - DISK_RESERVE);
        self.amounts(self.memory.saturating_sub(MEMORY_RESERVE), disk.to_string())
    }

    fn amounts(&self, memory: u64, disk: String) -> BTreeMap<String, String> {
        let amounts = [
            ("cpu", self.cpus.to_string()),
            ("memory", format!("{}Ki", memory >> 10)),
            ("ephemeral-storage", disk),
            ("pods", PODS.to_string()),
            ("hugepages-1Gi", "0".to_owned()),
            ("hugepages-2Mi", "0".to_owned()),
        ];
        amounts.map(|(name, amount)| (name.to_owned(), amount)).into()
    }

    /// `status.nodeInfo`.
    pub(crate) fn info(&self, runtime: &str, version: &str) -> Value {
        let machine = text("/etc/machine-id");
        let system = text("/sys/class/dmi/id/product_uuid").to_lowercase();
        json!({
            "architecture": architecture(),
            "bootID": text("/proc/sys/kernel/random/boot_id"),
            "containerRuntimeVersion": runtime,
            "kernelVersion": text("/proc/sys/kernel/osrelease"),
            "kubeProxyVersion": "",
            "kubeletVersion": version,
            "machineID": machine,
            "operatingSystem": "linux",
            "osImage": os_image(),
            "systemUUID": if system.is_empty() { machine.clone() } else { system },
        })
    }
}

fn os_image() -> String {
    let release = text("/etc/os-release");
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

/// The address that this machine uses towards others.
fn address() -> IpAddr {
    // Connecting a datagram socket sends nothing; it only asks the kernel for the route.
    let routed = UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| socket.connect("198.51.100.1:9").and_then(|()| socket.local_addr()));
    routed.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// What the machine runs short of now; `folder` is on the disk that pods use.
pub(crate) fn pressure(folder: &Path) -> Pressure {
    let disk = statvfs(folder);
    let pid_max: u64 = text("/proc/sys/kernel/pid_max").parse().unwrap_or(u64::MAX);
    let processes = text("/proc/loadavg");
    let processes = processes.split_whitespace().nth(3).and_then(|pair| pair.split_once('/')?.1.parse::<u64>().ok());
    Pressure {
        memory: meminfo("MemAvailable") < MEMORY_RESERVE,
        disk: disk.is_ok_and(|disk| disk.blocks_available() * 100 < disk.blocks() * DISK_RESERVE),
        pids: processes.unwrap_or(0) > pid_max / 100 * (100 - PID_RESERVE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_get_less_than_there_is() {
        let machine = Machine {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            hostname: "h".to_owned(),
            memory: 1 << 30,
            cpus: 2,
            disk: 1000 << 10,
        };
        assert_eq!(machine.capacity()["memory"], "1048576Ki");
        assert_eq!(machine.allocatable()["memory"], "946176Ki");
        assert_eq!(machine.capacity()["ephemeral-storage"], "1024000");
        assert_eq!(machine.allocatable()["ephemeral-storage"], "921600");
        assert!(Machine::look(None, Path::new("/")).memory > 0);
    }
}
