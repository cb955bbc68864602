//! What the engine needs of a disk, so that faults can be put below it.
//!
//! A directory of files without folders. Nothing is promised to survive a power loss before `DiskFile::sync` (for
//! what is in a file) or `Disk::sync_dir` (for names) has returned.

mod system;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub(crate) use system::LOCK_FILE;
pub use system::SystemDisk;

/// One directory on a disk.
pub trait Disk: Send + Sync + 'static {
    /// What to call it in messages.
    fn path(&self) -> &Path;
    /// Creates the directory if it is missing and takes it for this process; false when another one has it.
    fn lock(&self) -> io::Result<bool>;
    /// The names in it; none when it does not exist.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates an empty file, in place of one that is there.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name, in one step and in place of what has that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name; whoever has the file open can go on.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Waits until all names are on disk as they are now.
    fn sync_dir(&self) -> io::Result<()>;
    /// Bytes that can still be allocated.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync + 'static {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills the buffer from `offset` on; fails with `UnexpectedEof` beyond the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file `length` bytes long with blocks of its own, so that a write into them needs no more space and
    /// its sync writes no metadata; what is added reads as zeros.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Makes the file `length` bytes long, which is not longer than it is, and gives the rest of its blocks back.
    fn cut(&self, length: u64) -> io::Result<()>;
    /// Waits until all that was written is on disk. After an error it is unknown what is.
    fn sync(&self) -> io::Result<()>;
}
