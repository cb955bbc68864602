//! A gantry of a benchmark: its own data directory, ended when dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use gantry_client::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long a start may take before it counts as failed.
const START_WAIT: Duration = Duration::from_secs(60);
/// Rest before memory is read.
const REST: Duration = Duration::from_secs(10);

/// One cluster on this machine.
pub struct Cluster {
    gantry: PathBuf,
    folder: TempDir,
    /// `up`, or `server` for one without a node.
    verb: &'static str,
    process: Option<Child>,
    ready: Duration,
}

impl Cluster {
    /// A new, empty data directory of a cluster with this machine as its node.
    pub fn new(gantry: &Path) -> Result<Self> {
        Self::of("up", gantry)
    }

    /// A new, empty data directory of a server without a node.
    pub fn server(gantry: &Path) -> Result<Self> {
        Self::of("server", gantry)
    }

    fn of(verb: &'static str, gantry: &Path) -> Result<Self> {
        let gantry = gantry.canonicalize().with_context(|| format!("finding {}", gantry.display()))?;
        Ok(Cluster { gantry, folder: tempfile::tempdir()?, verb, process: None, ready: Duration::ZERO })
    }

    /// Starts it and waits for node Ready.
    pub fn start(&mut self, more: &[&str]) -> Result<()> {
        let start = Instant::now();
        let log = self.launch(more)?;
        let child = self.process.as_mut().context("no process")?;
        loop {
            let text = std::fs::read_to_string(&log)?;
            if text.contains("gantry is ready") {
                break;
            }
            if let Some(status) = child.try_wait()? {
                bail!("gantry ended with {status}: {text}");
            }
            if start.elapsed() > START_WAIT {
                bail!("gantry did not become ready: {text}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.ready = start.elapsed();
        Ok(())
    }

    /// Starts it and does not wait; returns where its output goes.
    pub fn launch(&mut self, more: &[&str]) -> Result<PathBuf> {
        let log = self.folder.path().join("log");
        let out = File::create(&log)?;
        let mut command = Command::new(&self.gantry);
        command.args([self.verb, "--no-merge-kubeconfig", "--data-dir"]).arg(self.data_dir()).args(more);
        command.env("GANTRY_ENCRYPTION_KEY_FILE", self.folder.path().join("encryption.key"));
        let command = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        self.process = Some(command.spawn().context("starting gantry")?);
        Ok(log)
    }

    /// What the last start has printed so far: its steps with their times.
    pub fn log(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("log"))?)
    }

    /// Kills the process with -9.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.process.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Bytes that the store takes on disk.
    pub fn store_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        let mut folders = vec![self.data_dir().join("store")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() { folders.push(entry.path()) } else { bytes += entry.metadata()?.len() }
            }
        }
        Ok(bytes)
    }

    /// Milliseconds that the last start took.
    pub fn ready_ms(&self) -> f64 {
        self.ready.as_secs_f64() * 1000.0
    }

    /// A client with the administrator's rights.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::from_kubeconfig(&self.kubeconfig(), None)?)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// The private containerd's socket.
    pub fn containerd_socket(&self) -> PathBuf {
        self.data_dir().join("agent/containerd/containerd.sock")
    }

    /// Imports an image archive.
    pub fn import(&self, file: &Path) -> Result<()> {
        self.run(&["images", "import", &file.display().to_string()])
    }

    /// Resident memory of the process after a rest, in MB.
    pub async fn idle_rss_mb(&self) -> Result<f64> {
        tokio::time::sleep(REST).await;
        self.rss_mb()
    }

    /// Resident memory of the process now, in MB.
    pub fn rss_mb(&self) -> Result<f64> {
        rss_mb_of(self.pid()?)
    }

    /// Seconds of a processor that the process has used.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds_of(self.pid()?)
    }

    /// The process.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.process.as_ref().context("no process")?.id())
    }

    /// Ends the process; containers and containerd stay.
    pub fn pause(&mut self) -> Result<()> {
        if let Some(mut child) = self.process.take() {
            kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
            child.wait()?;
        }
        Ok(())
    }

    /// Ends everything.
    pub fn down(&mut self) -> Result<()> {
        self.run(&["down", "--wipe"])?;
        if let Some(mut child) = self.process.take() {
            child.wait()?;
        }
        Ok(())
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.gantry);
        let output = command.args(words).arg("--data-dir").arg(self.data_dir()).output()?;
        if !output.status.success() {
            bail!("gantry {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.process.is_some() {
            let _ = self.down();
        }
    }
}

/// Resident memory of a process, in MB.
pub fn rss_mb_of(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1000.0)
}

/// Seconds of a processor that a process has used.
pub fn cpu_seconds_of(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("no name")?;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    // The kernel tells in hundredths, whatever it counts in.
    Ok(ticks / 100.0)
}
