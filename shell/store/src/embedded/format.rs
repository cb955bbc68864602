//! The file that says which program may use a directory.
//!
//! It appears when the first segment is complete. Until then its forerunner stands there, so that a creation that was
//! interrupted is known as one and starts anew.

use std::io;

use super::pool;
use crate::disk::{Disk, LOCK_FILE};
use crate::failpoints::failpoint;
use crate::{StoreError, io_error};

const OURS: &str = "gantry-store 2\n";
const UNFINISHED: &str = "gantry-store 2, not completely restored\n";
const FILE: &str = "FORMAT";
const NEW: &str = "FORMAT.new";

/// What a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Empty, or left by a creation that was interrupted before anything was acknowledged.
    New,
    /// A store that this program can open.
    Ours,
}

/// Tells what a directory is and touches nothing. Errors: `Format` when it is something else.
pub(super) fn check(disk: &dyn Disk) -> Result<Found, StoreError> {
    let refuse = |found: String| {
        let (path, expected) = (disk.path().to_owned(), OURS.trim_end().to_owned());
        Err(StoreError::Format { path, found, expected })
    };
    let names = disk.list().map_err(io_error("read the directory"))?;
    if names.iter().any(|name| name == FILE) {
        let found = read(disk).map_err(io_error("read the format file"))?;
        return if found == OURS { Ok(Found::Ours) } else { refuse(found.trim_end().to_owned()) };
    }
    let begun = names.iter().any(|name| name == NEW);
    let known =
        |name: &str| name == LOCK_FILE || begun && (name == NEW || name == pool::NEW || pool::id(name).is_some());
    match names.iter().find(|name| !known(name)) {
        Some(name) => refuse(format!("no format file, but {name}")),
        None => Ok(Found::New),
    }
}

fn read(disk: &dyn Disk) -> io::Result<String> {
    let file = disk.open(FILE)?;
    let mut bytes = vec![0; file.length()?.min(256) as usize];
    file.read_at(&mut bytes, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Removes what an interrupted creation left, and begins one.
pub(super) fn begin(disk: &dyn Disk) -> io::Result<()> {
    for name in disk.list()?.iter().filter(|name| pool::id(name).is_some() || *name == pool::NEW) {
        disk.remove(name)?;
    }
    disk.sync_dir()?;
    write_new(disk, OURS)?;
    disk.sync_dir()
}

/// Says that a store is being filled: until `finish` it is refused.
pub(super) fn begin_restore(disk: &dyn Disk) -> io::Result<()> {
    write_new(disk, UNFINISHED)?;
    disk.rename(NEW, FILE)?;
    disk.sync_dir()
}

/// Says that the store is complete.
pub(super) fn finish(disk: &dyn Disk) -> io::Result<()> {
    write_new(disk, OURS)?;
    failpoint!("store::format_after_write");
    disk.rename(NEW, FILE)?;
    failpoint!("store::format_after_rename");
    disk.sync_dir()
}

fn write_new(disk: &dyn Disk, content: &str) -> io::Result<()> {
    failpoint!("store::format_before_write");
    let file = disk.create(NEW)?;
    file.write_at(content.as_bytes(), 0)?;
    file.sync()
}
