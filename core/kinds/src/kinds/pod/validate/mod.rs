//! What a pod may be. One file per part; this one walks the spec, in the order in which errors are reported.

mod containers;
mod dns;
mod env;
mod mounts;
mod placement;
mod probes;
mod resources;
mod security;
#[cfg(test)]
mod tests;
mod volumes;
mod windows;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec, Volume};
use serde_json::Value;

pub use self::placement::{check_node_selector, check_tolerations};
use crate::fencing::{self, STOP_AFTER_DISCONNECT};
use crate::field::{ErrorList, FieldError, Path};
use crate::meta::{check_annotations, check_labels};
use crate::names;
use crate::rules;
use crate::tree::{list_at, str_at};
use crate::typed;

/// The annotation of a pod that mirrors one of a node's own.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const DEADLINE_MAX: i64 = i32::MAX as i64;

/// What the parts of a pod have to know of the whole.
pub(super) struct Scope<'a> {
    spec: &'a PodSpec,
    /// The volumes that containers may use.
    volumes: BTreeMap<&'a str, &'a Volume>,
}

impl<'a> Scope<'a> {
    fn new(spec: &'a PodSpec) -> Self {
        let volumes = spec.volumes.iter().flatten().map(|v| (v.name.as_str(), v)).collect();
        Scope { spec, volumes }
    }

    fn with(spec: &'a PodSpec, usable: &std::collections::BTreeSet<&str>) -> Self {
        let mut scope = Scope::new(spec);
        scope.volumes.retain(|name, _| usable.contains(name));
        scope
    }

    fn host_network(&self) -> bool {
        self.spec.host_network.unwrap_or(false)
    }

    fn grace_seconds(&self) -> i64 {
        self.spec.termination_grace_period_seconds.unwrap_or(30)
    }
}

/// Checks a new pod.
pub fn pod(object: &Value) -> ErrorList {
    let mut errors = whole(object);
    let path = Path::new("spec");
    if object.pointer("/spec/ephemeralContainers").is_some_and(|e| e.as_array().is_some_and(|e| !e.is_empty())) {
        errors.push(FieldError::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    let placed = !str_at(object, "/spec/nodeName").is_empty();
    if placed && !list_at(object, "/spec/schedulingGates").is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden(&path.child("nodeName"), detail));
    }
    errors
}

/// Checks all of a pod that holds for new and changed ones.
pub(super) fn whole(object: &Value) -> ErrorList {
    let pod = match typed::whole::<Pod>(object) {
        Ok(pod) => pod,
        Err(error) => return vec![error],
    };
    let mut errors = ErrorList::new();
    let spec = pod.spec.unwrap_or_default();
    check_mirror(object, &mut errors);

    let annotations = pod.metadata.annotations.unwrap_or_default();
    check_own_annotations(&annotations, &Path::new("metadata").child("annotations"), &mut errors);
    check_spec(&spec, pod.metadata.name.as_deref(), &Path::new("spec"), &mut errors);
    for (list, containers) in
        [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())]
    {
        for (at, container) in containers.into_iter().flatten().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image != image.trim() {
                let path = Path::new("spec").child(list).index(at).child("image");
                errors.push(FieldError::invalid(&path, image, "must not have leading or trailing whitespace"));
            }
        }
    }
    errors
}

/// Checks the template of a workload; `path` is that of the template.
pub fn template(template: &PodTemplateSpec, path: &Path, errors: &mut ErrorList) {
    let empty = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&empty);
    if let Some(meta) = &template.metadata {
        // wire: the labels of a template print without `metadata`.
        check_labels(meta.labels.iter().flatten(), &path.child("labels"), errors);
        let annotations = meta.annotations.clone().unwrap_or_default();
        check_annotations(&annotations, &path.child("annotations"), errors);
        check_own_annotations(&annotations, &path.child("annotations"), errors);
    }
    check_spec(spec, None, &path.child("spec"), errors);
    if spec.ephemeral_containers.as_ref().is_some_and(|list| !list.is_empty()) {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(&path.child("spec").child("ephemeralContainers"), detail));
    }
}

/// Checks the ephemeral containers of a pod.
pub(super) fn ephemeral(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    containers::check_ephemeral(&Scope::new(spec), path, errors);
}

/// The mirror of a node's own pod says which node.
fn check_mirror(object: &Value, errors: &mut ErrorList) {
    let annotations = object.pointer("/metadata/annotations").unwrap_or(&Value::Null);
    let mirror = annotations.get(MIRROR).and_then(Value::as_str);
    if let Some(mirror) = mirror.filter(|_| str_at(object, "/spec/nodeName").is_empty()) {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        let path = Path::new("metadata").child("annotations").key(MIRROR);
        errors.push(FieldError::invalid(&path, mirror, detail));
    }
}

fn check_own_annotations(annotations: &BTreeMap<String, String>, path: &Path, errors: &mut ErrorList) {
    const COST: &str = "controller.kubernetes.io/pod-deletion-cost";
    if let Some(cost) = annotations.get(COST)
        && (cost.parse::<i32>().is_err() || cost.starts_with('+') || (cost.len() > 1 && cost.starts_with('0')))
    {
        errors.push(FieldError::invalid(&path.key(COST), cost.as_str(), "must be a 32bit integer"));
    }
    if let Some(seconds) = annotations.get(STOP_AFTER_DISCONNECT)
        && let Err(detail) = fencing::parse(seconds)
    {
        errors.push(FieldError::invalid(&path.key(STOP_AFTER_DISCONNECT), seconds.as_str(), &detail));
    }
}

