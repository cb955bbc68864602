//! Taking a node apart: nothing of it stays on the machine but files below its own directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::Path;

use futures_util::{StreamExt, stream};
use gantry_cri::Runtime;
use gantry_net::Cidr;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cgroups::Cgroups;
use crate::config::Config;
use crate::error::AgentError;
use crate::limits::TEARDOWNS;
use crate::paths::Paths;
use crate::{cni, containerd, net, sweep, volumes};

/// Ends all pods and the private containerd, and removes mounts, cgroups and the network. May be repeated.
pub async fn teardown(data_dir: &Path, cgroup_root: &str) -> Result<(), AgentError> {
    let paths = Paths::new(data_dir);
    end_runtime(&paths, cgroup_root).await;
    if let Some(service_cidr) = Cidr::parse(Config::SERVICE_CIDR) {
        net::teardown(service_cidr, Config::CLUSTER_DNS).await;
    }
    cni::forget(&paths);
    forget_sockets();
    for folder in [paths.pods(), paths.logs(), paths.cni_state(), paths.containerd().join("state")] {
        volumes::remove(&folder)?;
    }
    Ok(())
}

/// Ends all pods and the private containerd; no process, mount or cgroup is left.
pub(crate) async fn end_runtime(paths: &Paths, cgroup_root: &str) {
    let mut uids = sweep::ours(paths);
    match pods(paths).await {
        Ok(ended) => uids.extend(ended),
        // What cannot be ended in good order is ended by force, below.
        Err(error) => tracing::warn!(%error, "pods are not ended in good order"),
    }
    containerd::stop(paths).await;
    Cgroups::find().remove_pods(cgroup_root, &uids).await;
    end_shims(paths);
    volumes::unmount_below(paths.root());
}

/// Ends all pods through containerd, which is started for that if it does not run; their uids.
async fn pods(paths: &Paths) -> Result<Vec<String>, AgentError> {
    if !paths.containerd().join("config.toml").exists() {
        return Ok(Vec::new());
    }
    let state = paths.containerd().join("state/io.containerd.runtime.v2.task/k8s.io");
    let present = fs::read_dir(state).is_ok_and(|mut folder| folder.next().is_some());
    if containerd::find(paths).is_none() && !present {
        return Ok(Vec::new());
    }
    containerd::ensure_as_it_was(paths).await?;
    let runtime = Runtime::new(&paths.socket());
    let sandboxes = runtime.sandboxes(BTreeMap::new()).await?;
    let ends = stream::iter(sandboxes).map(|sandbox| {
        let runtime = runtime.clone();
        async move {
            runtime.stop_sandbox(&sandbox.id).await?;
            runtime.remove_sandbox(&sandbox.id).await?;
            Ok(sandbox.metadata.unwrap_or_default().uid)
        }
    });
    let ended: Vec<_> = ends.buffer_unordered(TEARDOWNS).collect().await;
    ended.into_iter().collect()
}

/// Removes sockets that nobody listens on any more from the place that all containerds of a machine share.
fn forget_sockets() {
    let shared = Path::new("/run/containerd/s");
    for entry in fs::read_dir(shared).into_iter().flatten().flatten() {
        let refused = UnixStream::connect(entry.path()).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        if refused {
            let _ = fs::remove_file(entry.path());
        }
    }
    // Only where they are empty.
    let _ = fs::remove_dir(shared);
    let _ = fs::remove_dir("/run/containerd");
}

/// Kills the processes that watched over containers of our containerd.
fn end_shims(paths: &Paths) {
    let socket = paths.socket();
    let socket = socket.as_os_str().as_encoded_bytes();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = command.split(|byte| *byte == 0);
        let is_shim = words.next().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
        if is_shim && words.any(|word| word == socket) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
