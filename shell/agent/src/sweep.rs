//! What pods leave behind that the API no longer knows: sandboxes, cgroups, folders. Taken away.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::paths::Paths;
use crate::pods::{Shared, remove_all};
use crate::volumes;

/// Begins to take away all that belongs to no pod of `known` (uids), beside everything else. Only what is our own is
/// looked at: other nodes may live on this machine.
pub(crate) fn start(shared: Arc<Shared>, known: BTreeSet<String>) {
    tokio::spawn(async move {
        let mut left = ours(&shared.paths);
        left.retain(|uid| !known.contains(uid));
        sandboxes(&shared, &known).await;
        let root = shared.node.borrow().cgroup_root.clone();
        for (_, path) in shared.cgroups.pods(&root).into_iter().filter(|(uid, _)| left.contains(uid)) {
            shared.cgroups.remove(&path).await;
        }
        let paths = shared.paths.clone();
        let swept = tokio::task::spawn_blocking(move || {
            folders(&paths.pods(), |name| left.contains(name));
            folders(&paths.logs(), |name| left.contains(uid_of(name)));
        });
        let _ = swept.await;
    });
}

/// Logs are in folders named NAMESPACE_NAME_UID.
fn uid_of(logs: &str) -> &str {
    logs.rsplit('_').next().unwrap_or_default()
}

/// The uids of all pods that have left anything in our directory.
pub(crate) fn ours(paths: &Paths) -> BTreeSet<String> {
    let names = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    names(paths.pods()).chain(names(paths.logs()).map(|name| uid_of(&name).to_owned())).collect()
}

async fn sandboxes(shared: &Shared, known: &BTreeSet<String>) {
    let Ok(pods) = shared.runtime.pods().await else { return };
    for (uid, sandboxes) in pods.into_iter().filter(|(uid, _)| !known.contains(uid)) {
        tracing::info!(uid, "taking away a pod that the API does not know");
        for sandbox in &sandboxes {
            if let Err(error) = shared.runtime.cri.stop_sandbox(&sandbox.id).await {
                tracing::warn!(uid, %error, "cannot stop");
            }
        }
        let ids = sandboxes.iter().map(|sandbox| sandbox.id.as_str());
        if let Err(error) = remove_all(&shared.runtime.cri, ids).await {
            tracing::warn!(uid, %error, "cannot remove");
        }
    }
}

fn folders(parent: &Path, goes: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if goes(&entry.file_name().to_string_lossy())
            && let Err(error) = volumes::remove(&entry.path())
        {
            tracing::warn!(%error, "what a pod left behind stays");
        }
    }
}