fn check_spec(spec: &PodSpec, pod: Option<&str>, path: &Path, errors: &mut ErrorList) {
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    let scope = Scope::with(spec, &volumes::check(volumes, pod, &path.child("volumes"), errors));
    check_claims(spec, &path.child("resourceClaims"), errors);
    containers::check_all(&scope, path, errors);
    if let Some(resources) = &spec.resources {
        resources::check_pod(resources, spec, &path.child("resources"), errors);
    }
    let restart = spec.restart_policy.as_deref().unwrap_or_default();
    rules::required_one_of(restart, &["Always", "OnFailure", "Never"], &path.child("restartPolicy"), errors);
    dns::check_policy(spec, path, errors);
    if let Some(selector) = &spec.node_selector {
        check_labels(selector, &path.child("nodeSelector"), errors);
    }
    security::check_pod(&scope, path, errors);
    placement::check_affinity(spec, &path.child("affinity"), errors);
    dns::check_config(spec, &path.child("dnsConfig"), errors);
    for (at, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = path.child("readinessGates").index(at).child("conditionType");
        rules::each(&gate.condition_type, names::qualified_name(&gate.condition_type), &path, errors);
    }
    check_scheduling_gates(spec, &path.child("schedulingGates"), errors);
    let spread = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    placement::check_spread(spread, &path.child("topologySpreadConstraints"), errors);
    windows::check_host_process(&scope, path, errors);
    check_names(spec, path, errors);
    placement::check_tolerations(spec.tolerations.as_deref().unwrap_or_default(), &path.child("tolerations"), errors);
    dns::check_aliases(spec, &path.child("hostAliases"), errors);
    check_classes(&scope, path, errors);
}

/// The names that a spec points with, and its deadline.
fn check_names(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut check = |field: &str, value: Option<&str>, rule: fn(&str) -> Vec<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            rules::each(value, rule(value), &path.child(field), errors);
        }
    };
    check("serviceAccountName", spec.service_account_name.as_deref(), names::dns_subdomain);
    check("nodeName", spec.node_name.as_deref(), names::dns_subdomain);
    if let Some(seconds) = spec.active_deadline_seconds {
        rules::within(seconds, 1, DEADLINE_MAX, &path.child("activeDeadlineSeconds"), errors);
    }
    let mut check = |field: &str, value: Option<&str>, rule: fn(&str) -> Vec<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            rules::each(value, rule(value), &path.child(field), errors);
        }
    };
    check("hostname", spec.hostname.as_deref(), names::dns_label);
    check("subdomain", spec.subdomain.as_deref(), names::dns_label);
}

fn check_classes(scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    let spec = scope.spec;
    if let Some(class) = spec.priority_class_name.as_deref().filter(|class| !class.is_empty()) {
        rules::each(class, names::dns_subdomain(class), &path.child("priorityClassName"), errors);
    }
    if let Some(class) = spec.runtime_class_name.as_deref() {
        rules::each(class, names::dns_subdomain(class), &path.child("runtimeClassName"), errors);
    }
    if let Some(policy) = spec.preemption_policy.as_deref() {
        let known = ["PreemptLowerPriority", "Never"];
        rules::required_one_of(policy, &known, &path.child("preemptionPolicy"), errors);
    }
    if let Some(overhead) = &spec.overhead {
        resources::check_list(overhead, true, &path.child("overhead").child("limits"), errors);
    }
    if let Some(os) = &spec.os {
        let path = path.child("os");
        if os.name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            rules::one_of(&os.name, &["linux", "windows"], &path, errors);
        }
    }
    windows::check_os(scope, path, errors);
    if let Some(hostname) = spec.hostname_override.as_deref() {
        let path = path.child("hostnameOverride");
        if spec.set_hostname_as_fqdn == Some(true) {
            let detail = "may not be specified when setHostnameAsFQDN is true";
            errors.push(FieldError::forbidden(&path, detail));
        }
        if spec.host_network == Some(true) {
            errors.push(FieldError::forbidden(&path, "may not be specified when hostNetwork is true"));
        }
        rules::each(hostname, names::dns_subdomain(hostname), &path, errors);
    }
}

/// Checks the claims for devices that a pod brings.
fn check_claims(spec: &PodSpec, list: &Path, errors: &mut ErrorList) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, claim) in spec.resource_claims.iter().flatten().enumerate() {
        let path = list.index(at);
        let name = claim.name.as_str();
        if name.is_empty() {
            errors.push(FieldError::required(&path.child("name"), ""));
        } else {
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(&path.child("name"), name));
            }
            rules::each(name, names::dns_label(name), &path.child("name"), errors);
        }
        let (direct, template) = (&claim.resource_claim_name, &claim.resource_claim_template_name);
        let wrong = match (direct, template) {
            (Some(_), Some(_)) => {
                Some("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
            }
            (None, None) => Some("must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
            _ => None,
        };
        if let Some(detail) = wrong {
            let shown = format!(
                "{{\"Name\":{},\"ResourceClaimName\":{},\"ResourceClaimTemplateName\":{}}}",
                Value::from(name),
                Value::from(direct.clone()),
                Value::from(template.clone())
            );
            errors.push(FieldError::invalid_shown(&path, &shown, detail));
        }
        for (field, name) in [("resourceClaimName", direct), ("resourceClaimTemplateName", template)] {
            if let Some(name) = name {
                rules::each(name, names::dns_subdomain(name), &path.child(field), errors);
            }
        }
    }
}

fn check_scheduling_gates(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let mut seen = std::collections::BTreeSet::new();
    for (at, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        rules::each(&gate.name, names::qualified_name(&gate.name), &path.index(at), errors);
        if !seen.insert(&gate.name) {
            errors.push(FieldError::duplicate(&path.index(at), gate.name.as_str()));
        }
    }
}
