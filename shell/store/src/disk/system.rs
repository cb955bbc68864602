//! A directory of the system that we run on.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile};
use crate::limits::ZERO_BYTES;

/// The name of the file that is locked.
pub(crate) const LOCK_FILE: &str = "LOCK";

/// A directory of this machine, ours as long as this lives once it is locked.
pub struct SystemDisk {
    path: PathBuf,
    /// The system frees it with the process.
    lock: Mutex<Option<File>>,
}

impl SystemDisk {
    /// Touches nothing yet.
    pub fn at(path: &Path) -> Self {
        SystemDisk { path: path.to_owned(), lock: Mutex::new(None) }
    }
}

impl Disk for SystemDisk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> io::Result<bool> {
        fs::create_dir_all(&self.path)?;
        let file = File::create(self.path.join(LOCK_FILE))?;
        match file.try_lock() {
            Ok(()) => {
                *self.lock.lock() = Some(file);
                Ok(true)
            }
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        match fs::read_dir(&self.path) {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path.join(name);
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            // Who only checks a directory may have no right to write there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
            other => other?,
        };
        Ok(Arc::new(SystemFile { file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(self.path.join(name))?;
        Ok(Arc::new(SystemFile { file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = nix::sys::statvfs::statvfs(&self.path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }
}

struct SystemFile {
    file: File,
}

impl DiskFile for SystemFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        // Zeros are written, not only promised: blocks that were never written are metadata at their first sync.
        let mut at = self.length()?;
        let zeros = vec![0; ZERO_BYTES];
        while at < length {
            let step = (length - at).min(zeros.len() as u64);
            self.file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        Ok(())
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
