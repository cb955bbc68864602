//! Containers: ordinary, init (sidecars among them) and ephemeral.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, ContainerResizePolicy, EphemeralContainer};
use serde_json::{Value, json};

use super::{Scope, env, mounts, probes, resources, security};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;

const PULL_POLICIES: &[&str] = &["Always", "IfNotPresent", "Never"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

/// Checks every container of a pod.
pub fn check_all(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    let list = path.child("containers");
    if spec.containers.is_empty() {
        errors.push(FieldError::required(&list, ""));
    }
    let mut seen = BTreeSet::new();
    for (at, container) in spec.containers.iter().enumerate() {
        let path = list.index(at);
        check_common(container, scope, &path, errors);
        check_distinct(&container.name, &mut seen, &path, errors);
        probes::check_lifecycle(container.lifecycle.as_ref(), scope.grace_seconds(), &path.child("lifecycle"), errors);
        probes::check_all(container, scope.grace_seconds(), &path, errors);
        check_restart(container, false, &path, errors);
    }
    check_host_ports(&spec.containers, &list, errors);
    let init = spec.init_containers.as_deref().unwrap_or_default();
    let list = path.child("initContainers");
    for (at, container) in init.iter().enumerate() {
        check_init(container, scope, &mut seen, &list.index(at), errors);
    }
    check_ephemeral(scope, path, errors);
}

fn check_distinct<'a>(name: &'a str, seen: &mut BTreeSet<&'a str>, path: &Path, errors: &mut ErrorList) {
    if !seen.insert(name) {
        errors.push(FieldError::duplicate(&path.child("name"), name));
    }
}

fn check_init<'a>(
    container: &'a Container,
    scope: &Scope<'_>,
    seen: &mut BTreeSet<&'a str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    check_common(container, scope, path, errors);
    check_distinct(&container.name, seen, path, errors);
    check_host_ports(std::slice::from_ref(container), path, errors);
    check_restart(container, true, path, errors);
    if container.restart_policy.as_deref() == Some("Always") {
        probes::check_lifecycle(container.lifecycle.as_ref(), scope.grace_seconds(), &path.child("lifecycle"), errors);
        probes::check_all(container, scope.grace_seconds(), path, errors);
    } else {
        let detail = "may not be set for init containers without restartPolicy=Always";
        for (field, present) in [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ] {
            if present {
                errors.push(FieldError::forbidden(&path.child(field), detail));
            }
        }
    }
}

fn check_restart(container: &Container, init: bool, path: &Path, errors: &mut ErrorList) {
    if let Some(policy) = container.restart_policy.as_deref() {
        rules::one_of(policy, &["Always", "Never", "OnFailure"], &path.child("restartPolicy"), errors);
    } else if container.restart_policy_rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
        let detail = "must specify restartPolicy when restart rules are used";
        errors.push(FieldError::required(&path.child("restartPolicy"), detail));
        if init {
            return;
        }
    }
    for (at, rule) in container.restart_policy_rules.iter().flatten().enumerate() {
        let path = path.child("restartPolicyRules").index(at);
        rules::one_of(&rule.action, &["Restart", "RestartAllContainers"], &path.child("action"), errors);
        match &rule.exit_codes {
            None => errors.push(FieldError::required(&path.child("exitCodes"), "must be specified")),
            Some(codes) => {
                let path = path.child("exitCodes").child("operator");
                rules::one_of(&codes.operator, &["In", "NotIn"], &path, errors);
            }
        }
    }
}

/// What holds for every container.
fn check_common(container: &Container, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    check_name(&container.name, path, errors);
    if container.image.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    }
    let policy = container.termination_message_policy.as_deref().unwrap_or_default();
    let known = ["File", "FallbackToLogsOnError"];
    rules::required_one_of(policy, &known, &path.child("terminationMessagePolicy"), errors);
    check_ports(container.ports.as_deref().unwrap_or_default(), &path.child("ports"), errors);
    env::check(container.env.as_deref().unwrap_or_default(), scope, &path.child("env"), errors);
    env::check_from(container.env_from.as_deref().unwrap_or_default(), &path.child("envFrom"), errors);
    mounts::check(container, scope, path, errors);
    let pull = container.image_pull_policy.as_deref().unwrap_or_default();
    rules::required_one_of(pull, PULL_POLICIES, &path.child("imagePullPolicy"), errors);
    if let Some(resources) = &container.resources {
        resources::check(resources, scope, &path.child("resources"), errors);
    }
    let never = scope.spec.restart_policy.as_deref() == Some("Never");
    check_resize(container.resize_policy.as_deref().unwrap_or_default(), never, &path.child("resizePolicy"), errors);
    if let Some(context) = &container.security_context {
        security::check_container(context, scope.spec.host_users, &path.child("securityContext"), errors);
    }
}

