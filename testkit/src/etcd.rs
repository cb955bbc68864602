//! An etcd of a test: members as child processes that speak TLS, with certificates of their own, each on an address
//! of its own.
//!
//! Invariants: members are ended by pid, when the cluster is dropped at the latest, also paused ones; each keeps its
//! address and ports for the life of the cluster, so one that was killed can always come back to where it was.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{Machine, Output, finish};
use crate::{PATIENCE, wait_for};

mod certificates;

pub use certificates::Certificates;

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// Why tests with etcd cannot run here; `None` when they can.
pub fn why_no_etcd() -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = ["etcd", "etcdctl"]
        .into_iter()
        .find(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).exists()));
    missing.map(|program| format!("{program} is not installed"))
}

/// Ends a test that needs etcd where there is none, visibly.
#[macro_export]
macro_rules! needs_etcd {
    () => {
        if let Some(why) = $crate::why_no_etcd() {
            eprintln!("SKIPPED {}: {why}", module_path!());
            return;
        }
    };
}

/// Where a member runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its network namespace; `None`: that of the test.
    pub netns: Option<PathBuf>,
    /// Its address there; clients find it at port 2379, the other members at 2380.
    pub address: IpAddr,
}

impl Place {
    /// An address of the loopback network that nobody else uses.
    ///
    /// Ports that the kernel hands out would be lost to somebody else while a member is down; an address is not.
    pub fn on_loopback() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919).wrapping_add(std::process::id());
            let [_, a, b, c] = number.wrapping_mul(2_654_435_761).to_be_bytes();
            let address = Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254));
            if [CLIENT_PORT, PEER_PORT].into_iter().all(|port| TcpListener::bind((address, port)).is_ok()) {
                return Place { netns: None, address: address.into() };
            }
        }
    }

    fn url(&self, port: u16) -> String {
        match self.address {
            IpAddr::V4(address) => format!("https://{address}:{port}"),
            IpAddr::V6(address) => format!("https://[{address}]:{port}"),
        }
    }

    fn command(&self, program: &str) -> Command {
        let Some(netns) = &self.netns else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.display())).arg("--").arg(program);
        command
    }
}

struct Member {
    name: String,
    place: Place,
    process: Option<Child>,
    paused: bool,
    /// Whether it starts as one of the first members; one that was added later joins.
    joins: bool,
}

/// A cluster of etcd members.
pub struct EtcdCluster {
    members: Vec<Member>,
    arguments: Vec<String>,
    certificates: Certificates,
    folder: TempDir,
}

impl EtcdCluster {
    /// Starts members on addresses of the loopback network and waits until they have a leader.
    pub fn start(members: usize) -> Self {
        Self::start_with((0..members).map(|_| Place::on_loopback()).collect(), &[])
    }

    /// Starts a member on each machine, at 198.18.0.1 or what `addresses` says, and waits until they have a leader.
    /// The machines must reach each other.
    pub fn start_on(machines: &[(&Machine, IpAddr)]) -> Self {
        let place = |(machine, address): &(&Machine, IpAddr)| Place { netns: Some(machine.netns()), address: *address };
        Self::start_with(machines.iter().map(place).collect(), &[])
    }

    /// Starts a member in each place, with further arguments of etcd, and waits until they have a leader.
    pub fn start_with(places: Vec<Place>, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("gantry-etcd").tempdir().expect("a temporary folder");
        let addresses: Vec<_> = places.iter().map(|place| place.address).collect();
        let certificates = Certificates::new(folder.path(), &addresses);
        let member = |(number, place)| Member {
            name: format!("etcd{number}"),
            place,
            process: None,
            paused: false,
            joins: false,
        };
        let members: Vec<_> = places.into_iter().enumerate().map(member).collect();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut cluster = EtcdCluster { members, arguments, certificates, folder };
        for number in 0..cluster.members.len() {
            cluster.spawn(number);
        }
        cluster.wait_until_healthy();
        cluster
    }

