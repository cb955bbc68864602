//! Quality of service, and the sums of requests and limits that it is about.

use std::collections::BTreeMap;

use gantry_kinds::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::pod::{self, Role};

/// The class of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Every container has limits for CPU and memory, equal to its requests.
    Guaranteed,
    /// Some container asks for something.
    Burstable,
    /// Nobody asks for anything.
    BestEffort,
}

impl Class {
    /// As `status.qosClass` says it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Guaranteed => "Guaranteed",
            Class::Burstable => "Burstable",
            Class::BestEffort => "BestEffort",
        }
    }
}

/// Which side of the resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Requests.
    Requests,
    /// Limits.
    Limits,
}

fn listed(container: &Container, side: Side) -> Option<&BTreeMap<String, Text>> {
    let resources = container.resources.as_ref()?;
    match side {
        Side::Requests => resources.requests.as_ref(),
        Side::Limits => resources.limits.as_ref(),
    }
}

/// One amount of a container; zero amounts are none.
pub fn amount(container: &Container, side: Side, resource: &str) -> Option<Quantity> {
    let quantity = Quantity::parse(&listed(container, side)?.get(resource)?.0).ok()?;
    (!quantity.is_zero()).then_some(quantity)
}

/// A request, or the limit where there is no request.
pub fn request(container: &Container, resource: &str) -> Option<Quantity> {
    match listed(container, Side::Requests).and_then(|requests| requests.get(resource)) {
        Some(_) => amount(container, Side::Requests, resource),
        None => amount(container, Side::Limits, resource),
    }
}

/// The class of a pod, by CPU and memory of all its containers.
pub fn class(pod: &Pod) -> Class {
    let (mut any, mut guaranteed) = (false, true);
    for (_, container) in pod::containers(pod) {
        for resource in ["cpu", "memory"] {
            let limit = amount(container, Side::Limits, resource);
            let request = request(container, resource);
            any |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => Class::BestEffort,
        (true, true) => Class::Guaranteed,
        (true, false) => Class::Burstable,
    }
}

/// What the pod as a whole asks for: main containers and sidecars together, or the largest moment of its init
/// containers if that is more; in `milli_value` for CPU, `value` for the rest. For limits `None` if any has none.
pub fn total(pod: &Pod, side: Side, resource: &str) -> Option<i64> {
    let measure = |container: &Container| -> Option<i64> {
        let quantity = match side {
            Side::Requests => request(container, resource),
            Side::Limits => amount(container, Side::Limits, resource),
        };
        match (quantity, side) {
            (Some(quantity), _) if resource == "cpu" => Some(quantity.milli_value()),
            (Some(quantity), _) => Some(quantity.value()),
            (None, Side::Requests) => Some(0),
            (None, Side::Limits) => None,
        }
    };
    let (mut beside, mut most) = (0i64, 0i64);
    for (role, container) in pod::inits(pod) {
        let amount = measure(container)?;
        if role == Role::Sidecar {
            beside = beside.saturating_add(amount);
            most = most.max(beside);
        } else {
            most = most.max(beside.saturating_add(amount));
        }
    }
    for container in &pod::spec(pod).containers {
        beside = beside.saturating_add(measure(container)?);
    }
    Some(most.max(beside))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn classes_and_totals() {
        let check = |spec: Value, expected: Class, cpu: Option<i64>| {
            let pod = crate::pod::tests::pod(spec);
            assert_eq!(class(&pod), expected);
            assert_eq!(total(&pod, Side::Requests, "cpu"), cpu);
        };
        let with = |resources: Value| json!({"name": "a", "resources": resources});
        let full = json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        check(json!({"containers": [with(json!({}))]}), Class::BestEffort, Some(0));
        check(json!({"containers": [with(full.clone())]}), Class::Guaranteed, Some(1000));
        check(json!({"containers": [with(full.clone()), with(json!({}))]}), Class::Burstable, Some(1000));
        let init = json!({"name": "i", "resources": {"requests": {"cpu": "3"}}});
        check(json!({"initContainers": [init], "containers": [with(full)]}), Class::Burstable, Some(3000));
    }
}
