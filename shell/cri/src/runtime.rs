//! The calls about sandboxes and containers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::channel::Socket;
use crate::limits::{CALL, EXEC_MARGIN, SANDBOX, STOP_MARGIN};
use crate::message::*;
use crate::{CriError, Events};

/// A container runtime at a Unix socket; clones share the connection.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) socket: Socket,
}

macro_rules! path {
    ($rpc:literal) => {
        concat!("/runtime.v1.RuntimeService/", $rpc)
    };
}

impl Runtime {
    /// The runtime at this socket; connects with the first call.
    pub fn new(socket: &Path) -> Self {
        Runtime { socket: Socket::new(socket) }
    }
    /// Name and version of the runtime.
    pub async fn version(&self) -> Result<VersionResponse, CriError> {
        self.socket.call("Version", path!("Version"), Empty {}, CALL).await
    }
    /// What the runtime says of itself: `RuntimeReady`, `NetworkReady`.
    pub async fn status(&self) -> Result<RuntimeStatus, CriError> {
        let answer: StatusResponse = self.socket.call("Status", path!("Status"), Empty {}, CALL).await?;
        Ok(answer.status.unwrap_or_default())
    }
    /// containerd's events from now on.
    pub async fn events(&self) -> Result<Events, CriError> {
        Events::subscribe(&self.socket).await
    }
    /// Makes and starts a sandbox; its id.
    pub async fn run_sandbox(&self, config: PodSandboxConfig, handler: &str) -> Result<String, CriError> {
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
        let answer: Id = self.socket.call("RunPodSandbox", path!("RunPodSandbox"), request, SANDBOX).await?;
        Ok(answer.id)
    }
    /// Stops a sandbox and all in it; no error where it is gone.
    pub async fn stop_sandbox(&self, id: &str) -> Result<(), CriError> {
        self.by_id("StopPodSandbox", path!("StopPodSandbox"), id, SANDBOX).await
    }
    /// Removes a sandbox and all in it; no error where it is gone.
    pub async fn remove_sandbox(&self, id: &str) -> Result<(), CriError> {
        self.by_id("RemovePodSandbox", path!("RemovePodSandbox"), id, SANDBOX).await
    }
    /// A sandbox's state and addresses; verbose adds `info`.
    pub async fn sandbox_status(&self, id: &str, verbose: bool) -> Result<PodSandboxStatusResponse, CriError> {
        let request = StatusRequest { id: id.to_owned(), verbose };
        self.socket.call("PodSandboxStatus", path!("PodSandboxStatus"), request, CALL).await
    }
    /// Sandboxes with these labels.
    pub async fn sandboxes(&self, labels: BTreeMap<String, String>) -> Result<Vec<PodSandbox>, CriError> {
        let request = ListPodSandboxRequest { filter: Some(PodSandboxFilter { label_selector: labels }) };
        let answer: ListPodSandboxResponse =
            self.socket.call("ListPodSandbox", path!("ListPodSandbox"), request, CALL).await?;
        Ok(answer.items)
    }
    /// Makes a container in a sandbox; its id.
    pub async fn create_container(
        &self,
        sandbox: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let answer: Id = self.socket.call("CreateContainer", path!("CreateContainer"), request, CALL).await?;
        Ok(answer.id)
    }
    /// Starts a container that was made.
    pub async fn start_container(&self, id: &str) -> Result<(), CriError> {
        let request = Id { id: id.to_owned() };
        let _: Empty = self.socket.call("StartContainer", path!("StartContainer"), request, CALL).await?;
        Ok(())
    }
    /// Asks a container to end, and kills it once `grace` is over; no error where it is gone.
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), CriError> {
        let timeout = i64::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let request = StopContainerRequest { container_id: id.to_owned(), timeout };
        let path = path!("StopContainer");
        let answer: Result<Empty, _> = self.socket.call("StopContainer", path, request, grace + STOP_MARGIN).await;
        unless_gone(answer.map(drop))
    }
    /// Removes a container, killing it if need be; no error where it is gone.
    pub async fn remove_container(&self, id: &str) -> Result<(), CriError> {
        self.by_id("RemoveContainer", path!("RemoveContainer"), id, CALL).await
    }
    /// Containers with these labels.
    pub async fn containers(&self, labels: BTreeMap<String, String>) -> Result<Vec<Container>, CriError> {
        let request = ListContainersRequest { filter: Some(ContainerFilter { label_selector: labels }) };
        let answer: ListContainersResponse =
            self.socket.call("ListContainers", path!("ListContainers"), request, CALL).await?;
        Ok(answer.containers)
    }
    /// All there is to know of a container; verbose adds `info`.
    pub async fn container_status(&self, id: &str, verbose: bool) -> Result<ContainerStatusResponse, CriError> {
        let request = StatusRequest { id: id.to_owned(), verbose };
        self.socket.call("ContainerStatus", path!("ContainerStatus"), request, CALL).await
    }
    /// Changes a running container's limits.
    pub async fn update_container(&self, id: &str, linux: LinuxContainerResources) -> Result<(), CriError> {
        let request = UpdateContainerResourcesRequest { container_id: id.to_owned(), linux: Some(linux) };
        let path = path!("UpdateContainerResources");
        let _: Empty = self.socket.call("UpdateContainerResources", path, request, CALL).await?;
        Ok(())
    }
    /// Makes the runtime open a container's log file anew, after it was moved away.
    pub async fn reopen_log(&self, id: &str) -> Result<(), CriError> {
        self.by_id("ReopenContainerLog", path!("ReopenContainerLog"), id, CALL).await
    }
    /// Runs a command in a container, to its end or to `bound`.
    pub async fn exec_sync(&self, id: &str, cmd: Vec<String>, bound: Duration) -> Result<ExecSyncResponse, CriError> {
        let timeout = i64::try_from(bound.as_secs()).unwrap_or(i64::MAX);
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd, timeout };
        self.socket.call("ExecSync", path!("ExecSync"), request, bound + EXEC_MARGIN).await
    }
    /// Where a command in a container can be talked to.
    pub async fn exec(&self, request: ExecRequest) -> Result<String, CriError> {
        let answer: UrlResponse = self.socket.call("Exec", path!("Exec"), request, CALL).await?;
        Ok(answer.url)
    }
    /// Where a container's first process can be talked to.
    pub async fn attach(&self, request: AttachRequest) -> Result<String, CriError> {
        let answer: UrlResponse = self.socket.call("Attach", path!("Attach"), request, CALL).await?;
        Ok(answer.url)
    }

    async fn by_id(
        &self,
        operation: &'static str,
        path: &'static str,
        id: &str,
        bound: Duration,
    ) -> Result<(), CriError> {
        let answer: Result<Empty, _> = self.socket.call(operation, path, Id { id: id.to_owned() }, bound).await;
        unless_gone(answer.map(drop))
    }
}

fn unless_gone(answer: Result<(), CriError>) -> Result<(), CriError> {
    match answer {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}