    /// How many members there are, running or not.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is no member at all.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Where clients find the members, in their order.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.place.url(CLIENT_PORT)).collect()
    }

    /// The authority, and the certificate and key of a client.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The pid of a running member.
    pub fn pid(&self, number: usize) -> i32 {
        // nsenter replaces itself, so the child is etcd.
        i32::try_from(self.members[number].process.as_ref().expect("a running member").id()).expect("a pid")
    }

    /// Where a member keeps its data.
    pub fn data_dir(&self, number: usize) -> PathBuf {
        self.folder.path().join(&self.members[number].name)
    }

    /// What a member printed since it was started last.
    pub fn log(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{}.log", self.members[number].name))
    }

    /// kill -9.
    pub fn kill(&mut self, number: usize) {
        self.end(number, Signal::SIGKILL);
    }

    /// Ends a member as an operator does.
    pub fn stop(&mut self, number: usize) {
        self.end(number, Signal::SIGTERM);
    }

    /// Starts a member that was killed or stopped. Does not wait for it.
    pub fn restart(&mut self, number: usize) {
        assert!(self.members[number].process.is_none(), "the member still runs");
        self.spawn(number);
    }

    /// Stops the process where it is, so that its peers and clients hear nothing.
    pub fn pause(&mut self, number: usize) {
        kill(Pid::from_raw(self.pid(number)), Signal::SIGSTOP).expect("pausing a member");
        self.members[number].paused = true;
    }

    /// Lets a paused process go on.
    pub fn resume(&mut self, number: usize) {
        kill(Pid::from_raw(self.pid(number)), Signal::SIGCONT).expect("resuming a member");
        self.members[number].paused = false;
    }

    /// Kills a member if it runs, and removes its data.
    pub fn wipe(&mut self, number: usize) {
        if self.members[number].process.is_some() {
            self.kill(number);
        }
        match std::fs::remove_dir_all(self.data_dir(number)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("wiping a member: {error}"),
            _ => {}
        }
    }

    /// Tells the others that a wiped member is a new one, and starts it.
    pub fn add_again(&mut self, number: usize) {
        let (name, peer) = (self.members[number].name.clone(), self.members[number].place.url(PEER_PORT));
        let list: Value = serde_json::from_str(&self.etcdctl("member list -w json").expect_ok()).expect("JSON");
        let old = list["members"].as_array().into_iter().flatten().find(|m| m["name"] == name.as_str());
        if let Some(id) = old.and_then(|member| member["ID"].as_u64()) {
            self.change_members(&format!("member remove {id:x}"));
        }
        self.change_members(&format!("member add {name} --peer-urls={peer}"));
        self.members[number].joins = true;
        self.spawn(number);
    }

    /// etcd changes its members only once those that are left have been connected for some seconds.
    fn change_members(&self, words: &str) {
        wait_for(words, PATIENCE, || {
            let output = self.etcdctl(words);
            if output.ok { Ok(()) } else { Err(output.err) }
        });
    }

    /// The member that leads, as the running members say.
    pub fn leader(&self) -> Option<usize> {
        (0..self.members.len()).find(|number| {
            let status = self.status(*number);
            status.is_some_and(|s| s["header"]["member_id"].is_u64() && s["header"]["member_id"] == s["leader"])
        })
    }

    /// Runs etcdctl against every running member; words are split at spaces.
    pub fn etcdctl(&self, words: &str) -> Output {
        let running = self.members.iter().filter(|member| member.process.is_some() && !member.paused);
        let endpoints: Vec<_> = running.map(|member| member.place.url(CLIENT_PORT)).collect();
        self.etcdctl_at(&endpoints.join(","), words)
    }

    /// Waits until every running member answers and knows a leader.
    pub fn wait_until_healthy(&mut self) {
        for number in 0..self.members.len() {
            if self.members[number].process.is_none() || self.members[number].paused {
                continue;
            }
            let endpoint = self.members[number].place.url(CLIENT_PORT);
            wait_for("an etcd member is healthy", PATIENCE, || {
                if let Some(Ok(Some(status))) = self.members[number].process.as_mut().map(Child::try_wait) {
                    panic!("etcd ended with {status}:\n{}", read(&self.log(number)));
                }
                let health = self.etcdctl_at(&endpoint, "endpoint health");
                if health.ok { Ok(()) } else { Err(health.err) }
            });
        }
    }

    fn status(&self, number: usize) -> Option<Value> {
        let member = &self.members[number];
        if member.process.is_none() || member.paused {
            return None;
        }
        let output = self.etcdctl_at(&member.place.url(CLIENT_PORT), "endpoint status -w json");
        let mut status: Value = serde_json::from_str(&output.out).ok()?;
        Some(status.get_mut(0)?.get_mut("Status")?.take())
    }

    fn etcdctl_at(&self, endpoints: &str, words: &str) -> Output {
        let mut command = self.members[0].place.command("etcdctl");
        let files = &self.certificates;
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(endpoints);
        command
            .arg("--cacert")
            .arg(&files.ca_file)
            .arg("--cert")
            .arg(&files.cert_file)
            .arg("--key")
            .arg(&files.key_file);
        command.args(["--dial-timeout=2s", "--command-timeout=5s"]).args(words.split_whitespace());
        finish(&mut command, None)
    }

    fn spawn(&mut self, number: usize) {
        let peers: Vec<_> = self.members.iter().map(|m| format!("{}={}", m.name, m.place.url(PEER_PORT))).collect();
        let (data, log, member) = (self.data_dir(number), self.log(number), &self.members[number]);
        let (client, peer) = (member.place.url(CLIENT_PORT), member.place.url(PEER_PORT));
        let files = &self.certificates;
        let mut command = member.place.command("etcd");
        command.args(["--name", &member.name, "--data-dir"]).arg(data);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &peers.join(","), "--initial-cluster-token", "gantry-test"]);
        command.args(["--initial-cluster-state", if member.joins { "existing" } else { "new" }]);
        for side in ["", "peer-"] {
            command.args([format!("--{side}client-cert-auth"), format!("--{side}trusted-ca-file")]).arg(&files.ca_file);
            command.arg(format!("--{side}cert-file")).arg(&files.member_cert_file);
            command.arg(format!("--{side}key-file")).arg(&files.member_key_file);
        }
        command.args(["--logger", "zap"]).args(&self.arguments);
        let log = File::create(log).expect("the log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        self.members[number].process = Some(command.spawn().expect("starting etcd"));
    }

    fn end(&mut self, number: usize, signal: Signal) {
        kill(Pid::from_raw(self.pid(number)), signal).expect("ending a member");
        let member = &mut self.members[number];
        member.process.take().expect("a running member").wait().expect("its end");
        member.paused = false;
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        for number in 0..self.members.len() {
            if let Some(mut process) = self.members[number].process.take() {
                // Also ends a paused one.
                let _ = process.kill();
                let _ = process.wait();
            }
            if std::thread::panicking() {
                let log = read(&self.log(number));
                let tail: Vec<_> = log.lines().rev().take(20).collect();
                eprintln!("--- end of the log of etcd{number}");
                tail.into_iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
