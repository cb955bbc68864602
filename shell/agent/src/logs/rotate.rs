//! Keeping logs small: a log that has grown is moved away and begun anew; the oldest of those moved away go.

use std::fs;
use std::path::{Path, PathBuf};

use gantry_node::sandbox;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::limits::{LOG_BYTES, LOG_FILES, LOG_LOOK};
use crate::pods::Pods;

/// Looks after the logs of all running containers until `shutdown`.
pub(crate) async fn rotate(pods: Pods, shutdown: CancellationToken) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOG_LOOK) => {}
        }
        for seen in pods.all() {
            let logs = pods.shared().paths.logs();
            let folder = PathBuf::from(sandbox::log_folder(&seen.pod, &logs.to_string_lossy()));
            for container in seen.observed.containers.iter().filter(|container| container.alive()) {
                let log = folder.join(&container.name).join(format!("{}.log", container.attempt));
                if move_away(&log) {
                    let _ = pods.shared().runtime.cri.reopen_log(&container.id).await;
                }
            }
        }
    }
}

/// Moves a log away if it has grown too large; whether it was moved.
pub(super) fn move_away(log: &Path) -> bool {
    if !fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES) {
        return false;
    }
    let mut name = log.as_os_str().to_owned();
    name.push(format!(".{}", Timestamp::now().strftime("%Y%m%d-%H%M%S")));
    if fs::rename(log, PathBuf::from(name)).is_err() {
        return false;
    }
    let mut old: Vec<_> = siblings(log);
    old.sort();
    // The file that is being written counts too.
    let surplus = old.len().saturating_sub(LOG_FILES - 1);
    for file in old.drain(..surplus) {
        let _ = fs::remove_file(file);
    }
    true
}

fn siblings(log: &Path) -> Vec<PathBuf> {
    let prefix = format!("{}.", log.file_name().unwrap_or_default().to_string_lossy());
    let entries = log.parent().map(fs::read_dir).into_iter().flatten().flatten().flatten();
    let moved = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    moved.map(|entry| entry.path()).collect()
}
