//! Cgroups of pods, version 1, version 2 and both at once.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gantry_node::cgroup::{PERIOD, Resources, weight};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::error::AgentError;

/// How often removing a cgroup is tried while its last processes end, and the wait between.
const REMOVALS: (u32, Duration) = (50, Duration::from_millis(4));

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    mount: PathBuf,
    /// Version 1: which controllers. Version 2: none.
    controllers: Vec<String>,
    unified: bool,
}

/// The hierarchies of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    hierarchies: Vec<Hierarchy>,
}

impl Cgroups {
    /// Finds the hierarchies.
    pub(crate) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Cgroups { hierarchies: parse(&mounts) }
    }

    fn is_unified(&self) -> bool {
        self.hierarchies.iter().all(|hierarchy| hierarchy.unified)
    }

    /// Makes a pod's cgroup, with its limits.
    pub(crate) fn ensure(&self, path: &str, resources: &Resources) -> Result<(), AgentError> {
        if self.is_unified() {
            return self.ensure_unified(path, resources);
        }
        for hierarchy in &self.hierarchies {
            let has = |name: &str| hierarchy.controllers.iter().any(|controller| controller == name);
            if !has("cpu") && !has("memory") && !has("pids") {
                continue;
            }
            let folder = below(&hierarchy.mount, path);
            fs::create_dir_all(&folder).map_err(AgentError::at("create", &folder))?;
            if has("cpu") {
                write(&folder, "cpu.shares", &resources.cpu_shares.to_string())?;
                write(&folder, "cpu.cfs_period_us", &PERIOD.to_string())?;
                write(&folder, "cpu.cfs_quota_us", &resources.cpu_quota.unwrap_or(-1).to_string())?;
            }
            if has("memory")
                && let Some(memory) = resources.memory
            {
                write(&folder, "memory.limit_in_bytes", &memory.to_string())?;
            }
            if has("pids") {
                write(&folder, "pids.max", &pids(resources))?;
            }
        }
        Ok(())
    }

    fn ensure_unified(&self, path: &str, resources: &Resources) -> Result<(), AgentError> {
        let Some(root) = self.hierarchies.first() else { return Ok(()) };
        let mut folder = root.mount.clone();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            for controller in ["+cpu", "+memory", "+pids"] {
                // Missing controllers show when a limit is set.
                let _ = fs::write(folder.join("cgroup.subtree_control"), controller);
            }
            folder.push(part);
            match fs::create_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                answer => answer.map_err(AgentError::at("create", &folder))?,
            }
        }
        write(&folder, "cpu.weight", &weight(resources.cpu_shares).to_string())?;
        let quota = resources.cpu_quota.map_or("max".to_owned(), |quota| quota.to_string());
        write(&folder, "cpu.max", &format!("{quota} {PERIOD}"))?;
        write(&folder, "memory.max", &resources.memory.map_or("max".to_owned(), |memory| memory.to_string()))?;
        // A kernel that cannot count processes can do without a limit of them, not with one.
        if resources.pids.is_none() && !folder.join("pids.max").exists() {
            return Ok(());
        }
        write(&folder, "pids.max", &pids(resources))
    }

    /// Kills what is left in a cgroup and removes it and all below it, in every hierarchy.
    pub(crate) async fn remove(&self, path: &str) {
        for attempt in 0..REMOVALS.0 {
            let left: Vec<_> = self.hierarchies.iter().map(|hierarchy| below(&hierarchy.mount, path)).collect();
            let left: Vec<_> = left.into_iter().filter(|folder| folder.exists()).collect();
            if left.is_empty() {
                return;
            }
            for folder in &left {
                if attempt > 0 {
                    kill_all(folder);
                }
                remove_tree(folder);
            }
            if attempt > 0 {
                tokio::time::sleep(REMOVALS.1).await;
            }
        }
        tracing::warn!(path, "a cgroup cannot be removed");
    }

    /// Removes the cgroups of these pods (uids) below `root`, and `root` itself if nobody else is in it.
    pub(crate) async fn remove_pods(&self, root: &str, uids: &BTreeSet<String>) {
        for (_, path) in self.pods(root).into_iter().filter(|(uid, _)| uids.contains(uid)) {
            self.remove(&path).await;
        }
        let folders = self.hierarchies.iter().map(|hierarchy| below(&hierarchy.mount, root));
        folders.for_each(|folder| remove_tree(&folder));
    }

    /// The uids of pods that have cgroups below `root`, with these.
    pub(crate) fn pods(&self, root: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for hierarchy in &self.hierarchies {
            for class in ["", "/burstable", "/besteffort"] {
                let path = format!("{root}{class}");
                for entry in fs::read_dir(below(&hierarchy.mount, &path)).into_iter().flatten().flatten() {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    if let Some(uid) = name.strip_prefix("pod") {
                        found.push((uid.to_owned(), format!("{path}/{name}")));
                    }
                }
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

fn below(mount: &Path, path: &str) -> PathBuf {
    mount.join(path.trim_start_matches('/'))
}

fn write(folder: &Path, file: &str, value: &str) -> Result<(), AgentError> {
    let path = folder.join(file);
    fs::write(&path, value).map_err(AgentError::at("write", &path))
}

/// What `pids.max` is to say.
fn pids(resources: &Resources) -> String {
    resources.pids.map_or("max".to_owned(), |pids| pids.to_string())
}

fn kill_all(folder: &Path) {
    each_folder(folder, &mut |folder| {
        for pid in fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default().lines() {
            if let Ok(pid) = pid.parse() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    });
}

fn remove_tree(folder: &Path) {
    each_folder(folder, &mut |folder| drop(fs::remove_dir(folder)));
}

/// Visits a folder and those below it, the deepest first.
fn each_folder(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            each_folder(&entry.path(), visit);
        }
    }
    visit(folder);
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let lines = mounts.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mount = PathBuf::from(left.split(' ').nth(4)?);
        let mut right = right.split(' ');
        let (kind, _, options) = (right.next()?, right.next()?, right.next().unwrap_or_default());
        match kind {
            "cgroup2" => Some(Hierarchy { mount, controllers: Vec::new(), unified: true }),
            "cgroup" => {
                let controllers = options.split(',').map(str::to_owned).collect();
                Some(Hierarchy { mount, controllers, unified: false })
            }
            _ => None,
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_limited_in_both_versions() {
        let limited = Resources { pids: Some(7), ..cgroup() };
        for (controllers, unified) in [(vec!["pids".to_owned()], false), (Vec::new(), true)] {
            let mount = tempfile::tempdir().unwrap();
            let cgroups =
                Cgroups { hierarchies: vec![Hierarchy { mount: mount.path().to_owned(), controllers, unified }] };
            let says = || fs::read_to_string(mount.path().join("gantry/pod1/pids.max")).ok();
            cgroups.ensure("/gantry/pod1", &cgroup()).unwrap();
            assert_eq!(says(), if unified { None } else { Some("max".to_owned()) });
            cgroups.ensure("/gantry/pod1", &limited).unwrap();
            assert_eq!(says(), Some("7".to_owned()));
            cgroups.ensure("/gantry/pod1", &cgroup()).unwrap();
            assert_eq!(says(), Some("max".to_owned()));
        }
    }

    fn cgroup() -> Resources {
        Resources { cpu_shares: 2, ..Resources::default() }
    }

    #[test]
    fn both_versions_are_found() {
        let mounts = "30 27 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            31 27 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            32 27 0:28 / /proc rw - proc proc rw\n";
        let found = parse(mounts);
        assert_eq!(found.len(), 2);
        assert!(found[0].controllers.contains(&"cpu".to_owned()) && found[1].unified);
        assert!(!Cgroups { hierarchies: found.clone() }.is_unified());
        assert!(Cgroups { hierarchies: found[1..].to_vec() }.is_unified());
    }
}
