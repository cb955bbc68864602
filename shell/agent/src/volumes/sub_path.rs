//! A path in a volume, mounted by itself: found without ever leaving the volume, whatever links lie in it.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

use super::{is_mount, mounts};
use crate::error::AgentError;

/// Mounts `path` in the volume at `root` to `target`; what does not exist is made, as a folder.
pub(crate) fn bind(root: &Path, path: &str, target: &Path) -> Result<(), AgentError> {
    if is_mount(target) {
        return Ok(());
    }
    let found = resolve(root, Path::new(path)).map_err(|error| AgentError::at("resolve", &root.join(path))(error))?;
    let kind = fstat(&found).map_err(|error| AgentError::at("look at", target)(error.into()))?;
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(AgentError::at("create", parent))?;
    }
    let is_folder = SFlag::from_bits_truncate(kind.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
    let made = if is_folder { std::fs::create_dir_all(target) } else { std::fs::write(target, "") };
    made.map_err(AgentError::at("create", target))?;
    mounts::bind(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())), target)
}

fn how(flags: OFlag) -> OpenHow {
    let inside = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    OpenHow::new().flags(flags | OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(inside)
}

fn resolve(root: &Path, path: &Path) -> io::Result<OwnedFd> {
    let root = open(root, OFlag::O_PATH | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY, Mode::empty())?;
    match openat2(&root, path, how(OFlag::empty())) {
        Err(Errno::ENOENT) => {}
        answer => return answer.map_err(io::Error::from),
    }
    // Each part is opened, or made, below the one before: a link put there meanwhile cannot lead outside.
    let mode = Mode::from_bits_truncate(fstat(&root)?.st_mode & 0o7777);
    let mut walked = std::path::PathBuf::new();
    let mut folder = openat2(&root, ".", how(OFlag::O_DIRECTORY))?;
    for part in path.components().filter(|part| matches!(part, Component::Normal(_))) {
        walked.push(part);
        folder = match openat2(&root, &walked, how(OFlag::empty())) {
            Err(Errno::ENOENT) => {
                mkdirat(&folder, part.as_os_str(), mode)?;
                let made = openat2(&root, &walked, how(OFlag::O_DIRECTORY))?;
                // Whoever may write the volume may write a folder of it, whatever this process's mask says.
                let place = format!("/proc/self/fd/{}", made.as_raw_fd());
                std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode.bits()))?;
                made
            }
            answer => answer?,
        };
    }
    Ok(folder)
}
