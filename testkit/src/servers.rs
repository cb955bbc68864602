//! Several servers on one etcd: three machines on a network, on each an etcd member and a `gantry server`.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::caller::Caller;
use crate::etcd::EtcdCluster;
use crate::gantry::binary;
use crate::machine::Machine;
use crate::network::Network;
use crate::wait_for;

mod agent;

pub use agent::Agent;

const PORT: u16 = 6443;
/// What a server is given to start.
const START: Duration = Duration::from_secs(30);

/// One server.
struct Server {
    machine: Machine,
    address: IpAddr,
    process: Option<Child>,
}

/// The servers, their etcd, and the network between them.
pub struct Servers {
    /// The etcd; member and server of the same number share a machine.
    pub etcd: EtcdCluster,
    /// The network; machines have the numbers of their servers.
    pub network: Network,
    servers: Vec<Server>,
    folder: tempfile::TempDir,
}

impl Servers {
    /// Starts `count` members and servers, and waits until all servers are ready.
    pub fn start(count: usize) -> Self {
        let mut network = Network::new();
        let mut servers = Vec::new();
        for _ in 0..count {
            let machine = Machine::new();
            let address = network.join(&machine);
            servers.push(Server { machine, address, process: None });
        }
        let places: Vec<_> = servers.iter().map(|server| (&server.machine, server.address)).collect();
        let etcd = EtcdCluster::start_on(&places);
        let folder = tempfile::Builder::new().prefix("gantry-test").tempdir().expect("a temporary folder");
        let mut servers = Servers { etcd, network, servers, folder };
        // The first one makes the cluster's key, which the others need to find.
        for number in 0..count {
            servers.spawn(number);
            servers.wait_until_ready(number);
        }
        servers
    }

    /// How many there are, running or not.
    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// The machine of a server.
    pub fn machine(&self, number: usize) -> &Machine {
        &self.servers[number].machine
    }

    /// Where a server is reached.
    pub fn address(&self, number: usize) -> SocketAddr {
        SocketAddr::new(self.servers[number].address, PORT)
    }

    /// The administrator's kubeconfig that a server wrote.
    pub fn kubeconfig(&self, number: usize) -> PathBuf {
        self.machine(number).data_dir().join("admin.kubeconfig")
    }

    /// A client of one server, on the network but on no machine.
    pub fn caller(&self, number: usize) -> Caller {
        Caller::new(self.network.netns(), &self.kubeconfig(number), self.address(number))
    }

    /// A client of one server on the same machine: no partition comes between them.
    pub fn neighbour(&self, number: usize) -> Caller {
        Caller::new(self.machine(number).netns(), &self.kubeconfig(number), self.address(number))
    }

    /// Starts the agent of a node on another machine; at first it knows the server `knows` alone.
    pub fn agent(&mut self, name: &str, knows: usize) -> Agent {
        let machine = Machine::new();
        // The network is the one way to this machine.
        machine.run(["ip", "link", "del", "eth0"]).expect_ok();
        self.network.join(&machine);
        let kubeconfig = self.gantry(knows, &format!("kubeconfig --node {name}")).expect_ok();
        Agent::start(machine, name, &kubeconfig)
    }

    /// Starts a server that was ended, and waits until it is ready.
    pub fn restart(&mut self, number: usize) {
        self.spawn(number);
        self.wait_until_ready(number);
    }

    /// Sends a signal to a server; SIGKILL and SIGTERM also wait for its end.
    pub fn signal(&mut self, number: usize, signal: Signal) {
        let process = self.servers[number].process.as_mut().expect("a running server");
        // nsenter replaces itself, so the child is gantry.
        kill(Pid::from_raw(i32::try_from(process.id()).expect("a pid")), signal).expect("signalling a server");
        if [Signal::SIGKILL, Signal::SIGTERM].contains(&signal) {
            process.wait().expect("its end");
            self.servers[number].process = None;
        }
    }

    /// Whether a server says that it leads.
    pub fn leads(&self, number: usize) -> bool {
        let metrics = self.neighbour(number).text("/metrics").unwrap_or_default();
        metrics.lines().any(|line| line == "gantry_leader 1")
    }

    /// Runs a program of the project on a server's machine, with `--data-dir`.
    pub fn gantry(&self, number: usize, words: &str) -> crate::Output {
        let data_dir = self.machine(number).data_dir().display().to_string();
        let binary = binary().display().to_string();
        let words = words.split_whitespace().map(str::to_owned);
        self.machine(number).run([binary].into_iter().chain(words).chain(["--data-dir".to_owned(), data_dir]))
    }

    fn log(&self, number: usize) -> PathBuf {
        self.machine(number).folder().join("server.log")
    }

    fn spawn(&mut self, number: usize) {
        assert!(self.servers[number].process.is_none(), "the server still runs");
        let log = File::create(self.log(number)).expect("the log");
        let server = &self.servers[number];
        let mut command = server.machine.command(binary());
        let address = self.address(number).to_string();
        let files = self.etcd.certificates();
        command.args(["server", "--no-merge-kubeconfig", "--node-name", &format!("server{number}")]);
        command.args(["--listen", &address, "--advertise-address", &server.address.to_string()]);
        command.args(["--store", &format!("etcd={}", self.etcd.endpoints().join(","))]);
        command.arg("--store-ca-file").arg(&files.ca_file);
        command.arg("--store-cert-file").arg(&files.cert_file);
        command.arg("--store-key-file").arg(&files.key_file);
        command.arg("--cluster-key-file").arg(self.folder.path().join("cluster.key"));
        // What they share is sealed by the key that they share.
        command.env_remove("GANTRY_ENCRYPTION_KEY_FILE");
        command.arg("--data-dir").arg(server.machine.data_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        self.servers[number].process = Some(command.spawn().expect("starting a server"));
    }

    fn wait_until_ready(&mut self, number: usize) {
        let log = self.log(number);
        let process = self.servers[number].process.as_mut().expect("a running server");
        wait_for("a server is ready", START, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Ok(Some(status)) = process.try_wait() {
                panic!("a server ended with {status}:\n{text}");
            }
            if text.contains("gantry is ready") { Ok(()) } else { Err(text) }
        });
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for number in 0..self.servers.len() {
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.log(number)).unwrap_or_default();
                eprintln!("--- log of server {number}\n{log}");
            }
            if let Some(mut process) = self.servers[number].process.take() {
                // Also ends a stopped one.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
