//! This machine: its disk, its clock, and what containers need.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use gantry_agent::local;
use nix::sys::statvfs::statvfs;
use tokio::time::timeout;

use super::Finding;
use crate::paths::Paths;
use crate::run;

/// Free bytes below which images no longer fit.
const FREE_WARN: u64 = 2 << 30;
/// Free bytes below which the store refuses writes soon.
const FREE_FAIL: u64 = 128 << 20;
/// Part of the inodes, in percent, that should be free.
const INODES_WARN: u64 = 5;
/// What the runtime may take to answer.
const RUNTIME_ANSWER: Duration = Duration::from_secs(10);
/// No clock of a machine that works shows an earlier time: 2026-01-01.
const EARLIEST: i64 = 1_767_225_600;
/// What pods are limited by.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// Findings about this machine.
pub async fn findings(paths: &Paths, socket: Option<&Path>) -> Vec<Finding> {
    vec![disk(paths), clock(), programs(), runtime(paths, socket).await, nft(), cgroups(), overlay()]
}

fn disk(paths: &Paths) -> Finding {
    const NAME: &str = "disk";
    let place = paths.root().ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let found = match statvfs(place) {
        Ok(found) => found,
        Err(error) => return Finding::fail(NAME, format!("{}: {error}", place.display()), "look at the disk: dmesg"),
    };
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    let (inodes, inodes_free) = (found.files(), found.files_available());
    let what = format!("{}: {} MiB free, {inodes_free} of {inodes} inodes free", place.display(), free >> 20);
    let help = format!("free some: du -xhd2 {}; ctr images prune", place.display());
    if free < FREE_FAIL || (inodes > 0 && inodes_free == 0) {
        return Finding::fail(NAME, format!("{what}: writes are refused when nothing is left"), help);
    }
    if free < FREE_WARN || (inodes > 0 && inodes_free.saturating_mul(100) / inodes < INODES_WARN) {
        return Finding::warn(NAME, format!("{what}: little for images and logs"), help);
    }
    Finding::ok(NAME, what)
}

fn clock() -> Finding {
    const NAME: &str = "clock";
    let now = jiff::Timestamp::now();
    let help = "set it by NTP: apt-get install chrony";
    if now.as_second() < EARLIEST {
        return Finding::fail(NAME, format!("it shows {now:.0}, which lies before this program was made"), help);
    }
    match synchronized() {
        Some(true) => Finding::ok(NAME, format!("{now:.0}, synchronised")),
        Some(false) => Finding::warn(NAME, format!("{now:.0}, but nothing keeps it right"), help),
        None => Finding::ok(NAME, format!("{now:.0}; whether something keeps it right cannot be told here")),
    }
}

/// What systemd says of the kernel's clock, where there is systemd.
fn synchronized() -> Option<bool> {
    let output = run_quietly("timedatectl", &["show", "-p", "NTPSynchronized", "--value"])?;
    match output.trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn programs() -> Finding {
    const NAME: &str = "programs";
    let missing = run::missing_packages();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        return Finding::fail(
            NAME,
            format!("containers need what is not here: {missing}"),
            format!("apt-get install {missing}"),
        );
    }
    let version = |program| run_quietly(program, &["--version"]).and_then(|text| Some(text.lines().next()?.to_owned()));
    let versions: Vec<String> = ["containerd", "runc"].into_iter().filter_map(version).collect();
    if versions.len() < 2 {
        return Finding::fail(NAME, "containerd or runc does not run", "apt-get install --reinstall containerd runc");
    }
    Finding::ok(NAME, versions.join(", "))
}

async fn runtime(paths: &Paths, socket: Option<&Path>) -> Finding {
    const NAME: &str = "runtime";
    let help = "gantry up starts it; what it says is in DATA_DIR/agent/containerd.log";
    if socket.is_none() && !paths.agent().exists() {
        return Finding::ok(NAME, "no node was started here yet");
    }
    match timeout(RUNTIME_ANSWER, local::list(&paths.agent(), socket)).await {
        Ok(Ok(containers)) => Finding::ok(NAME, format!("containerd answers and has {} containers", containers.len())),
        Ok(Err(error)) => Finding::warn(NAME, format!("containerd does not answer: {error}"), help),
        Err(_) => Finding::fail(NAME, format!("containerd did not answer within {} s", RUNTIME_ANSWER.as_secs()), help),
    }
}

fn nft() -> Finding {
    const NAME: &str = "nftables";
    if !nix::unistd::geteuid().is_root() {
        return Finding::warn(NAME, "only root can tell", "sudo gantry doctor");
    }
    match run_quietly("nft", &["list", "tables"]) {
        Some(_) => Finding::ok(NAME, "the kernel takes rules for services"),
        None => Finding::fail(
            NAME,
            "the kernel does not answer: services cannot be reached",
            "modprobe nf_tables nft_chain_nat",
        ),
    }
}

fn cgroups() -> Finding {
    const NAME: &str = "cgroups";
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").ok();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let has = |controller: &str| match &unified {
        Some(list) => list.split_whitespace().any(|word| word == controller),
        None => mounts.lines().filter(|line| line.contains(" cgroup ")).any(|line| {
            let options = line.split(' ').nth(3).unwrap_or_default();
            options.split(',').any(|option| option == controller)
        }),
    };
    let missing: Vec<&str> = CONTROLLERS.into_iter().filter(|controller| !has(controller)).collect();
    if missing.is_empty() {
        return Finding::ok(NAME, format!("version {}, with all controllers", if unified.is_some() { 2 } else { 1 }));
    }
    let message = format!("without {}: pods cannot be limited by it", missing.join(", "));
    Finding::fail(NAME, message, "add to the kernel's command line: cgroup_enable=memory")
}

fn overlay() -> Finding {
    const NAME: &str = "overlayfs";
    let systems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if systems.lines().any(|line| line.ends_with("\toverlay")) {
        return Finding::ok(NAME, "there for images");
    }
    Finding::warn(NAME, "not loaded: containerd will ask for it", "modprobe overlay")
}

/// What a program prints, when it is there and content.
fn run_quietly(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
