//! containerd's process.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::error::AgentError;
use crate::limits::{CONTAINERD_LOOK, END_WAIT};
use crate::paths::Paths;

/// How much of the log is shown when containerd does not start.
const LAST_WORDS: usize = 2000;

/// Starts containerd in a session of its own.
pub(super) fn spawn(paths: &Paths) -> Result<(), AgentError> {
    let home = paths.containerd();
    let log = open_log(&home.join("containerd.log"))?;
    let errors = log.try_clone().map_err(AgentError::at("open", &home))?;
    // A socket path longer than this cannot be bound, and containerd says so only in its log.
    let socket = paths.socket();
    if socket.as_os_str().len() > 100 {
        let cause = "the path of containerd's socket would be too long for a socket; use a shorter data directory";
        return Err(AgentError::Configuration { what: socket.display().to_string(), cause: cause.to_owned() });
    }
    let child = Command::new("setsid")
        .arg("containerd")
        .arg("--config")
        .arg(home.join("config.toml"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .env_remove("NOTIFY_SOCKET")
        .spawn()
        .map_err(AgentError::at("start", Path::new("setsid containerd")))?;
    let pid = paths.containerd_pid();
    fs::write(&pid, child.id().to_string()).map_err(AgentError::at("write", &pid))
}

fn open_log(path: &Path) -> Result<File, AgentError> {
    let full = fs::metadata(path).is_ok_and(|metadata| metadata.len() > crate::limits::LOG_BYTES);
    if full {
        let _ = fs::rename(path, path.with_extension("log.1"));
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(AgentError::at("open", path))
}

/// The pid of our containerd, if it lives.
pub(crate) fn find(paths: &Paths) -> Option<Pid> {
    let pid: i32 = fs::read_to_string(paths.containerd_pid()).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let config = paths.containerd().join("config.toml");
    let config = config.as_os_str().as_encoded_bytes();
    let ours = command.split(|byte| *byte == 0).any(|word| word == config);
    // The command line of a dead process that nobody has waited for is empty.
    ours.then(|| Pid::from_raw(pid))
}

/// Waits for children that have ended.
pub(super) fn reap(paths: &Paths) {
    let pid = fs::read_to_string(paths.containerd_pid()).ok().and_then(|text| text.trim().parse().ok());
    if let Some(pid) = pid {
        let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
    }
}

/// What containerd said last.
pub(super) fn last_words(paths: &Paths) -> String {
    let log = fs::read(paths.containerd().join("containerd.log")).unwrap_or_default();
    let from = log.len().saturating_sub(LAST_WORDS);
    format!("it ended at once; its last words: {}", String::from_utf8_lossy(&log[from..]))
}

/// Ends our containerd, gently and then by force.
pub(crate) async fn stop(paths: &Paths) {
    let Some(pid) = find(paths) else { return };
    let _ = kill(pid, Signal::SIGTERM);
    let begun = Instant::now();
    while find(paths).is_some() {
        reap(paths);
        if begun.elapsed() > END_WAIT {
            let _ = kill(pid, Signal::SIGKILL);
        }
        if begun.elapsed() > END_WAIT + CONTAINERD_LOOK {
            break;
        }
        tokio::time::sleep(crate::limits::CONTAINERD_ASK).await;
    }
    let _ = fs::remove_file(paths.containerd_pid());
}