fn check_name(name: &str, path: &Path, errors: &mut ErrorList) {
    let path = path.child("name");
    if name.is_empty() {
        errors.push(FieldError::required(&path, ""));
    } else {
        rules::each(name, names::dns_label(name), &path, errors);
    }
}

fn check_ports(ports: &[ContainerPort], path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, port) in ports.iter().enumerate() {
        let path = path.index(at);
        let name = port.name.as_deref().unwrap_or_default();
        if !name.is_empty() {
            let wrong = names::port_name(name);
            let valid = wrong.is_empty();
            rules::each(name, wrong, &path.child("name"), errors);
            if valid && !seen.insert(name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
        }
        if port.container_port == 0 {
            errors.push(FieldError::required(&path.child("containerPort"), ""));
        } else {
            rules::port_number(port.container_port, &path.child("containerPort"), errors);
        }
        if let Some(host) = port.host_port.filter(|p| *p != 0) {
            rules::port_number(host, &path.child("hostPort"), errors);
        }
        let protocol = port.protocol.as_deref().unwrap_or_default();
        rules::required_one_of(protocol, PROTOCOLS, &path.child("protocol"), errors);
    }
}

/// No two containers of a pod publish the same port of the host.
fn check_host_ports(containers: &[Container], list: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, container) in containers.iter().enumerate() {
        for (port_at, port) in container.ports.iter().flatten().enumerate() {
            let Some(host) = port.host_port.filter(|p| *p != 0) else { continue };
            let protocol = port.protocol.as_deref().unwrap_or_default();
            let key = format!("{protocol}/{}/{host}", port.host_ip.as_deref().unwrap_or_default());
            if !seen.insert(key.clone()) {
                let path = list.index(at).child("ports").index(port_at).child("hostPort");
                errors.push(FieldError::duplicate(&path, key));
            }
        }
    }
}

fn check_resize(policies: &[ContainerResizePolicy], never: bool, path: &Path, errors: &mut ErrorList) {
    let mut seen = BTreeSet::new();
    for (at, policy) in policies.iter().enumerate() {
        rules::required_one_of(&policy.resource_name, &["cpu", "memory"], path, errors);
        rules::required_one_of(&policy.restart_policy, &["NotRequired", "RestartContainer"], path, errors);
        if never && policy.restart_policy != "NotRequired" {
            let detail = "must be 'NotRequired' when pod `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, policy.restart_policy.as_str(), detail));
        }
        if !seen.insert(&policy.resource_name) {
            errors.push(FieldError::duplicate(&path.index(at), policy.resource_name.as_str()));
        }
    }
}

/// Checks the ephemeral containers: names of their own, and nothing that only a planned container has.
pub fn check_ephemeral(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    let list = path.child("ephemeralContainers");
    let others = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let mut seen: BTreeSet<&str> = others.map(|c| c.name.as_str()).collect();
    for (at, container) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let path = list.index(at);
        check_name(&container.name, &path, errors);
        check_distinct(&container.name, &mut seen, &path, errors);
        let target = container.target_container_name.as_deref().unwrap_or_default();
        if !target.is_empty() && !spec.containers.iter().any(|c| c.name == target) {
            errors.push(FieldError::not_found(&path.child("targetContainerName"), target));
        }
        check_ephemeral_fields(container, scope, &path, errors);
        mounts::check_found(container.volume_mounts.as_deref().unwrap_or_default(), scope, &path, errors);
    }
}

fn check_ephemeral_fields(container: &EphemeralContainer, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    if container.image.as_deref().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(&path.child("image"), ""));
    }
    env::check(container.env.as_deref().unwrap_or_default(), scope, &path.child("env"), errors);
    env::check_from(container.env_from.as_deref().unwrap_or_default(), &path.child("envFrom"), errors);
    if let Some(context) = &container.security_context {
        security::check_container(context, scope.spec.host_users, &path.child("securityContext"), errors);
    }
    let resources = container.resources.as_ref().map_or(Value::Null, |r| json!(r));
    let forbidden = [
        ("ports", container.ports.as_ref().is_some_and(|ports| !ports.is_empty())),
        ("resources", resources.as_object().is_some_and(|r| !r.is_empty())),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
        ("lifecycle", container.lifecycle.is_some()),
    ];
    for (field, _) in forbidden.iter().filter(|(_, present)| *present) {
        errors.push(FieldError::forbidden(&path.child(field), "cannot be set for an Ephemeral Container"));
    }
}
