//! A server and agents, each on a machine of its own, joined by a switch; any of them can be cut off.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::gantry::binary;
use crate::machine::{Machine, Output};
use crate::{PATIENCE, wait_for};

/// Where the server is, as the agents see it.
const SERVER: &str = "198.19.0.1";

/// One machine of a site with its gantry.
pub struct Member {
    machine: Machine,
    binary: PathBuf,
    words: Vec<String>,
    process: Option<Child>,
}

/// A server and agents named `node1`, `node2`, ...
pub struct Site {
    server: Member,
    agents: Vec<Member>,
}

impl Member {
    fn new(words: &[&str]) -> Self {
        let machine = Machine::new();
        // A machine of a site has the site's link alone.
        machine.run("ip link del eth0".split(' ')).expect_ok();
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Member { machine, binary: binary(), words, process: None }
    }

    /// Its machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Everything that the process printed since it was started last.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.machine.folder().join("gantry.log")).unwrap_or_default()
    }

    /// Starts its process.
    pub fn start(&mut self) {
        let log = File::create(self.machine.folder().join("gantry.log")).expect("the log");
        let mut command = self.machine.command(&self.binary);
        command.args(&self.words).arg("--data-dir").arg(self.machine.data_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        self.process = Some(command.spawn().expect("starting gantry"));
    }

    /// kill -9 of its process, if it runs.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let pid = i32::try_from(process.id()).expect("a pid");
            kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killing gantry");
            process.wait().expect("its end");
        }
    }

    /// Runs a command of the binary on this machine.
    pub fn gantry(&self, words: &str) -> Output {
        let mut all = vec![self.binary.display().to_string()];
        all.extend(words.split_whitespace().map(str::to_owned));
        all.extend(["--data-dir".to_owned(), self.machine.data_dir().display().to_string()]);
        self.machine.run(all)
    }

    /// What the node says that it runs, without a server: pod, state and restarts of each container.
    pub fn local(&self) -> Vec<(String, String, u32)> {
        let listed = self.gantry("ps --local");
        let rows = listed.out.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let read =
            |row: Vec<&str>| Some(((*row.get(1)?).to_owned(), (*row.get(3)?).to_owned(), row.get(4)?.parse().ok()?));
        rows.filter_map(read).collect()
    }

    /// Ends everything on this machine but its files, as a loss of power does.
    pub fn lose_power(&mut self) {
        self.kill();
        let place = self.machine.data_dir().join("agent").display().to_string();
        loop {
            let running = processes_of(&place);
            if running.is_empty() {
                break;
            }
            for pid in running {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut places: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
        places.retain(|mounted| mounted.starts_with(&place));
        for mounted in places.iter().rev() {
            let _ = std::process::Command::new("umount").args(["-l", mounted]).status();
        }
        let state = self.machine.data_dir().join("agent/containerd/state");
        let _ = std::fs::remove_dir_all(state);
        self.machine.run("nft flush ruleset".split(' ')).expect_ok();
        let links = self.machine.run("ip -br link".split(' ')).expect_ok();
        for link in links.lines().filter_map(|line| line.split(['@', ' ']).next()).filter(|l| l.starts_with("veth")) {
            let _ = self.machine.run(["ip", "link", "del", link]);
        }
    }
}

/// Processes whose command line names a place, and all that came from them.
fn processes_of(place: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let read = |pid: i32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let lives = |pid: i32| !matches!(state_and_parent(&read(pid, "stat")), None | Some(('Z', _)));
    let named = |pid: i32| read(pid, "cmdline").contains(place);
    let mut found: Vec<i32> = pids.iter().copied().filter(|pid| lives(*pid) && named(*pid)).collect();
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let children = pids
            .iter()
            .copied()
            .filter(|pid| lives(*pid) && state_and_parent(&read(*pid, "stat")).is_some_and(|(_, its)| its == parent));
        let new: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

/// State and parent in a line of `/proc/PID/stat`; the name in it may hold anything.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

impl Site {
    /// A server that runs with these further flags, and so many agents; all nodes are Ready.
    pub fn start(agents: usize, flags: &[&str]) -> Self {
        let words =
            [&["server", "--no-merge-kubeconfig", "--node-name", "server", "--advertise-address", SERVER], flags];
        let mut server = Member::new(&words.concat());
        for line in ["ip link add br0 type bridge", "ip addr add 198.19.0.1/24 dev br0", "ip link set br0 up"] {
            server.machine.run(line.split(' ')).expect_ok();
        }
        server.start();
        let mut site = Site { server, agents: Vec::new() };
        site.server_is_ready();
        for number in 1..=agents {
            let node = format!("node{number}");
            let member = site.join(number, &node);
            site.agents.push(member);
        }
        for number in 1..=agents {
            site.node_is(number, "True", PATIENCE);
        }
        site
    }

    fn join(&self, number: usize, node: &str) -> Member {
        let url = format!("https://{SERVER}:6443");
        let kubeconfig = self.server.gantry(&format!("kubeconfig --node {node} --server {url}")).expect_ok();
        let mut member = Member::new(&["agent", "--node-name", node]);
        let file = member.machine.folder().join("kubeconfig");
        std::fs::write(&file, kubeconfig).expect("writing the kubeconfig");
        member.words.extend(["--kubeconfig".to_owned(), file.display().to_string()]);
        let netns = member.machine.netns().display().to_string();
        let links = [
            format!("ip link add port{number} type veth peer name eth0 netns {netns}"),
            format!("ip link set port{number} master br0"),
            format!("ip link set port{number} up"),
        ];
        for line in links {
            self.server.machine.run(line.split(' ')).expect_ok();
        }
        let address = format!("ip addr add 198.19.0.{}/24 dev eth0", 10 + number);
        for line in [address.as_str(), "ip link set eth0 up"] {
            member.machine.run(line.split(' ')).expect_ok();
        }
        member.start();
        member
    }

    /// The server.
    pub fn server(&mut self) -> &mut Member {
        &mut self.server
    }

    /// The agent of node NUMBER, from 1 on.
    pub fn agent(&mut self, number: usize) -> &mut Member {
        &mut self.agents[number - 1]
    }

    /// Waits until the server answers.
    pub fn server_is_ready(&mut self) {
        wait_for("the server is ready", PATIENCE, || {
            let text = self.server.log();
            if let Some(Ok(Some(status))) = self.server.process.as_mut().map(Child::try_wait) {
                panic!("the server ended with {status}:\n{text}");
            }
            if text.contains("gantry is ready") { Ok(()) } else { Err(text) }
        });
    }

    /// Loses every packet between a node and all others.
    pub fn cut(&self, number: usize) {
        self.server.machine.run(["ip", "link", "set", &format!("port{number}"), "nomaster"]).expect_ok();
    }

    /// Ends that.
    pub fn heal(&self, number: usize) {
        self.server.machine.run(["ip", "link", "set", &format!("port{number}"), "master", "br0"]).expect_ok();
    }

    /// Waits until the Ready condition of a node is this; returns how long that took.
    #[track_caller]
    pub fn node_is(&self, number: usize, status: &str, patience: Duration) -> Duration {
        wait_for(&format!("node{number} is {status}"), patience, || {
            let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            let told = self.kubectl_words(&["get", "node", &format!("node{number}"), "-o", path]);
            if told.out == status { Ok(()) } else { Err(format!("{}{}", told.out, told.err)) }
        })
    }

    /// Runs kubectl on the server's machine; words are split at spaces.
    pub fn kubectl(&self, words: &str) -> Output {
        self.kubectl_words(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs kubectl with words that may hold spaces.
    pub fn kubectl_words(&self, words: &[&str]) -> Output {
        let kubeconfig = self.kubeconfig();
        let mut all = vec!["kubectl", "--kubeconfig", &kubeconfig];
        all.extend(words);
        self.server.machine.run(all)
    }

    /// `kubectl apply -f -` of text; must succeed.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let kubeconfig = self.kubeconfig();
        let words = ["kubectl", "--kubeconfig", &kubeconfig, "apply", "-f", "-"];
        self.server.machine.run_with_input(words, manifest).expect_ok();
    }

    /// One object or a list as JSON; must be there.
    #[track_caller]
    pub fn get(&self, words: &str) -> Value {
        let text = self.kubectl(&format!("get {words} -o json")).expect_ok();
        serde_json::from_str(&text).expect("kubectl's JSON")
    }

    /// Imports the demo's web image on every node, as `name`.
    pub fn import_web_image(&self, name: &str) {
        let file = self.server.machine.folder().join("web.tar");
        let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo-image");
        self.server.machine.run([script.as_os_str(), file.as_os_str(), name.as_ref()]).expect_ok();
        for agent in &self.agents {
            agent.gantry(&format!("images import {}", file.display())).expect_ok();
        }
    }

    fn kubeconfig(&self) -> String {
        self.server.machine.data_dir().join("admin.kubeconfig").display().to_string()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server's log\n{}", self.server.log());
            for agent in &self.agents {
                eprintln!("--- an agent's log\n{}\n{}", agent.log(), agent.gantry("ps --local").out);
            }
            eprintln!("--- pods\n{}", self.kubectl("get pods -A -o wide").out);
            eprintln!("--- events\n{}", self.kubectl("get events -A").out);
        }
        for member in self.agents.iter_mut().chain([&mut self.server]) {
            let down = member.gantry("down --wipe");
            if !down.ok {
                eprintln!("gantry down: {}{}", down.out, down.err);
            }
            if let Some(mut process) = member.process.take() {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}
