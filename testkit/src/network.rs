//! A network of a test: a bridge in a namespace of its own, and a link from it to each machine.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::machine::{Machine, finish};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// States of a bridge's port, as the kernel numbers them: nothing passes, everything passes.
const DISABLED: &str = "0";
const FORWARDING: &str = "3";

/// Machines that reach each other; whoever joins the namespace itself reaches all of them.
pub struct Network {
    name: String,
    machines: u8,
}

impl Network {
    /// A network without machines.
    pub fn new() -> Self {
        let network = Network {
            name: format!("gn{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)),
            machines: 0,
        };
        run("ip", &format!("netns add {}", network.name));
        network.inside("link set lo up");
        network.inside("link add bridge type bridge forward_delay 0");
        network.inside("addr add 198.19.0.254/24 dev bridge");
        network.inside("link set bridge up");
        network
    }

    /// Links a machine to it; the machine's address there.
    pub fn join(&mut self, machine: &Machine) -> IpAddr {
        self.machines += 1;
        let (port, address) = (self.port(self.machines), Ipv4Addr::new(198, 19, 0, self.machines));
        let other = machine.netns();
        let other = other.file_name().and_then(|name| name.to_str()).expect("a namespace's name");
        self.inside(&format!("link add {port} type veth peer name net0 netns {other}"));
        self.inside(&format!("link set {port} master bridge up"));
        machine.run(["ip", "addr", "add", &format!("{address}/24"), "dev", "net0"]).expect_ok();
        machine.run(["ip", "link", "set", "net0", "up"]).expect_ok();
        address.into()
    }

    /// Lets nothing pass any more to and from the machine that joined as number `machine`, from 0 on. Nobody is told.
    pub fn cut(&self, machine: usize) {
        self.set(machine, DISABLED);
    }

    /// Lets everything pass again.
    pub fn heal(&self, machine: usize) {
        self.set(machine, FORWARDING);
    }

    /// Path of the namespace.
    pub fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    fn set(&self, machine: usize, state: &str) {
        let port = self.port(u8::try_from(machine + 1).expect("a machine's number"));
        run("bridge", &format!("-n {} link set dev {port} state {state}", self.name));
    }

    fn port(&self, machine: u8) -> String {
        format!("port{machine}")
    }

    fn inside(&self, words: &str) {
        run("ip", &format!("-n {} {words}", self.name));
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

#[track_caller]
fn run(program: &str, words: &str) {
    finish(Command::new(program).args(words.split(' ')), None).expect_ok();
}
