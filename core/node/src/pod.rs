//! Reading pods: roles, policies, names.

use std::sync::LazyLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

/// Seconds of grace where a pod does not say.
pub const DEFAULT_GRACE_SECONDS: i64 = 30;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the main ones.
    Init,
    /// Starts before the main ones and runs beside them.
    Sidecar,
    /// Does the work.
    Main,
}

/// The pod's spec.
pub fn spec(pod: &Pod) -> &PodSpec {
    static EMPTY: LazyLock<PodSpec> = LazyLock::new(PodSpec::default);
    pod.spec.as_ref().unwrap_or(&EMPTY)
}

/// The pod's status.
pub fn reported(pod: &Pod) -> &PodStatus {
    static EMPTY: LazyLock<PodStatus> = LazyLock::new(PodStatus::default);
    pod.status.as_ref().unwrap_or(&EMPTY)
}

/// Uid.
pub fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap_or_default()
}
/// Namespace.
pub fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}
/// Name.
pub fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}
/// `name_namespace(uid)`, as messages name a pod.
pub fn full_name(pod: &Pod) -> String {
    format!("{}_{}({})", name(pod), namespace(pod), uid(pod))
}

/// Init containers and sidecars, in order.
pub fn inits(pod: &Pod) -> impl DoubleEndedIterator<Item = (Role, &Container)> {
    spec(pod).init_containers.iter().flatten().map(|container| (init_role(container), container))
}
/// All containers with their roles: inits first, then the main ones.
pub fn containers(pod: &Pod) -> impl Iterator<Item = (Role, &Container)> {
    inits(pod).chain(spec(pod).containers.iter().map(|container| (Role::Main, container)))
}
/// The container of that name.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<(Role, &'a Container)> {
    containers(pod).find(|(_, container)| container.name == name)
}

fn init_role(container: &Container) -> Role {
    if container.restart_policy.as_deref() == Some("Always") { Role::Sidecar } else { Role::Init }
}

/// The restart policy that holds for a container.
pub fn restart_policy<'a>(pod: &'a Pod, container: &'a Container) -> &'a str {
    container.restart_policy.as_deref().or(spec(pod).restart_policy.as_deref()).unwrap_or("Always")
}

/// Whether a container that ended with `code` is to run again.
pub fn restarts(pod: &Pod, role: Role, container: &Container, code: i32) -> bool {
    for rule in container.restart_policy_rules.iter().flatten() {
        let Some(codes) = &rule.exit_codes else { continue };
        let listed = codes.values.iter().flatten().any(|value| *value == code);
        if listed == (codes.operator == "In") {
            return rule.action == "Restart" || rule.action == "RestartAllContainers";
        }
    }
    match (role, restart_policy(pod, container)) {
        (Role::Sidecar, _) | (Role::Main, "Always") => true,
        (_, "Never") => false,
        (Role::Init, _) | (Role::Main, _) => code != 0,
    }
}

/// The grace of the pod's own spec.
pub fn grace(pod: &Pod) -> Duration {
    seconds(spec(pod).termination_grace_period_seconds.unwrap_or(DEFAULT_GRACE_SECONDS))
}

/// The grace that the deletion of the pod gives, if it is being deleted.
pub fn deletion_grace(pod: &Pod) -> Option<Duration> {
    pod.metadata.deletion_timestamp.as_ref()?;
    let asked = pod.metadata.deletion_grace_period_seconds;
    Some(asked.map_or_else(|| grace(pod), seconds))
}

/// Seconds of the API as a duration; negative ones are none.
pub fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// Whether the API already holds this pod for ended.
pub fn ended(pod: &Pod) -> bool {
    matches!(reported(pod).phase.as_deref(), Some("Succeeded" | "Failed"))
}

/// Whether the pod lives in the host's network.
pub fn host_network(pod: &Pod) -> bool {
    spec(pod).host_network.unwrap_or(false)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A pod from its spec.
    pub(crate) fn pod(spec: Value) -> Pod {
        let metadata = json!({"name": "web", "namespace": "shop", "uid": "u1", "generation": 3});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn a_container_restarts_by_role_policy_and_rules() {
        let check = |policy: &str, init: bool, container: Value, code: i32, expected: bool| {
            let list = if init { "initContainers" } else { "containers" };
            let pod = pod(json!({"restartPolicy": policy, "containers": [], list: [container]}));
            let (role, container) = containers(&pod).next().unwrap();
            assert_eq!(restarts(&pod, role, container, code), expected, "{policy} {init} {code}");
        };
        let plain = json!({"name": "a"});
        check("Always", false, plain.clone(), 0, true);
        check("OnFailure", false, plain.clone(), 0, false);
        check("OnFailure", false, plain.clone(), 1, true);
        check("Never", false, plain.clone(), 1, false);
        check("Always", true, plain.clone(), 0, false);
        check("Always", true, plain.clone(), 1, true);
        check("Never", true, plain, 1, false);
        check("Never", true, json!({"name": "a", "restartPolicy": "Always"}), 0, true);
        let rule = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        let ruled = json!({"name": "a", "restartPolicy": "Never", "restartPolicyRules": rule});
        check("Always", false, ruled.clone(), 42, true);
        check("Always", false, ruled, 1, false);
    }
}
