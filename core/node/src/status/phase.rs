//! The phase of a pod.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use crate::memory::Memory;
use crate::observed::Observed;
use crate::pod::{self, Role};
use crate::step::completed;

#[derive(Default)]
struct Count {
    running: usize,
    waiting: usize,
    stopped: usize,
    succeeded: usize,
}

/// `Pending`, `Running`, `Succeeded` or `Failed`.
pub(super) fn phase(
    pod: &Pod,
    observed: &Observed,
    memory: &Memory,
    inits: &[ContainerStatus],
    mains: &[ContainerStatus],
) -> &'static str {
    if let Some(ended) = ["Succeeded", "Failed"].into_iter().find(|e| pod::reported(pod).phase.as_deref() == Some(e)) {
        return ended;
    }
    if memory.verdict.is_some() {
        return "Failed";
    }
    let count = count(mains);
    let running = observed.containers.iter().any(|container| container.alive());
    if memory.stop.is_some() && !running {
        let all_well = count.succeeded == mains.len() && failed_init(pod, inits).is_none();
        return if all_well { "Succeeded" } else { "Failed" };
    }
    if failed_init(pod, inits).is_some() {
        return if running { "Pending" } else { "Failed" };
    }
    let begun = count.running + count.stopped > 0;
    if !begun && !inits_done(pod, inits) {
        return "Pending";
    }
    match count {
        Count { waiting: 1.., .. } => "Pending",
        Count { running: 1.., .. } => "Running",
        Count { stopped: 1.., .. } if !completed(pod, observed) || running => "Running",
        Count { stopped: 1.., succeeded, .. } if succeeded == mains.len() => "Succeeded",
        Count { stopped: 1.., .. } => "Failed",
        Count { .. } => "Pending",
    }
}

fn count(statuses: &[ContainerStatus]) -> Count {
    let mut count = Count::default();
    for status in statuses {
        let state = status.state.clone().unwrap_or_default();
        if state.running.is_some() {
            count.running += 1;
        } else if let Some(ended) = state.terminated {
            count.stopped += 1;
            count.succeeded += usize::from(ended.exit_code == 0);
        } else if status.last_state.as_ref().is_some_and(|last| last.terminated.is_some()) {
            count.stopped += 1;
        } else {
            count.waiting += 1;
        }
    }
    count
}

fn exit_code(state: Option<&ContainerState>) -> Option<i32> {
    state.and_then(|state| state.terminated.as_ref()).map(|ended| ended.exit_code)
}

fn failed_init<'a>(pod: &Pod, inits: &'a [ContainerStatus]) -> Option<&'a ContainerStatus> {
    inits.iter().find(|status| {
        let code = exit_code(status.state.as_ref()).filter(|code| *code != 0);
        let found = pod::container(pod, &status.name).filter(|(role, _)| *role == Role::Init);
        found.zip(code).is_some_and(|((role, container), code)| !pod::restarts(pod, role, container, code))
    })
}

fn inits_done(pod: &Pod, inits: &[ContainerStatus]) -> bool {
    inits.iter().all(|status| match pod::container(pod, &status.name) {
        Some((Role::Sidecar, _)) => status.started == Some(true),
        _ => exit_code(status.state.as_ref()) == Some(0),
    })
}
