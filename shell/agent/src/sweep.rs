//! What pods leave behind that the API no longer knows: sandboxes, cgroups, folders. Taken away.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use crate::pods::{Shared, remove_all};
use crate::volumes;

/// Begins to take away all that belongs to no pod of `known` (uids), beside everything else.
pub(crate) fn start(shared: Arc<Shared>, known: BTreeSet<String>) {
    tokio::spawn(async move {
        sandboxes(&shared, &known).await;
        let root = shared.node.borrow().cgroup_root.clone();
        for (_, path) in shared.cgroups.pods(&root).into_iter().filter(|(uid, _)| !known.contains(uid)) {
            shared.cgroups.remove(&path).await;
        }
        let (paths, kept) = (shared.paths.clone(), known.clone());
        let swept = tokio::task::spawn_blocking(move || {
            folders(&paths.pods(), |name| kept.contains(name));
            // Logs are in folders named NAMESPACE_NAME_UID.
            folders(&paths.logs(), |name| name.rsplit('_').next().is_some_and(|uid| kept.contains(uid)));
        });
        let _ = swept.await;
    });
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

fn folders(parent: &std::path::Path, kept: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !kept(&entry.file_name().to_string_lossy())
            && let Err(error) = volumes::remove(&entry.path())
        {
            tracing::warn!(%error, "what a pod left behind stays");
        }
    }
}
