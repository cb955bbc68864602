//! Mounts below the agent's directory.

use std::fs;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::is_mount;
use crate::error::AgentError;

/// Mounts a folder in memory, unless it is one; `size` bounds it.
pub(super) fn memory(folder: &Path, size: Option<i64>) -> Result<(), AgentError> {
    if is_mount(folder) {
        return Ok(());
    }
    let options = size.map(|size| format!("size={size}"));
    mount(Some("tmpfs"), folder, Some("tmpfs"), MsFlags::empty(), options.as_deref())
        .map_err(|error| AgentError::at("mount", folder)(error.into()))
}

/// Mounts `source` at `target` as well.
pub(super) fn bind(source: &Path, target: &Path) -> Result<(), AgentError> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .map_err(|error| AgentError::at("mount", target)(error.into()))
}

/// All mount points at or below a folder, the last mounted first.
pub(crate) fn mounted_below(folder: &Path) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| PathBuf::from(unescape(point)));
    let mut below: Vec<_> = points.filter(|point| point.starts_with(folder)).collect();
    below.reverse();
    below
}

/// Unmounts all at or below a folder.
pub(crate) fn unmount_below(folder: &Path) {
    for point in mounted_below(folder) {
        if let Err(error) = umount2(&point, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            tracing::warn!(path = %point.display(), %error, "cannot unmount");
        }
    }
}

/// Spaces and the like are octal in the kernel's list.
fn unescape(text: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"].iter().zip([" ", "\t", "\n", "\\"]).fold(
        text.to_owned(),
        |text, (from, to)| {
            if text.contains(from) { text.replace(from, to) } else { text }
        },
    )
}
