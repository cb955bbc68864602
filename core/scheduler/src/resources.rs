//! Amounts of what nodes have and pods ask for.

use std::collections::BTreeMap;

use gantry_kinds::Quantity;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// What a container without a request counts for when nodes are scored.
const DEFAULT_MILLI_CPU: i64 = 100;
const DEFAULT_MEMORY: i64 = 200 << 20;

/// Amounts of each resource; CPU in thousandths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a CPU.
    pub milli_cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of local storage.
    pub ephemeral: i64,
    /// Everything else by name, huge pages included.
    pub other: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a list such as `resources.requests` or `status.allocatable`; `pods` is not a resource here.
    pub fn of(list: Option<&BTreeMap<String, Text>>) -> Self {
        let mut resources = Resources::default();
        for (name, text) in list.into_iter().flatten() {
            let Ok(quantity) = Quantity::parse(&text.0) else { continue };
            match name.as_str() {
                "cpu" => resources.milli_cpu = quantity.milli_value(),
                "memory" => resources.memory = quantity.value(),
                "ephemeral-storage" => resources.ephemeral = quantity.value(),
                "pods" => {}
                _ => {
                    resources.other.insert(name.clone(), quantity.value());
                }
            }
        }
        resources
    }

    /// Adds another amount.
    pub fn add(&mut self, more: &Resources) {
        self.combine(more, i64::saturating_add);
    }

    /// Takes an amount away.
    pub fn subtract(&mut self, less: &Resources) {
        self.combine(less, i64::saturating_sub);
        self.other.retain(|_, amount| *amount != 0);
    }

    /// Raises each amount to at least that of `floor`.
    pub fn raise_to(&mut self, floor: &Resources) {
        self.combine(floor, i64::max);
    }

    fn combine(&mut self, with: &Resources, how: fn(i64, i64) -> i64) {
        self.milli_cpu = how(self.milli_cpu, with.milli_cpu);
        self.memory = how(self.memory, with.memory);
        self.ephemeral = how(self.ephemeral, with.ephemeral);
        for (name, amount) in &with.other {
            let mine = self.other.entry(name.clone()).or_default();
            *mine = how(*mine, *amount);
        }
    }
}

/// What a pod asks for: the sum of its containers, or what its init containers need at any one time if that is
/// more, and its overhead. Sidecars count from their start to the end of the pod.
pub fn pod_requests(spec: &PodSpec) -> Resources {
    requests(spec, |container| Resources::of(container.resources.as_ref().and_then(|r| r.requests.as_ref())))
}

/// The same for scoring, where a container without requests counts for a little.
pub fn pod_weight(spec: &PodSpec) -> Resources {
    requests(spec, |container| {
        let list = container.resources.as_ref().and_then(|r| r.requests.as_ref());
        let asked = |name: &str| list.is_some_and(|l| l.contains_key(name));
        let mut resources = Resources::of(list);
        if !asked("cpu") {
            resources.milli_cpu = DEFAULT_MILLI_CPU;
        }
        if !asked("memory") {
            resources.memory = DEFAULT_MEMORY;
        }
        resources
    })
}

fn requests(spec: &PodSpec, of: impl Fn(&Container) -> Resources) -> Resources {
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&of(container));
    }
    let mut sidecars = Resources::default();
    let mut highest = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let mut at_once = of(container);
        if is_sidecar(container) {
            sidecars.add(&at_once);
            at_once = sidecars.clone();
        } else {
            at_once.add(&sidecars);
        }
        highest.raise_to(&at_once);
    }
    total.add(&sidecars);
    total.raise_to(&highest);
    if let Some(list) = spec.resources.as_ref().and_then(|r| r.requests.as_ref()) {
        override_with(&mut total, list);
    }
    total.add(&Resources::of(spec.overhead.as_ref()));
    total
}

/// Requests of the pod as a whole go before those of its containers.
fn override_with(total: &mut Resources, list: &BTreeMap<String, Text>) {
    let pod = Resources::of(Some(list));
    if list.contains_key("cpu") {
        total.milli_cpu = pod.milli_cpu;
    }
    if list.contains_key("memory") {
        total.memory = pod.memory;
    }
    total.other.extend(pod.other);
}

/// Whether an init container keeps running beside the others.
pub fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn container(name: &str, cpu: &str, extra: Value) -> Value {
        let mut container = json!({"name": name, "resources": {"requests": {"cpu": cpu}}});
        container.as_object_mut().expect("an object").append(extra.as_object().cloned().as_mut().expect("an object"));
        container
    }

    fn check(spec: Value, milli_cpu: i64) {
        let parsed: PodSpec = serde_json::from_value(spec.clone()).expect("a pod spec");
        assert_eq!(pod_requests(&parsed).milli_cpu, milli_cpu, "{spec}");
    }

    #[test]
    fn the_dearest_moment_counts() {
        let main = json!([container("a", "100m", json!({})), container("b", "200m", json!({}))]);
        check(json!({"containers": main}), 300);
        check(json!({"containers": main, "initContainers": [container("i", "1", json!({}))]}), 1000);
        check(json!({"containers": main, "initContainers": [container("i", "50m", json!({}))]}), 300);
        let sidecar = container("s", "50m", json!({"restartPolicy": "Always"}));
        check(json!({"containers": main, "initContainers": [sidecar]}), 350);
        check(json!({"containers": main, "initContainers": [sidecar, container("i", "1", json!({}))]}), 1050);
        check(json!({"containers": main, "initContainers": [container("i", "1", json!({})), sidecar]}), 1000);
        check(json!({"containers": main, "overhead": {"cpu": "25m"}}), 325);
        check(json!({"containers": main, "resources": {"requests": {"cpu": "2"}}}), 2000);
    }

    #[test]
    fn a_pod_without_requests_weighs_something() {
        let spec: PodSpec = serde_json::from_value(json!({"containers": [{"name": "a"}]})).expect("a pod spec");
        assert_eq!((pod_requests(&spec).milli_cpu, pod_weight(&spec).milli_cpu), (0, DEFAULT_MILLI_CPU));
    }
}
