//! The directory of a store: whose it is, who has it open, how much room is left.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// What the format file must say.
const FORMAT: &str = "gantry-store 1\n";
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";

/// A directory that is ours for as long as this lives.
pub(super) struct Directory {
    path: PathBuf,
    /// Holds the lock; the system frees it with the process.
    _lock: File,
}

impl Directory {
    /// Checks the format before anything is touched, then locks, then marks a new directory.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        check_format(path)?;
        fs::create_dir_all(path).map_err(io_error("create the directory"))?;
        let lock = File::create(path.join(LOCK_FILE)).map_err(io_error("create the lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io_error("lock the directory")(error)),
        }
        if !check_format(path)? {
            write_format(path).map_err(io_error("write the format file"))?;
        }
        Ok(Directory { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn engine_path(&self) -> PathBuf {
        self.path.join("db")
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// True when the directory is a store of this format, false when it is new.
fn check_format(path: &Path) -> Result<bool, StoreError> {
    let refuse = |found: &str| StoreError::Format {
        path: path.to_owned(),
        found: found.trim_end().to_owned(),
        expected: FORMAT.trim_end().to_owned(),
    };
    match fs::read(path.join(FORMAT_FILE)) {
        Ok(found) if found == FORMAT.as_bytes() => return Ok(true),
        Ok(found) => return Err(refuse(&String::from_utf8_lossy(&found))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io_error("read the format file")(error)),
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error("read the directory")(error)),
    };
    for entry in entries {
        let name = entry.map_err(io_error("read the directory"))?.file_name();
        if name != LOCK_FILE && name != format!("{FORMAT_FILE}.new").as_str() {
            return Err(refuse(&format!("no format file, but {}", name.display())));
        }
    }
    Ok(false)
}

fn write_format(path: &Path) -> io::Result<()> {
    let new = path.join(format!("{FORMAT_FILE}.new"));
    let mut file = File::create(&new)?;
    file.write_all(FORMAT.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path.join(FORMAT_FILE))?;
    File::open(path)?.sync_all()
}

/// Bytes that an unprivileged process may still write on the disk of `path`.
pub(super) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

fn io_error(operation: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::Io { operation, cause: error.to_string() }
}
