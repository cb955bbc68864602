//! The conditions of a pod.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::Observed;
use crate::pod::{self, Role};

/// The conditions that nodes set, in upstream's order.
const OURS: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Whether something holds, or why not.
type Judgement = Result<Option<&'static str>, (&'static str, String)>;

/// All conditions: ours as they are now, and those of others as they were.
pub(super) fn conditions(
    pod: &Pod,
    before: &PodStatus,
    status: &PodStatus,
    observed: &Observed,
    now: Timestamp,
) -> Vec<PodCondition> {
    let phase = status.phase.as_deref().unwrap_or_default();
    let inits = status.init_container_statuses.as_deref().unwrap_or_default();
    let mains = status.container_statuses.as_deref().unwrap_or_default();
    let containers_ready = containers_ready(pod, phase, inits, mains);
    let ready = containers_ready.clone().and_then(|reason| gates(pod, before).map(|()| reason));
    let judged: [(&str, Judgement); 4] = [
        ("PodReadyToStartContainers", can_start(pod, observed)),
        ("Initialized", initialized(pod, phase, inits, mains)),
        ("Ready", ready),
        ("ContainersReady", containers_ready),
    ];
    let told = |name: &str| before.conditions.iter().flatten().find(|condition| condition.type_ == name);
    let mut conditions: Vec<_> =
        judged.into_iter().map(|(name, judgement)| condition(pod, name, judgement, told(name), now)).collect();
    conditions.push(condition(pod, "PodScheduled", Ok(None), told("PodScheduled"), now));
    let others = before.conditions.iter().flatten().filter(|condition| !OURS.contains(&condition.type_.as_str()));
    conditions.extend(others.cloned());
    conditions
}

fn condition(pod: &Pod, name: &str, judgement: Judgement, told: Option<&PodCondition>, now: Timestamp) -> PodCondition {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (status, reason, message) = match judgement {
        Ok(reason) => ("True", reason.map(str::to_owned), None),
        Err((reason, message)) => ("False", text(reason), text(&message)),
    };
    let same = told.filter(|told| told.status == status).and_then(|told| told.last_transition_time.clone());
    PodCondition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason,
        message,
        last_probe_time: None,
        last_transition_time: Some(same.unwrap_or(Time(now))),
        observed_generation: pod.metadata.generation,
    }
}

/// Whether the sandbox is there and has what its containers need.
fn can_start(pod: &Pod, observed: &Observed) -> Judgement {
    let refuse = |reason, message: &str| Err((reason, message.to_owned()));
    match observed.sandbox() {
        None => refuse("PodSandboxNotReady", "no pod sandbox exists"),
        Some(sandbox) if !sandbox.ready => refuse("PodSandboxNotReady", "pod sandbox is not ready"),
        Some(sandbox) if !pod::host_network(pod) && sandbox.ips.is_empty() => {
            refuse("NetworkNotReady", "pod sandbox does not have an IP address")
        }
        Some(_) => Ok(None),
    }
}

fn names<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> String {
    statuses.map(|status| status.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn is_sidecar(pod: &Pod, status: &ContainerStatus) -> bool {
    pod::container(pod, &status.name).is_some_and(|(role, _)| role == Role::Sidecar)
}

fn initialized(pod: &Pod, phase: &str, inits: &[ContainerStatus], mains: &[ContainerStatus]) -> Judgement {
    let begun = mains.iter().any(|main| main.container_id.is_some());
    let incomplete = inits.iter().filter(|status| match is_sidecar(pod, status) {
        true => status.started != Some(true) && !begun,
        false => !status.ready && !begun,
    });
    let incomplete = names(incomplete);
    if phase == "Succeeded" {
        return Ok(Some("PodCompleted"));
    }
    if incomplete.is_empty() {
        return Ok(None);
    }
    Err(("ContainersNotInitialized", format!("containers with incomplete status: [{incomplete}]")))
}

fn containers_ready(pod: &Pod, phase: &str, inits: &[ContainerStatus], mains: &[ContainerStatus]) -> Judgement {
    match phase {
        "Succeeded" => return Err(("PodCompleted", String::new())),
        "Failed" => return Err(("PodFailed", String::new())),
        _ => {}
    }
    let sidecars = inits.iter().filter(|status| is_sidecar(pod, status));
    let unready = names(sidecars.chain(mains).filter(|status| !status.ready));
    if unready.is_empty() {
        return Ok(None);
    }
    Err(("ContainersNotReady", format!("containers with unready status: [{unready}]")))
}

fn gates(pod: &Pod, before: &PodStatus) -> Result<(), (&'static str, String)> {
    let mut missing = Vec::new();
    for gate in pod::spec(pod).readiness_gates.iter().flatten() {
        let name = &gate.condition_type;
        match before.conditions.iter().flatten().find(|condition| condition.type_ == *name) {
            None => missing.push(format!("corresponding condition of pod readiness gate {name:?} does not exist.")),
            Some(condition) if condition.status != "True" => missing
                .push(format!("the status of pod readiness gate {name:?} is not \"True\", but {}", condition.status)),
            Some(_) => {}
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(("ReadinessGatesNotReady", missing.join(", "))) }
}
