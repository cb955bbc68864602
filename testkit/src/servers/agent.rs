//! A node of several servers: an agent on a machine of its own.

use std::fs::File;
use std::process::{Child, Stdio};

use crate::gantry::binary;
use crate::machine::Machine;

/// The agent of one node; taken down with everything when dropped.
pub struct Agent {
    machine: Machine,
    process: Child,
}

impl Agent {
    /// Starts the agent of node `name` with the text of a kubeconfig.
    pub(super) fn start(machine: Machine, name: &str, kubeconfig: &str) -> Self {
        let file = machine.folder().join("node.kubeconfig");
        std::fs::write(&file, kubeconfig).expect("writing the kubeconfig");
        let log = File::create(machine.folder().join("agent.log")).expect("the log");
        let mut command = machine.command(binary());
        command.args(["agent", "--node-name", name, "--kubeconfig"]).arg(file);
        command.arg("--data-dir").arg(machine.data_dir());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        let process = command.spawn().expect("starting an agent");
        Agent { machine, process }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.machine.folder().join("agent.log")).unwrap_or_default();
            eprintln!("--- log of the agent\n{log}");
        }
        let (binary, data_dir) = (binary().display().to_string(), self.machine.data_dir().display().to_string());
        let down = self.machine.run([&*binary, "down", "--wipe", "--data-dir", &*data_dir]);
        if !down.ok {
            eprintln!("gantry down: {}{}", down.out, down.err);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
