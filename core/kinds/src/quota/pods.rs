//! Pods: their number, and what their containers request and may use. A pod that has ended takes nothing but its place
//! among the objects.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Amounts;
use crate::kinds::pod::demand;
use crate::quantity::Quantity;
use crate::tree::{int_at, list_at, str_at};

const HUGE: &str = "hugepages-";
const REQUESTS: &str = "requests.";
const LIMITS: &str = "limits.";
/// Shares of a node that are bounded both as requests and as limits.
const COMPUTE: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// What every container must speak of where a quota bounds it.
const SPOKEN_OF: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];

pub(super) fn concerns(resource: &str) -> bool {
    if resource == "pods" || COMPUTE.contains(&resource) || resource.starts_with(HUGE) {
        return true;
    }
    if let Some(limited) = resource.strip_prefix(LIMITS) {
        return COMPUTE.contains(&limited);
    }
    resource
        .strip_prefix(REQUESTS)
        .is_some_and(|asked| COMPUTE.contains(&asked) || asked.starts_with(HUGE) || is_extended(asked))
}

fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/")
}

pub(super) fn usage(pod: &Value, now: Timestamp) -> Amounts {
    let mut used = Amounts::new();
    if has_ended(pod, now) {
        return used;
    }
    used.insert("pods".to_owned(), Quantity::from_value(1));
    let (mut requests, mut limits) = (demand::requests(pod), demand::limits(pod));
    let overhead = demand::overhead(pod);
    demand::add(&mut requests, &overhead);
    let bounded: Amounts =
        overhead.into_iter().filter(|(name, _)| limits.get(name).is_some_and(|l| !l.is_zero())).collect();
    demand::add(&mut limits, &bounded);
    for (resource, amount) in requests {
        if COMPUTE.contains(&resource.as_str()) || resource.starts_with(HUGE) {
            used.insert(format!("{REQUESTS}{resource}"), amount);
            used.insert(resource, amount);
        } else if is_extended(&resource) {
            used.insert(format!("{REQUESTS}{resource}"), amount);
        }
    }
    for (resource, amount) in limits.into_iter().filter(|(resource, _)| COMPUTE.contains(&resource.as_str())) {
        used.insert(format!("{LIMITS}{resource}"), amount);
    }
    used
}

/// Whether the pod is through, or should have been for as long as it was given to end.
fn has_ended(pod: &Value, now: Timestamp) -> bool {
    ["Failed", "Succeeded"].contains(&str_at(pod, "/status/phase")) || overdue(pod).is_some_and(|due| now > due)
}

/// When a pod that is being deleted stops to count.
pub(super) fn overdue(pod: &Value) -> Option<Timestamp> {
    let deleted: Timestamp = str_at(pod, "/metadata/deletionTimestamp").parse().ok()?;
    let grace = int_at(pod, "/metadata/deletionGracePeriodSeconds")?;
    deleted.checked_add(SignedDuration::from_secs(grace)).ok()
}

/// Of the bounded resources, those that containers do not speak of: `cpu for: a,b; memory for: a`. A pod that speaks
/// of its resources as a whole need not repeat it.
pub fn unspecified(pod: &Value, bounded: &[&str]) -> Option<String> {
    let whole = pod.pointer("/spec/resources").and_then(Value::as_object);
    if whole.is_some_and(|whole| whole.values().any(|list| list.as_object().is_some_and(|list| !list.is_empty()))) {
        return None;
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for container in ["/spec/containers", "/spec/initContainers"].iter().flat_map(|list| list_at(pod, list)) {
        for resource in SPOKEN_OF.iter().filter(|resource| bounded.contains(resource)) {
            let pointer = match resource.strip_prefix(LIMITS) {
                Some(limited) => format!("/resources/limits/{limited}"),
                None => format!("/resources/requests/{}", resource.trim_start_matches(REQUESTS)),
            };
            if container.pointer(&pointer).is_none() {
                missing.entry(resource).or_default().push(str_at(container, "/name"));
            }
        }
    }
    let line = |(resource, mut names): (&str, Vec<&str>)| {
        names.sort_unstable();
        names.dedup();
        format!("{resource} for: {}", names.join(","))
    };
    let lines: Vec<String> = missing.into_iter().map(line).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}
