//! Requests and limits.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::Scope;
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::quantity::Quantity;
use crate::rules::{self, NON_NEGATIVE};

const HUGE: &str = "hugepages-";
const COMPUTE: &[&str] = &["cpu", "memory", "ephemeral-storage"];
/// Resources of quotas: known, but not to containers.
const COUNTED: &[&str] = &[
    "storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

type List = BTreeMap<String, Text>;

/// Checks what a container asks for.
pub fn check(resources: &ResourceRequirements, scope: &Scope<'_>, path: &Path, errors: &mut ErrorList) {
    check_lists(resources, true, path, errors);
    check_claims(resources, scope, &path.child("claims"), errors);
}

/// Checks which of the pod's claims a container uses.
fn check_claims(resources: &ResourceRequirements, scope: &Scope<'_>, list: &Path, errors: &mut ErrorList) {
    let known: Vec<&str> = scope.spec.resource_claims.iter().flatten().map(|claim| claim.name.as_str()).collect();
    let known: Vec<&str> = known.into_iter().filter(|name| !name.is_empty()).collect();
    let mut seen = BTreeSet::new();
    for (at, claim) in resources.claims.iter().flatten().enumerate() {
        let (path, name) = (list.index(at), claim.name.as_str());
        let request = claim.request.as_deref().unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::required(&path, ""));
            continue;
        }
        let whole = if request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
        // wire: who uses a claim as a whole uses each request of it.
        if seen.contains(name) {
            errors.push(FieldError::duplicate(&path, name));
        } else if !seen.insert(whole.clone()) {
            errors.push(FieldError::duplicate(&path, whole));
        }
        if !request.is_empty() {
            rules::each(request, names::dns_label(request), &path.child("request"), errors);
        }
        if !known.contains(&name) {
            let those = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            let mut error = FieldError::not_found(&path, name);
            error.message.push_str(&format!(": must be one of the names in pod.spec.resourceClaims{those}"));
            errors.push(error);
        }
    }
}

/// Checks what a whole pod asks for: no less than its containers together.
pub fn check_pod(resources: &ResourceRequirements, spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    for (field, list) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for name in list
            .iter()
            .flatten()
            .map(|(name, _)| name)
            .filter(|name| !of_pods(name) && names::qualified_name(name).is_empty())
        {
            let path = path.child(field).key(name);
            errors.push(FieldError::not_supported(&path, name.as_str(), &["cpu", HUGE, "memory"]));
        }
    }
    if resources.claims.is_some() {
        let detail = "claims may not be set for Resources at pod-level";
        errors.push(FieldError::forbidden(&path.child("claims"), detail));
    }
    check_lists(resources, false, path, errors);
    check_claims(resources, &Scope::new(spec), &path.child("claims"), errors);
    for (name, request) in resources.requests.iter().flatten() {
        let of_container = |c: &Container| c.resources.as_ref()?.requests.as_ref()?.get(name).cloned();
        let amounts = spec.containers.iter().filter_map(of_container).filter_map(|q| Quantity::parse(&q.0).ok());
        let sum = amounts.fold(Quantity::ZERO, |sum, amount| sum.add(&amount));
        let request = Quantity::parse(&request.0).ok().filter(|request| *request < sum && request.sign() >= 0);
        if let Some(request) = request {
            let detail = format!("must be greater than or equal to aggregate container requests of {sum}");
            let path = path.child("requests").key(name);
            errors.push(FieldError::invalid(&path, request.to_string(), detail));
        }
    }
    for (at, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let of_pod = resources.limits.as_ref().and_then(|limits| limits.get(name));
            let (Some(Ok(of_pod)), Ok(limit)) = (of_pod.map(|q| Quantity::parse(&q.0)), Quantity::parse(&limit.0))
            else {
                continue;
            };
            if limit > of_pod {
                let path = path.child("containers").index(at).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {of_pod}");
                errors.push(FieldError::invalid(&path, limit.to_string(), detail));
            }
        }
    }
}

/// Whether a whole pod may ask for it.
fn of_pods(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with(HUGE)
}

fn check_lists(resources: &ResourceRequirements, container: bool, path: &Path, errors: &mut ErrorList) {
    let empty = List::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    check_list(limits, container, &limits_path, errors);
    let mut overcommitted = false;
    for (name, request) in requests {
        check_one(name, request, container, &requests_path, errors);
        let Ok(request) = Quantity::parse(&request.0) else { continue };
        match limits.get(name).and_then(|limit| Quantity::parse(&limit.0).ok()) {
            Some(limit) if !may_overcommit(name) && request != limit => {
                let detail = format!("must be equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&requests_path, request.to_string(), detail));
            }
            Some(limit) if request > limit => {
                let detail = format!("must be less than or equal to {name} limit of {limit}");
                errors.push(FieldError::invalid(&requests_path, request.to_string(), detail));
            }
            Some(_) => {}
            None => overcommitted |= !may_overcommit(name),
        }
    }
    if overcommitted {
        errors.push(FieldError::required(&limits_path, "Limit must be set for non overcommitable resources"));
    }
    let any = |test: fn(&str) -> bool| limits.keys().chain(requests.keys()).any(|name| test(name));
    if any(|name| name.starts_with(HUGE)) && !any(|name| matches!(name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// Whether more may be requested than there is: of what is native, but not of huge pages.
fn may_overcommit(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    native && !name.starts_with(HUGE)
}

/// Checks a list of amounts.
pub fn check_list(list: &List, container: bool, path: &Path, errors: &mut ErrorList) {
    for (name, quantity) in list {
        check_one(name, quantity, container, path, errors);
    }
}

fn check_one(name: &str, quantity: &Text, container: bool, path: &Path, errors: &mut ErrorList) {
    let path = path.key(name);
    check_name(name, container, &path, errors);
    let Ok(amount) = Quantity::parse(&quantity.0) else { return };
    if amount.sign() < 0 {
        errors.push(FieldError::invalid(&path, amount.to_string(), NON_NEGATIVE));
    } else if name.contains('/') && !amount.is_whole() {
        errors.push(FieldError::invalid(&path, amount.to_string(), "must be an integer"));
    }
    if let Some(page) = name.strip_prefix(HUGE).and_then(|size| Quantity::parse(size).ok()) {
        let whole = page.value() > 0 && amount.is_whole() && amount.value() % page.value() == 0;
        if !whole || amount.sign() < 0 {
            let detail = format!("{amount} is not positive integer multiple of {name}");
            errors.push(FieldError::invalid(&path, amount.to_string(), detail));
        }
    }
}

fn check_name(name: &str, container: bool, path: &Path, errors: &mut ErrorList) {
    let wrong = names::qualified_name(name);
    let valid = wrong.is_empty();
    errors.extend(FieldError::each(path, name, wrong));
    if name.contains('/') {
        let foreign = !name.contains("kubernetes.io/");
        if container && foreign && (name.starts_with("requests.") || !valid) {
            errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
        }
        return;
    }
    let known = COMPUTE.contains(&name) || name.starts_with(HUGE);
    if valid && !known && !COUNTED.contains(&name) {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    if container && !known {
        errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
    }
}
