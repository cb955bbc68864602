//! One machine of a test: a network namespace with an address, and a folder.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a program printed, and whether it was content.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit code 0.
    pub ok: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Output {
    /// Standard output of a program that must have succeeded.
    #[track_caller]
    pub fn expect_ok(self) -> String {
        assert!(self.ok, "failed: {}\n{}", self.err, self.out);
        self.out
    }
    /// Standard error of a program that must have failed.
    #[track_caller]
    pub fn expect_err(self) -> String {
        assert!(!self.ok, "succeeded: {}", self.out);
        self.err
    }
}

/// A network namespace of its own, with a routed address, and a temporary folder.
pub struct Machine {
    name: String,
    folder: TempDir,
}

impl Machine {
    /// Makes the namespace and its links.
    pub fn new() -> Self {
        let name = format!("gt{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("gantry-test").tempdir().expect("a temporary folder");
        let machine = Machine { name, folder };
        machine.host(["ip", "netns", "add", &machine.name]).expect_ok();
        for line in [
            "ip link set lo up",
            "ip link add eth0 type veth peer name peer0",
            "ip addr add 198.18.0.1/24 dev eth0",
            "ip link set eth0 up",
            "ip link set peer0 up",
        ] {
            machine.run(line.split(' ')).expect_ok();
        }
        machine
    }

    /// The machine's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data directory of its gantry.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Path of the network namespace.
    pub fn netns(&self) -> PathBuf {
        Path::new("/run/netns").join(&self.name)
    }

    /// A command that runs on this machine. Only the network is another, so that cgroups stay visible.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.netns().display())).arg("--").arg(program);
        command.env("GANTRY_ENCRYPTION_KEY_FILE", self.folder.path().join("encryption.key"));
        command
    }

    /// Runs a program on this machine to its end.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Output {
        let mut words = words.into_iter();
        let mut command = self.command(words.next().expect("a program"));
        command.args(words);
        finish(&mut command, None)
    }

    /// Runs a program on this machine with text as its standard input.
    pub fn run_with_input<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>, input: &str) -> Output {
        let mut words = words.into_iter();
        let mut command = self.command(words.next().expect("a program"));
        command.args(words);
        let file = self.folder.path().join("input");
        std::fs::write(&file, input).expect("writing the input");
        finish(&mut command, Some(File::open(file).expect("the input")))
    }

    /// Runs a program outside.
    fn host<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Output {
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words);
        finish(&mut command, None)
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command, input: Option<File>) -> Output {
    let stdin = input.map_or_else(Stdio::null, Stdio::from);
    let output = command.stdin(stdin).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    Output {
        ok: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
