//! The status of a pod, as the API is told.

mod conditions;
mod containers;
mod phase;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{HostIP, Pod, PodIP, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::memory::Memory;
use crate::observed::Observed;
use crate::pod;
use crate::qos;
use crate::sources::NodeFacts;

/// The status of a pod; `before` is the one told last, from which times and last states are kept.
pub fn status(
    pod: &Pod,
    before: &PodStatus,
    observed: &Observed,
    memory: &Memory,
    node: &NodeFacts,
    now: Timestamp,
) -> PodStatus {
    let inits = containers::statuses(pod, before, observed, memory, true);
    let mains = containers::statuses(pod, before, observed, memory, false);
    let phase = phase::phase(pod, observed, memory, &inits, &mains);
    let ips = addresses(pod, before, observed, node);
    let verdict = memory.verdict.as_ref();
    let mut status = PodStatus {
        phase: Some(phase.to_owned()),
        reason: verdict.map(|verdict| verdict.reason.to_owned()).or_else(|| before.reason.clone()),
        message: verdict.map(|verdict| verdict.message.clone()).or_else(|| before.message.clone()),
        host_ip: node.ips.first().cloned(),
        host_ips: Some(node.ips.iter().map(|ip| HostIP { ip: ip.clone() }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.iter().map(|ip| PodIP { ip: ip.clone() }).collect()),
        start_time: before.start_time.clone().or(memory.started.map(Time)),
        qos_class: Some(qos::class(pod).name().to_owned()),
        observed_generation: pod.metadata.generation,
        init_container_statuses: (!inits.is_empty()).then_some(inits),
        container_statuses: (!mains.is_empty()).then_some(mains),
        ..PodStatus::default()
    };
    status.conditions = Some(conditions::conditions(pod, before, &status, observed, now));
    status
}

fn addresses(pod: &Pod, before: &PodStatus, observed: &Observed, node: &NodeFacts) -> Vec<String> {
    match observed.sandbox() {
        Some(_) if pod::host_network(pod) => node.ips.clone(),
        Some(sandbox) if !sandbox.ips.is_empty() => sandbox.ips.clone(),
        // A pod that has ended is still known by the address that it had.
        _ if pod.metadata.deletion_timestamp.is_some() || pod::ended(pod) => {
            before.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
