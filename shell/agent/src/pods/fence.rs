//! The fence of one pod: it holds the pod back until a server has confirmed it, and ends it when the node has been
//! out of touch for too long.

use std::sync::Arc;
use std::time::Duration;

use gantry_node::fence::{self, Fence};
use gantry_node::pod;
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;
use crate::limits::{CONTACT_LOOK, FENCE_LOOK};

/// What watches over a pod that has a fence.
pub(super) struct Guard {
    shared: Arc<Shared>,
    /// Whether a server has said, after a renewal of the lease, that the pod is still ours.
    confirmed: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// What is to be done about a pod's fence now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing; look again after this time.
    Run(Duration),
    /// It may not start yet; what runs of it may go on.
    Hold(Duration),
    /// It must end.
    End,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Guard {
    /// Begins to watch over a pod, if it has a fence.
    pub(super) fn start(shared: &Arc<Shared>, pod: &Arc<Pod>) -> Option<Self> {
        fence::stop_after(pod)?;
        shared.contact.record();
        let (sender, confirmed) = watch::channel(false);
        let task = tokio::spawn(confirm(shared.clone(), pod.clone(), sender));
        Some(Guard { shared: shared.clone(), confirmed, task })
    }

    /// Judges the pod; `idle`: nothing of it runs.
    pub(super) fn judge(&self, pod: &Pod, idle: bool) -> Verdict {
        match fence::judge(pod, self.shared.contact.silent()) {
            Fence::None => Verdict::Run(FENCE_LOOK),
            Fence::Open(_) if idle && !*self.confirmed.borrow() => Verdict::Hold(CONTACT_LOOK),
            Fence::Open(left) => Verdict::Run(left.min(FENCE_LOOK)),
            Fence::Shut if idle => Verdict::Hold(CONTACT_LOOK),
            Fence::Shut => Verdict::End,
        }
    }

    /// Waits until the pod is confirmed, or no longer so.
    pub(super) async fn changed(&mut self) {
        if self.confirmed.changed().await.is_err() {
            std::future::pending().await
        }
    }
}

/// Asks a server for the pod whenever the lease was renewed after a time in which the fence was shut: only then is it
/// sure that no server holds the node for silent and has given the pod's place away.
async fn confirm(shared: Arc<Shared>, pod: Arc<Pod>, confirmed: watch::Sender<bool>) {
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod::namespace(&pod), pod::name(&pod));
    loop {
        let open = matches!(fence::judge(&pod, shared.contact.silent()), Fence::Open(_));
        let ours = open && (*confirmed.borrow() || is_ours(&shared, &path, &pod).await);
        confirmed.send_if_modified(|before| std::mem::replace(before, ours) != ours);
        tokio::time::sleep(CONTACT_LOOK).await;
    }
}

async fn is_ours(shared: &Shared, path: &str, pod: &Pod) -> bool {
    let told = shared.client.get(path).await.unwrap_or_default();
    told["metadata"]["uid"] == pod::uid(pod) && told["metadata"]["deletionTimestamp"] == Value::Null
}
