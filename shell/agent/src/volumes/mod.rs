//! Volumes on this machine: made, filled, followed, taken away.
//!
//! Invariants: a reader of a volume's files sees all of them from before a change or all from after; what holds
//! secrets is never written to a disk; no path in a volume leads out of it.

mod mounts;
mod sub_path;
mod writer;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use gantry_node::volume::{Files, Plan};
use nix::sys::stat::{Mode, umask};

use crate::error::AgentError;

pub(crate) use mounts::{mounted_below, unmount_below};
pub(crate) use sub_path::bind as bind_sub_path;

/// Permissions of an empty directory: every container may write it.
const EMPTY_MODE: u32 = 0o777;
/// The group's own files stay the group's.
const SET_GROUP: u32 = 0o2070;

/// Makes a volume or brings it up to date; `folder` is its place, `group` owns its files.
pub(crate) fn prepare(folder: &Path, plan: &Plan, group: Option<i64>) -> Result<(), AgentError> {
    let group = group.and_then(|group| u32::try_from(group).ok());
    match plan {
        Plan::Host { path, kind } => check_host(Path::new(path), kind),
        Plan::Empty { memory, size } => {
            let fresh = !folder.exists();
            create(folder)?;
            if *memory {
                mounts::memory(folder, *size)?;
            }
            if fresh || *memory {
                let mode = group.map_or(EMPTY_MODE, |_| EMPTY_MODE | SET_GROUP);
                fs::set_permissions(folder, fs::Permissions::from_mode(mode))
                    .map_err(AgentError::at("open", folder))?;
            }
            match group {
                Some(group) => chown(folder, None, Some(group)).map_err(AgentError::at("own", folder)),
                None => Ok(()),
            }
        }
        Plan::Files(files) => fill(folder, files, group),
    }
}

fn fill(folder: &Path, files: &Files, group: Option<u32>) -> Result<(), AgentError> {
    create(folder)?;
    if files.memory {
        mounts::memory(folder, None)?;
    }
    writer::write(folder, &files.entries, group)
}

fn create(folder: &Path) -> Result<(), AgentError> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(AgentError::at("create", folder))
}

/// Sees that a path of the host is what the pod expects, and makes it where the pod allows that.
fn check_host(path: &Path, kind: &str) -> Result<(), AgentError> {
    let refuse = |what: &str| AgentError::Configuration {
        what: "hostPath type check failed".to_owned(),
        cause: format!("{} is not {what}", path.display()),
    };
    let found = fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let (fits, what) = match kind {
        "DirectoryOrCreate" if found.is_none() => return create(path),
        "FileOrCreate" if found.is_none() => {
            return fs::File::create_new(path).map(drop).map_err(AgentError::at("create", path));
        }
        "Directory" | "DirectoryOrCreate" => (found.is_some_and(|kind| kind.is_dir()), "a directory"),
        "File" | "FileOrCreate" => (found.is_some_and(|kind| kind.is_file()), "a file"),
        "Socket" => (found.is_some_and(|kind| kind.is_socket()), "a socket file"),
        "CharDevice" => (found.is_some_and(|kind| kind.is_char_device()), "a character device"),
        "BlockDevice" => (found.is_some_and(|kind| kind.is_block_device()), "a block device"),
        _ => (true, ""),
    };
    if fits { Ok(()) } else { Err(refuse(what)) }
}

/// Takes away a folder and all that is mounted below it.
pub(crate) fn remove(folder: &Path) -> Result<(), AgentError> {
    unmount_below(folder);
    if let Some(left) = mounted_below(folder).first() {
        // Removing files now would remove them from what is mounted.
        return Err(AgentError::at("unmount", left)(io::ErrorKind::ResourceBusy.into()));
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        answer => answer.map_err(AgentError::at("remove", folder)),
    }
}

/// Whether something is mounted at a folder.
fn is_mount(folder: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    // A file of the same disk that is mounted elsewhere has the same device: the kernel's list knows better.
    let Some(own) = device(folder) else { return false };
    folder.parent().is_some_and(|parent| device(parent) != Some(own))
        || mounted_below(folder).iter().any(|p| p == folder)
}

/// Modes of files are those of their plans, not of whoever started this process.
pub(crate) fn clear_umask() {
    umask(Mode::from_bits_truncate(0o022));
}

#[cfg(test)]
mod tests;
