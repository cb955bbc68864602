//! The container runtime as the agent sees it: what it says of pods, and its events, each brought to its pod.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use gantry_cri::message::{self, ContainerState, PodSandboxState};
use gantry_cri::{CriError, Event, Runtime};
use gantry_node::container::{HASH_ANNOTATION, NAME_LABEL, POD_UID_LABEL};
use gantry_node::{Container, Exit, Observed, Sandbox, State};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// How often the runtime is asked whether it has noticed that a container has ended, and the first wait between.
const SETTLE: (u32, Duration) = (11, Duration::from_millis(1));
/// The wait between attempts to hear events again.
const LISTEN_AGAIN: Duration = Duration::from_millis(20);

/// What happened in the runtime, for one pod or for all.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// A container or sandbox of this pod has ended.
    Exited { uid: String, id: String, code: i32, at: Timestamp },
    /// Events may have been missed: look at everything again.
    Missed,
}

/// The runtime with what is known of its containers.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) cri: Runtime,
    owners: Arc<Mutex<HashMap<String, String>>>,
    suspect: Arc<Notify>,
}

/// A timestamp of the runtime; 0 is none.
fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(i128::from(nanoseconds)).ok()).flatten()
}

impl Watched {
    pub(crate) fn new(cri: Runtime, suspect: Arc<Notify>) -> Self {
        Watched { cri, owners: Arc::default(), suspect }
    }

    /// Remembers whose a container or sandbox is.
    pub(crate) fn own(&self, id: &str, uid: &str) {
        self.owners.lock().insert(id.to_owned(), uid.to_owned());
    }
    /// Forgets a pod that is gone.
    pub(crate) fn disown(&self, uid: &str) {
        self.owners.lock().retain(|_, owner| owner != uid);
    }

    /// All pods that the runtime knows, by uid.
    pub(crate) async fn pods(&self) -> Result<BTreeMap<String, Vec<message::PodSandbox>>, CriError> {
        let mut pods: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for sandbox in self.cri.sandboxes(BTreeMap::new()).await? {
            let uid = sandbox.metadata.as_ref().map(|metadata| metadata.uid.clone()).unwrap_or_default();
            pods.entry(uid).or_default().push(sandbox);
        }
        Ok(pods)
    }

    /// All that the runtime says of a pod.
    pub(crate) async fn observe(&self, uid: &str) -> Result<Observed, CriError> {
        let labels: BTreeMap<_, _> = [(POD_UID_LABEL.to_owned(), uid.to_owned())].into();
        let (sandboxes, containers) =
            tokio::try_join!(self.cri.sandboxes(labels.clone()), self.cri.containers(labels))?;
        let mut observed = Observed::default();
        for sandbox in sandboxes {
            self.own(&sandbox.id, uid);
            observed.sandboxes.extend(self.sandbox(&sandbox.id).await?);
        }
        for container in containers {
            self.own(&container.id, uid);
            observed.containers.extend(self.container(&container.id, &container.pod_sandbox_id).await?);
        }
        Ok(observed)
    }

    /// A sandbox; `None` when it is gone.
    pub(crate) async fn sandbox(&self, id: &str) -> Result<Option<Sandbox>, CriError> {
        let status = match self.cri.sandbox_status(id, false).await {
            Err(error) if error.is_not_found() => return Ok(None),
            answer => answer?.status.unwrap_or_default(),
        };
        let network = status.network.unwrap_or_default();
        let ips = std::iter::once(network.ip).chain(network.additional_ips.into_iter().map(|ip| ip.ip));
        Ok(Some(Sandbox {
            id: status.id,
            attempt: status.metadata.map_or(0, |metadata| metadata.attempt),
            ready: status.state == PodSandboxState::Ready as i32,
            created: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
            ips: ips.filter(|ip| !ip.is_empty()).collect(),
        }))
    }

    /// A container of a sandbox; `None` when it is gone.
    pub(crate) async fn container(&self, id: &str, sandbox: &str) -> Result<Option<Container>, CriError> {
        match self.cri.container_status(id, false).await {
            Err(error) if error.is_not_found() => Ok(None),
            answer => {
                let container = read(answer?.status.unwrap_or_default());
                Ok(Some(Container { sandbox: sandbox.to_owned(), ..container }))
            }
        }
    }

