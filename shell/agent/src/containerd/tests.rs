//! With a real containerd, where there is one and we are root.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use gantry_cri::message::{
    LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata,
};
use nix::sys::signal::{Signal, kill};
use tokio::sync::mpsc;

use super::*;
use crate::images;
use crate::runtime::{Happened, Watched};
use crate::teardown::end_runtime;

/// How long anything may take here.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that can be the first of a pod.
fn sleeper() -> Option<Bytes> {
    std::fs::read("/bin/busybox").ok().map(Bytes::from)
}

fn sandbox(uid: &str, cgroup: &str) -> PodSandboxConfig {
    let namespaces = NamespaceOption { network: NamespaceMode::Node as i32, ..NamespaceOption::default() };
    let security =
        LinuxSandboxSecurityContext { namespace_options: Some(namespaces), ..LinuxSandboxSecurityContext::default() };
    let metadata =
        PodSandboxMetadata { name: "p".to_owned(), uid: uid.to_owned(), namespace: "n".to_owned(), attempt: 0 };
    PodSandboxConfig {
        metadata: Some(metadata),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup.to_owned(),
            security_context: Some(security),
            ..LinuxPodSandboxConfig::default()
        }),
        ..PodSandboxConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_containerd_and_nothing_outlives_the_end() {
    let able = nix::unistd::geteuid().is_root() && Path::new("/usr/bin/containerd").exists();
    let Some(program) = sleeper().filter(|_| able) else { return };
    let folder = tempfile::Builder::new().prefix("gantry-containerd").tempdir_in("/tmp").unwrap();
    let paths = Paths::new(folder.path());
    let cgroup_root = format!("/gantry-test-{}", std::process::id());
    let shutdown = CancellationToken::new();
    let outcome = tokio::time::timeout(PATIENCE, live(&paths, program, &cgroup_root, &shutdown)).await;
    shutdown.cancel();
    end_runtime(&paths, &cgroup_root).await;
    outcome.expect("in time");
    assert!(find(&paths).is_none());
    assert!(crate::volumes::mounted_below(paths.root()).is_empty());
    assert!(crate::cgroups::Cgroups::find().pods(&cgroup_root).is_empty());
    assert!(!Path::new("/sys/fs/cgroup/memory").join(cgroup_root.trim_start_matches('/')).exists());
}

async fn live(paths: &Paths, program: Bytes, cgroup_root: &str, shutdown: &CancellationToken) {
    let registries = Path::new("/nonexistent");
    ensure(paths, registries).await.unwrap();
    let first = find(paths).unwrap();
    let suspect = Arc::new(Notify::new());
    supervise(paths.clone(), registries.to_owned(), suspect.clone(), shutdown.clone());
    let runtime = Runtime::new(&paths.socket());
    // Busybox is what it is called.
    let (socket, command) = (paths.socket(), ["/sleep", "1000"]);
    images::ensure_image(&runtime, &socket, paths, PAUSE_IMAGE, "sleep", &command, &program).await.unwrap();

    let watched = Watched::new(runtime.clone(), suspect);
    let (sender, mut happened) = mpsc::channel(8);
    tokio::spawn(watched.clone().listen(sender));
    assert!(matches!(happened.recv().await, Some(Happened::Missed)));
    let id = runtime.run_sandbox(sandbox("u1", &format!("{cgroup_root}/podu1")), "").await.unwrap();
    watched.own(&id, "u1");

    kill(first, Signal::SIGKILL).unwrap();
    assert!(matches!(happened.recv().await, Some(Happened::Missed)), "it is heard again after it came back");
    assert_ne!(find(paths).unwrap(), first);
    let status = runtime.sandbox_status(&id, true).await.unwrap();
    assert_eq!(status.status.unwrap().state, 0, "what ran still runs");
    assert_eq!(watched.pods().await.unwrap().into_keys().collect::<Vec<_>>(), ["u1"]);

    runtime.stop_sandbox(&id).await.unwrap();
    let ended = happened.recv().await;
    assert!(matches!(ended, Some(Happened::Exited { ref uid, .. }) if uid == "u1"), "{ended:?}");
    let second = runtime.run_sandbox(sandbox("u2", &format!("{cgroup_root}/podu2")), "").await.unwrap();
    assert!(!second.is_empty(), "left for the end to take away");
    assert_eq!(runtime.sandboxes(BTreeMap::new()).await.unwrap().len(), 2);
}
