//! A gantry of a test, as a user starts it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::alone::failpoints_binary;
use crate::machine::{Machine, Output};
use crate::wait_for;

/// `gantry up` on a machine of its own; taken down with everything when dropped.
pub struct Gantry {
    machine: Machine,
    binary: PathBuf,
    process: Option<Child>,
}

impl Gantry {
    /// Starts it and waits until its node is Ready. The binary is the release build, or `$GANTRY_BINARY`.
    pub fn up() -> Self {
        let mut gantry = Gantry { machine: Machine::new(), binary: binary(), process: None };
        gantry.start();
        gantry
    }

    /// One with failpoints, which was never started.
    pub fn with_failpoints() -> Self {
        Gantry { machine: Machine::new(), binary: failpoints_binary().to_owned(), process: None }
    }

    /// Starts the process with these failpoints armed, and waits for nothing.
    pub fn spawn(&mut self, failpoints: &str) {
        let log = File::create(self.log()).expect("the log");
        let mut command = self.machine.command(&self.binary);
        command
            .args(["up", "--no-merge-kubeconfig", "--node-name", "node1", "--data-dir"])
            .arg(self.machine.data_dir());
        command.env("GANTRY_FAILPOINTS", failpoints);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("the log")).stderr(log);
        self.process = Some(command.spawn().expect("starting gantry"));
    }

    /// How the process ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.process.as_mut()?.try_wait().expect("the process's state");
        if ended.is_some() {
            self.process = None;
        }
        ended
    }

    /// Whether there is a process.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts it, again if need be, and waits until it is ready.
    pub fn start(&mut self) {
        self.spawn("");
        wait_for("gantry is ready", Duration::from_secs(60), || {
            let text = std::fs::read_to_string(self.log()).unwrap_or_default();
            if let Some(Ok(Some(status))) = self.process.as_mut().map(Child::try_wait) {
                panic!("gantry ended with {status}:\n{text}");
            }
            if text.contains("gantry is ready") { Ok(()) } else { Err(text) }
        });
    }

    /// The machine that it runs on.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.machine.data_dir().join("admin.kubeconfig")
    }

    /// Everything that the process printed since it was started last.
    pub fn log(&self) -> PathBuf {
        self.machine.folder().join("gantry.log")
    }

    /// The pid of the process itself.
    pub fn pid(&self) -> i32 {
        // nsenter replaces itself, so the child is gantry.
        i32::try_from(self.process.as_ref().expect("a running gantry").id()).expect("a pid")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGKILL).expect("killing gantry");
        self.process.take().expect("a running gantry").wait().expect("its end");
    }

    /// Runs a command of the binary itself.
    pub fn gantry(&self, words: &str) -> Output {
        let mut all = vec![self.binary.display().to_string()];
        all.extend(words.split_whitespace().map(str::to_owned));
        all.extend(["--data-dir".to_owned(), self.machine.data_dir().display().to_string()]);
        self.machine.run(all)
    }

    /// Runs kubectl on the machine; words are split at spaces.
    pub fn kubectl(&self, words: &str) -> Output {
        self.kubectl_words(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs kubectl with words that may hold spaces.
    pub fn kubectl_words(&self, words: &[&str]) -> Output {
        let kubeconfig = self.kubeconfig().display().to_string();
        let mut all = vec!["kubectl", "--kubeconfig", &kubeconfig];
        all.extend(words);
        self.machine.run(all)
    }

    /// `kubectl apply -f -` of text; must succeed.
    #[track_caller]
    pub fn apply(&self, manifest: &str) -> String {
        self.kubectl_with_input("apply -f -", manifest).expect_ok()
    }

    /// Runs kubectl with text as its standard input.
    pub fn kubectl_with_input(&self, words: &str, input: &str) -> Output {
        let kubeconfig = self.kubeconfig().display().to_string();
        let mut all = vec!["kubectl", "--kubeconfig", &kubeconfig];
        all.extend(words.split_whitespace());
        self.machine.run_with_input(all, input)
    }

    /// One object or a list as JSON; must be there.
    #[track_caller]
    pub fn get(&self, words: &str) -> Value {
        let text = self.kubectl(&format!("get {words} -o json")).expect_ok();
        serde_json::from_str(&text).expect("kubectl's JSON")
    }

    /// Imports the demo's web image, as `name`.
    pub fn import_web_image(&self, name: &str) {
        let file = self.machine.folder().join("web.tar");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/demo-image");
        self.machine.run([script.as_os_str(), file.as_os_str(), name.as_ref()]).expect_ok();
        self.gantry(&format!("images import {}", file.display())).expect_ok();
    }
}

impl Drop for Gantry {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- gantry's log\n{log}\n--- pods\n{}", self.kubectl("get pods -A -o wide").out);
            eprintln!("--- events\n{}", self.kubectl("get events -A").out);
        }
        let down = self.gantry("down --wipe");
        if !down.ok {
            eprintln!("gantry down: {}{}", down.out, down.err);
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("GANTRY_BINARY") {
        return PathBuf::from(path);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let path = root.join(target).join("release/gantry");
    assert!(path.exists(), "{} is not there: make build", path.display());
    path
}