    /// A container that is known to have ended at `at`, as soon as the runtime says so too.
    pub(crate) async fn ended(&self, known: &Container, code: i32, at: Timestamp) -> Result<Container, CriError> {
        let mut wait = SETTLE.1;
        for _ in 0..SETTLE.0 {
            match self.cri.container_status(&known.id, false).await {
                Err(error) if error.is_not_found() => break,
                answer => {
                    let mut container = read(answer?.status.unwrap_or_default());
                    container.sandbox.clone_from(&known.sandbox);
                    if !container.alive() {
                        return Ok(container);
                    }
                }
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        let reason = if code == 0 { "Completed" } else { "Error" }.to_owned();
        let exit = Exit { since: known.running_since(), at, code, reason, message: String::new() };
        Ok(Container { state: State::Exited(exit), ..known.clone() })
    }

    /// A sandbox that is known to have ended, as soon as the runtime says so too; `None` when it is gone. A runtime that
    /// is busy takes long to notice, so its last word is not waited for: nothing can be started in such a sandbox.
    pub(crate) async fn ended_sandbox(&self, known: &Sandbox) -> Option<Sandbox> {
        let mut wait = SETTLE.1;
        for _ in 0..SETTLE.0 {
            match self.sandbox(&known.id).await {
                Ok(None) => return None,
                Ok(Some(sandbox)) if !sandbox.ready => return Some(sandbox),
                Ok(Some(_)) | Err(_) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        Some(Sandbox { ready: false, ..known.clone() })
    }

    /// Hears the runtime's events for ever and passes them on.
    pub(crate) async fn listen(self, happened: mpsc::Sender<Happened>) {
        loop {
            if let Ok(mut events) = self.cri.events().await {
                if happened.send(Happened::Missed).await.is_err() {
                    return;
                }
                while let Ok(event) = events.next().await {
                    let Some(news) = self.interpret(event) else { continue };
                    if happened.send(news).await.is_err() {
                        return;
                    }
                }
                tracing::info!("the container runtime's events have ended");
            }
            self.suspect.notify_one();
            tokio::time::sleep(LISTEN_AGAIN).await;
        }
    }

    fn interpret(&self, event: Event) -> Option<Happened> {
        match event {
            Event::Exited { container: id, code, at } => {
                let uid = self.owners.lock().get(&id)?.clone();
                Some(Happened::Exited { uid, id, code, at: time(at).unwrap_or_else(Timestamp::now) })
            }
            Event::Started { .. } | Event::OutOfMemory { .. } => None,
        }
    }
}

/// What a status says; the sandbox is left empty.
fn read(status: message::ContainerStatus) -> Container {
    let since = time(status.started_at);
    let state = match ContainerState::try_from(status.state) {
        Ok(ContainerState::Created) => State::Created,
        Ok(ContainerState::Running) => State::Running { since: since.unwrap_or(Timestamp::UNIX_EPOCH) },
        Ok(ContainerState::Exited) => State::Exited(Exit {
            since,
            at: time(status.finished_at).unwrap_or(Timestamp::UNIX_EPOCH),
            code: status.exit_code,
            reason: status.reason,
            message: status.message,
        }),
        Ok(ContainerState::Unknown) | Err(_) => State::Unknown,
    };
    let metadata = status.metadata.unwrap_or_default();
    let linux = status.user.and_then(|user| user.linux);
    Container {
        id: status.id,
        sandbox: String::new(),
        name: status.labels.get(NAME_LABEL).cloned().unwrap_or(metadata.name),
        attempt: metadata.attempt,
        created: time(status.created_at).unwrap_or(Timestamp::UNIX_EPOCH),
        state,
        image: status.image.map(|image| image.image).unwrap_or_default(),
        image_id: status.image_ref,
        hash: status.annotations.get(HASH_ANNOTATION).cloned().unwrap_or_default(),
        user: linux.map(|user| (user.uid, user.gid, user.supplemental_groups)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_ended_sandbox_is_not_ready_whatever_the_runtime_says() {
        let folder = tempfile::tempdir().unwrap();
        let cri = Runtime::new(&folder.path().join("nobody-listens"));
        let watched = Watched::new(cri, Arc::default());
        let known =
            Sandbox { id: "s".to_owned(), attempt: 0, ready: true, created: Timestamp::UNIX_EPOCH, ips: Vec::new() };
        let expected = Sandbox { ready: false, ..known.clone() };
        assert_eq!(watched.ended_sandbox(&known).await, Some(expected));
    }
}
