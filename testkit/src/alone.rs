//! A `gantry server` of a test, without a node: on an address of the loopback network that nobody else uses, with
//! failpoints that a test arms.
//!
//! Invariants: the process is ended by its pid, at the latest when it is dropped; the binary has the feature
//! `failpoints`, and is built when the first test asks for it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::api::Api;
use crate::machine::finish;
use crate::{PATIENCE, wait_for};

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It serves.
    Ready,
    /// The process is gone.
    Ended(ExitStatus),
}

/// One server and its data directory.
pub struct Alone {
    folder: TempDir,
    data_dir: PathBuf,
    address: Ipv4Addr,
    arguments: Vec<String>,
    process: Option<Child>,
    ended: Option<ExitStatus>,
}

impl Alone {
    /// A server that was never started, with an empty data directory.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("gantry-alone").tempdir().expect("a temporary folder");
        let data_dir = folder.path().join("data");
        Alone { folder, data_dir, address: address(), arguments: Vec::new(), process: None, ended: None }
    }

    /// As `new`, with its data in another folder.
    pub fn in_folder(data_dir: &Path) -> Self {
        let mut alone = Self::new();
        data_dir.clone_into(&mut alone.data_dir);
        alone
    }

    /// Further arguments of `gantry server`, for all later starts; split at spaces.
    pub fn arguments(mut self, words: &str) -> Self {
        self.arguments = words.split_whitespace().map(str::to_owned).collect();
        self
    }

    /// Starts it with these failpoints armed, and waits until it serves or has ended.
    pub fn try_start(&mut self, failpoints: &str) -> Start {
        assert!(self.process.is_none(), "it still runs");
        let log = File::create(self.log_file()).expect("the log");
        let mut command = Command::new(failpoints_binary());
        command.args(["server", "--no-merge-kubeconfig", "--node-name", "node1", "--listen"]);
        command.arg(format!("{}:6443", self.address)).arg("--data-dir").arg(&self.data_dir).args(&self.arguments);
        // Beside the data, so that whoever starts on the same data has it, too.
        command.env("GANTRY_ENCRYPTION_KEY_FILE", self.data_dir.with_file_name("encryption.key"));
        command.env("GANTRY_FAILPOINTS", failpoints).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("the log")).stderr(log);
        self.process = Some(command.spawn().expect("starting gantry"));
        self.ended = None;
        let begun = Instant::now();
        loop {
            if let Some(status) = self.has_ended() {
                return Start::Ended(status);
            }
            if self.log().contains("gantry is ready") {
                return Start::Ready;
            }
            assert!(begun.elapsed() < PATIENCE, "gantry does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it; it must serve.
    #[track_caller]
    pub fn start(&mut self, failpoints: &str) -> Api {
        let start = self.try_start(failpoints);
        assert_eq!(start, Start::Ready, "gantry ended:\n{}", self.log());
        self.api()
    }

    /// The API, as its administrator.
    #[track_caller]
    pub fn api(&self) -> Api {
        Api::from_kubeconfig(&self.kubeconfig()).expect("the administrator's kubeconfig")
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir.join("admin.kubeconfig")
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What it printed since it was started last.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The pid of the running process.
    pub fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("a running gantry");
        Pid::from_raw(i32::try_from(process.id()).expect("a pid"))
    }

    /// How the process ended, if it did.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        if let Some(process) = &mut self.process
            && let Some(status) = process.try_wait().expect("the process's state")
        {
            (self.process, self.ended) = (None, Some(status));
        }
        self.ended
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("gantry ends", PATIENCE, || self.has_ended().map(drop).ok_or_else(|| "it runs".to_owned()));
        self.ended.expect("its end")
    }

    /// Sends a signal to the running process.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal to gantry");
    }

    /// kill -9, unless it has ended.
    pub fn kill(&mut self) {
        if self.has_ended().is_none() && self.process.is_some() {
            self.signal(Signal::SIGKILL);
            self.wait_for_end();
        }
    }

    /// Runs kubectl as the administrator; words are split at spaces.
    pub fn kubectl(&self, words: &str) -> crate::Output {
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(words.split_whitespace());
        finish(&mut command, None)
    }

    /// Resident memory of the process in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() << 10
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gantry.log")
    }
}

impl Default for Alone {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- gantry's log\n{}", self.log());
        }
    }
}

/// Whether a process was ended by SIGKILL.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SIGKILL as i32)
}

/// All failpoints of the binary.
pub fn failpoints() -> Vec<String> {
    let output = finish(Command::new(failpoints_binary()).arg("failpoints"), None);
    output.expect_ok().lines().map(str::to_owned).collect()
}

/// gantry with the feature `failpoints`: `$GANTRY_FAILPOINTS_BINARY`, or built now, beside the ordinary one.
pub fn failpoints_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("GANTRY_FAILPOINTS_BINARY") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

/// Builds into the folder of all builds, so that nothing but the crates with failpoints is built twice, and keeps a
/// copy, as the next ordinary build takes the program's place.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
    let kept = target.join("failpoints/gantry");
    std::fs::create_dir_all(kept.parent().expect("a folder")).expect("the folder of the build");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let fresh = kept.with_extension(format!("{}", std::process::id()));
    wait_for("the binary with failpoints", PATIENCE, || {
        let mut build = Command::new(&cargo);
        build.current_dir(&root).args(["build", "--quiet", "--locked", "-p", "gantry", "--features", "failpoints"]);
        finish(&mut build, None).expect_ok();
        std::fs::copy(target.join("debug/gantry"), &fresh).map_err(|error| error.to_string())?;
        // An ordinary build may have been faster.
        let knows = finish(Command::new(&fresh).arg("failpoints"), None);
        if knows.ok { Ok(()) } else { Err(knows.err) }
    });
    std::fs::rename(&fresh, &kept).expect("keeping the binary");
    kept
}

/// An address of the loopback network; one that the kernel hands out a port of could be lost during a restart.
fn address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_mul(7919).wrapping_add(std::process::id());
        let [_, a, b, c] = number.wrapping_mul(2_246_822_519).to_be_bytes();
        let address = Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254));
        if TcpListener::bind((address, 6443)).is_ok() {
            return address;
        }
    }
}
