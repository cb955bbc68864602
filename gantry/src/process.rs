//! The one gantry process of a data directory: its lock, its pid, and how it is ended.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paths::Paths;

/// How long a process may take to end by itself before it is killed.
const END_WAIT: Duration = Duration::from_secs(20);
/// Pause between two looks at a process that is ending.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Holds the data directory for this process, until dropped or dead.
pub struct Held {
    _lock: Flock<File>,
}

/// Takes the data directory for this process; refuses when another one has it.
pub fn hold(paths: &Paths) -> Result<Held> {
    let root = paths.root();
    std::fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
    let path = paths.pid();
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let file = open.with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            let write = lock.set_len(0).and_then(|()| lock.seek(SeekFrom::Start(0)));
            write
                .and_then(|_| write!(lock, "{}", std::process::id()))
                .with_context(|| format!("writing {}", path.display()))?;
            Ok(Held { _lock: lock })
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            bail!("gantry is running already in {} (pid {}); see: gantry status", root.display(), pid.trim())
        }
        Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

/// A gantry process found by its data directory.
pub struct Running {
    /// Its pid.
    pub pid: i32,
}

impl Running {
    /// The process that holds the data directory, if there is one. A pid in a file that nobody holds is stale.
    pub fn find(paths: &Paths) -> Result<Option<Self>> {
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(paths.pid()) else { return Ok(None) };
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("reading {}", paths.pid().display()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_) => Ok(None),
            Err(_) => Ok(text.trim().parse().ok().map(|pid| Running { pid })),
        }
    }

    /// Asks the process to end, and kills it when it does not; returns once it no longer holds the directory.
    pub fn end(&self, paths: &Paths) -> Result<()> {
        let pid = Pid::from_raw(self.pid);
        kill(pid, Signal::SIGTERM).with_context(|| format!("ending process {pid}"))?;
        let deadline = Instant::now() + END_WAIT;
        while Running::find(paths)?.is_some() {
            if Instant::now() > deadline {
                kill(pid, Signal::SIGKILL).with_context(|| format!("killing process {pid}"))?;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}
