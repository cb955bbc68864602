//! Files that change together: they lie in a folder that a link, `..data`, points to, and the link is what changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use gantry_node::volume::File;
use jiff::Timestamp;

use crate::error::AgentError;
use crate::failpoints::failpoint;

const LINK: &str = "..data";
const NEW_LINK: &str = "..data_tmp";

/// Makes `folder` hold exactly these files; does nothing where it does so already.
pub(super) fn write(folder: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> Result<(), AgentError> {
    for path in files.keys() {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || path.starts_with("..") || path.is_empty() {
            let cause = format!("{path:?} is not a path below the volume");
            return Err(AgentError::Configuration { what: "a file of a volume".to_owned(), cause });
        }
    }
    let present = fs::read_link(folder.join(LINK)).ok().map(|name| folder.join(name));
    if present.as_ref().is_some_and(|present| holds(present, files)) {
        return link_names(folder, files);
    }
    let fresh = fill(folder, files, group)?;
    let name = fresh.file_name().unwrap_or_default();
    let new_link = folder.join(NEW_LINK);
    let _ = fs::remove_file(&new_link);
    symlink(name, &new_link).map_err(AgentError::at("link", &new_link))?;
    failpoint!("agent::volume_before_swap");
    fs::rename(&new_link, folder.join(LINK)).map_err(AgentError::at("rename", &new_link))?;
    failpoint!("agent::volume_after_swap");
    link_names(folder, files)?;
    if let Some(old) = present {
        let _ = fs::remove_dir_all(old);
    }
    Ok(())
}

fn fill(folder: &Path, files: &BTreeMap<String, File>, group: Option<u32>) -> Result<PathBuf, AgentError> {
    let fresh = folder.join(format!("..{}", Timestamp::now().strftime("%Y_%m_%d_%H_%M_%S.%f")));
    fs::create_dir(&fresh).map_err(AgentError::at("create", &fresh))?;
    for (path, file) in files {
        let place = fresh.join(path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent).map_err(AgentError::at("create", parent))?;
        }
        fs::write(&place, &file.data).map_err(AgentError::at("write", &place))?;
        // Changing the owner drops permissions: the mode comes after it.
        if let Some(group) = group {
            chown(&place, None, Some(group)).map_err(AgentError::at("own", &place))?;
        }
        fs::set_permissions(&place, fs::Permissions::from_mode(file.mode)).map_err(AgentError::at("open", &place))?;
    }
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).map_err(AgentError::at("open", &fresh))?;
    Ok(fresh)
}

fn holds(folder: &Path, files: &BTreeMap<String, File>) -> bool {
    let same = |(path, file): (&String, &File)| {
        let place = folder.join(path);
        let mode = fs::metadata(&place).map(|metadata| metadata.permissions().mode() & 0o777);
        mode.is_ok_and(|mode| mode == file.mode) && fs::read(&place).is_ok_and(|data| data == file.data)
    };
    files.iter().all(same) && count(folder) == files.len()
}

fn count(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
}

/// Makes the names that people see: links into `..data`.
fn link_names(folder: &Path, files: &BTreeMap<String, File>) -> Result<(), AgentError> {
    let first = |path: &String| Path::new(path).iter().next().map(|part| part.to_os_string());
    let wanted: BTreeSet<_> = files.keys().filter_map(first).collect();
    for name in &wanted {
        let link = folder.join(name);
        if fs::symlink_metadata(&link).is_err() {
            symlink(Path::new(LINK).join(name), &link).map_err(AgentError::at("link", &link))?;
        }
    }
    for entry in fs::read_dir(folder).map_err(AgentError::at("read", folder))?.flatten() {
        let name = entry.file_name();
        if !wanted.contains(&name) && !name.as_encoded_bytes().starts_with(b"..") {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}
