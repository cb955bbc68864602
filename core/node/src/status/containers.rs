//! The statuses of a pod's containers.

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    ContainerUser, LinuxContainerUser, Pod, PodStatus, VolumeMountStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::memory::{ContainerMemory, Memory};
use crate::observed::{self, Exit, Observed, State};
use crate::pod::{self, Role};

/// The statuses of the init containers, in order, or of the main ones, by name.
pub(super) fn statuses(
    pod: &Pod,
    before: &PodStatus,
    observed: &Observed,
    memory: &Memory,
    inits: bool,
) -> Vec<ContainerStatus> {
    let before = if inits { &before.init_container_statuses } else { &before.container_statuses };
    let wanted = pod::containers(pod).filter(|(role, _)| (*role != Role::Main) == inits);
    let mut statuses: Vec<_> = wanted
        .map(|(role, container)| {
            let told = before.iter().flatten().find(|status| status.name == container.name);
            one(pod, role, container, told, observed, memory)
        })
        .collect();
    if !inits {
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
    }
    statuses
}

fn one(
    pod: &Pod,
    role: Role,
    container: &Container,
    told: Option<&ContainerStatus>,
    observed: &Observed,
    memory: &Memory,
) -> ContainerStatus {
    let latest = observed.latest(&container.name).filter(|latest| latest.state != State::Created);
    let blank = ContainerMemory::default();
    let known = memory.known(&container.name).unwrap_or(&blank);
    let (state, last_state) = states(pod, container, told, observed, memory, known);
    let started = latest.is_some_and(|latest| {
        let hooked = known.hooked.as_ref() == Some(&latest.id);
        latest.running_since().is_some() && hooked && known.probes.started(&latest.id, container)
    });
    let ready = match role {
        Role::Init => state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0),
        _ => started && latest.is_some_and(|latest| known.probes.ready(&latest.id, container)),
    };
    let resources = container.resources.clone().unwrap_or_default();
    let told_count = told.map_or(0, |told| told.restart_count);
    ContainerStatus {
        name: container.name.clone(),
        container_id: latest.map(|latest| latest.full_id()).or_else(|| told.and_then(|told| told.container_id.clone())),
        image: latest.map(|latest| latest.image.clone()).unwrap_or_else(|| container.image.clone().unwrap_or_default()),
        image_id: latest.map(|latest| latest.image_id.clone()).unwrap_or_default(),
        restart_count: latest.map_or(told_count, |latest| i32::try_from(latest.attempt).unwrap_or(i32::MAX)),
        started: Some(started),
        ready,
        allocated_resources: resources.requests.clone(),
        resources: Some(resources),
        user: latest.and_then(user),
        volume_mounts: mounts(container),
        state: Some(state),
        last_state: Some(last_state),
        ..ContainerStatus::default()
    }
}

/// What the container does, and how it last ended.
fn states(
    pod: &Pod,
    container: &Container,
    told: Option<&ContainerStatus>,
    observed: &Observed,
    memory: &Memory,
    known: &ContainerMemory,
) -> (ContainerState, ContainerState) {
    let name = &container.name;
    let latest = observed.latest(name).filter(|latest| latest.state != State::Created);
    let earlier = observed.previous(name).and_then(terminated);
    let told_ended = told.and_then(|told| {
        let ended = told.state.as_ref().and_then(|state| state.terminated.clone());
        ended.or_else(|| told.last_state.as_ref().and_then(|state| state.terminated.clone()))
    });
    let is_latest = |ended: &ContainerStateTerminated| {
        latest.is_some_and(|latest| ended.container_id.as_deref() == Some(&latest.full_id()))
    };
    let last = earlier.or(told_ended).filter(|ended| !is_latest(ended));
    let last_state = ContainerState { terminated: last, ..ContainerState::default() };
    if let Some(since) = latest.and_then(|latest| latest.running_since()) {
        let running = ContainerStateRunning { started_at: Some(Time(since)) };
        return (ContainerState { running: Some(running), ..ContainerState::default() }, last_state);
    }
    let ended = latest.and_then(terminated);
    let stopping = memory.stop.is_some();
    if let Some(trouble) = known.trouble.as_ref().filter(|_| !stopping) {
        let last_state =
            ended.map_or(last_state, |ended| ContainerState { terminated: Some(ended), ..Default::default() });
        return (waiting(trouble.reason, Some(trouble.message.clone())), last_state);
    }
    if let Some(ended) = ended {
        return (ContainerState { terminated: Some(ended), ..ContainerState::default() }, last_state);
    }
    let has_inits = pod::inits(pod).next().is_some();
    (waiting(if has_inits { "PodInitializing" } else { "ContainerCreating" }, None), last_state)
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    ContainerState { waiting: Some(waiting), ..ContainerState::default() }
}

fn terminated(container: &observed::Container) -> Option<ContainerStateTerminated> {
    let exit: &Exit = container.exit()?;
    Some(ContainerStateTerminated {
        container_id: Some(container.full_id()),
        exit_code: exit.code,
        reason: Some(exit.reason.clone()),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        started_at: Some(Time(exit.since.unwrap_or(jiff::Timestamp::UNIX_EPOCH))),
        finished_at: Some(Time(exit.at)),
        signal: None,
    })
}

fn user(container: &observed::Container) -> Option<ContainerUser> {
    let (uid, gid, groups) = container.user.clone()?;
    let linux = LinuxContainerUser { uid, gid, supplemental_groups: (!groups.is_empty()).then_some(groups) };
    Some(ContainerUser { linux: Some(linux) })
}

fn mounts(container: &Container) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref()?.iter().map(|mount| {
        let read_only = mount.read_only.filter(|read_only| *read_only);
        VolumeMountStatus {
            name: mount.name.clone(),
            mount_path: mount.mount_path.clone(),
            read_only,
            recursive_read_only: read_only.map(|_| "Disabled".to_owned()),
            ..VolumeMountStatus::default()
        }
    });
    Some(mounts.collect())
}
