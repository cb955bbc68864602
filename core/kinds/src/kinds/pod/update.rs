//! What may change in a pod: its images, a shorter deadline, more tolerations, fewer scheduling gates, and while it
//! is gated also where it may run. Status and ephemeral containers have rules of their own.

use k8s_openapi::api::core::v1::{EphemeralContainer, Pod, PodSpec, Toleration};
use serde_json::{Map, Value, json};

use super::validate;
use crate::field::{ErrorList, FieldError, Path, quote};
use crate::kinds::selecting;
use crate::names;
use crate::rules::{self, IMMUTABLE};
use crate::tree::{children, int_at, list_at, map_at, str_at};
use crate::typed;

const MAY_CHANGE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
    `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing \
    tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Checks a change of the pod itself.
pub fn check(new: &Value, old: &Value) -> ErrorList {
    let (new_pod, old_pod) = match (typed::whole::<Pod>(new), typed::whole::<Pod>(old)) {
        (Ok(new), Ok(old)) => (new.spec.unwrap_or_default(), old.spec.unwrap_or_default()),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = validate::whole(new);
    errors.extend(check_mirror(new, old));
    if check_lists(&new_pod, &old_pod, &path, &mut errors) {
        check_gates(new, old, &path, &mut errors);
        check_deadline(&new_pod, &old_pod, &path, &mut errors);
        check_tolerations(&new_pod, &old_pod, &path.child("tolerations"), &mut errors);
        check_rest(new, old, &path, &mut errors);
    }
    errors
}

/// A pod is the mirror of a node's own pod from its first day, or never.
fn check_mirror(new: &Value, old: &Value) -> ErrorList {
    let mirror = |object: &Value| {
        let annotations = object.pointer("/metadata/annotations");
        annotations.and_then(|a| a.get(validate::MIRROR)).and_then(Value::as_str).map(str::to_owned)
    };
    let path = Path::new("metadata").child("annotations").key(validate::MIRROR);
    match (mirror(new), mirror(old)) {
        (new, old) if new == old => ErrorList::new(),
        (_, None) => vec![FieldError::forbidden(&path, "may not add mirror pod annotation")],
        (_, Some(_)) => vec![FieldError::forbidden(&path, "may not remove or update mirror pod annotation")],
    }
}

/// No container comes or goes.
fn check_lists(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) -> bool {
    let init = |spec: &PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    for (field, same) in
        [("containers", new.containers.len() == old.containers.len()), ("initContainers", init(new) == init(old))]
    {
        if !same {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(&path.child(field), detail));
            return false;
        }
    }
    true
}

fn check_gates(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let before = list_at(old, "/spec/schedulingGates");
    for (at, gate) in list_at(new, "/spec/schedulingGates").iter().enumerate() {
        if !before.contains(gate) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", str_at(gate, "/name"));
            errors.push(FieldError::forbidden(&path.child("schedulingGates").index(at).child("name"), detail));
        }
    }
}

fn check_deadline(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let path = path.child("activeDeadlineSeconds");
    if let Some(seconds) = new.active_deadline_seconds {
        rules::within(seconds, 0, i32::MAX.into(), &path, errors);
    }
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), Some(old)) if new > old => {
            errors.push(FieldError::invalid(&path, new, "must be less than or equal to previous value"));
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(&path, Value::Null, detail));
        }
        _ => {}
    }
}

/// What was tolerated stays tolerated, if only for another time.
fn check_tolerations(new: &PodSpec, old: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let timeless = |t: &Toleration| Toleration { toleration_seconds: None, ..t.clone() };
    let now: Vec<_> = new.tolerations.iter().flatten().map(timeless).collect();
    if old.tolerations.iter().flatten().any(|t| !now.contains(&timeless(t))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, detail));
    }
}

/// Checks that nothing else changed, after putting back what may.
fn check_rest(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let (mut spec, before) = (new["spec"].clone(), &old["spec"]);
    let Some(map) = spec.as_object_mut() else { return };
    for list in ["containers", "initContainers"] {
        for (at, container) in children(map, list).enumerate() {
            put_back(container, &before[list][at], "image");
        }
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        put_back(map, before, field);
    }
    if int_at(old, "/spec/terminationGracePeriodSeconds").is_some_and(|s| s < 0)
        && map.get("terminationGracePeriodSeconds") == Some(&json!(1))
    {
        put_back(map, before, "terminationGracePeriodSeconds");
    }
    if !list_at(old, "/spec/schedulingGates").is_empty() {
        check_narrowed(new, old, &path.child("nodeSelector"), errors);
        check_affinity(new, old, &path.child("affinity").child("nodeAffinity").child(REQUIRED), errors);
        put_back_placement(map, before);
    }
    if spec != *before {
        errors.push(FieldError::forbidden(path, format!("{MAY_CHANGE}{}", rules::difference(&spec, before))));
    }
}

fn put_back(map: &mut Map<String, Value>, before: &Value, field: &str) {
    match before.get(field) {
        Some(value) => map.insert(field.to_owned(), value.clone()),
        None => map.remove(field),
    };
}

/// A gated pod may be narrowed: more node selectors, another node affinity.
fn check_narrowed(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let selector = new.pointer("/spec/nodeSelector").cloned().unwrap_or(Value::Null);
    if map_at(old, "/spec/nodeSelector").any(|(key, value)| selector.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(FieldError::invalid(path, selector, detail));
    }
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// Which nodes a gated pod needs may be said more closely, term by term.
fn check_affinity(new: &Value, old: &Value, path: &Path, errors: &mut ErrorList) {
    let place = format!("/spec/affinity/nodeAffinity/{REQUIRED}/nodeSelectorTerms");
    let (now, before) = (list_at(new, &place), list_at(old, &place));
    let path = path.child("nodeSelectorTerms");
    if before.is_empty() {
        return;
    }
    if now.len() != before.len() {
        let there = new.pointer(&place).is_some_and(Value::is_array);
        let told = if there { selecting::show_terms(now) } else { "null".to_owned() };
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid_shown(&path, &told, detail));
        return;
    }
    for (at, (now, before)) in now.iter().zip(before).enumerate() {
        let parts = ["/matchExpressions", "/matchFields"].map(|part| (list_at(now, part), list_at(before, part)));
        let empty = parts.iter().all(|(_, before)| before.is_empty());
        let filled = parts.iter().any(|(now, _)| !now.is_empty());
        if (empty && filled) || parts.iter().any(|(now, before)| !now.starts_with(before)) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid_shown(&path.index(at), &selecting::show_term(now), detail));
        }
    }
}

/// Puts back what `check_narrowed` has checked.
fn put_back_placement(map: &mut Map<String, Value>, before: &Value) {
    put_back(map, before, "nodeSelector");
    let mut affinity = map.get("affinity").cloned().unwrap_or_else(|| json!({}));
    if let Some(affinity) = affinity.as_object_mut() {
        put_back(affinity, &before["affinity"], "nodeAffinity");
    }
    if affinity == before.get("affinity").cloned().unwrap_or_else(|| json!({})) {
        put_back(map, before, "affinity");
    }
}

/// Checks a status that a node writes.
pub fn check_status(new: &Value, old: &Value) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let class = |object| str_at(object, "/status/qosClass").to_owned();
    if !class(old).is_empty() && !class(new).is_empty() && class(new) != class(old) {
        errors.push(FieldError::invalid(&path.child("qosClass"), class(new), IMMUTABLE));
    }
    let node = str_at(new, "/status/nominatedNodeName");
    if !node.is_empty() {
        rules::each(node, names::dns_subdomain(node), &path.child("nominatedNodeName"), &mut errors);
    }
    for (at, condition) in list_at(new, "/status/conditions").iter().enumerate() {
        if let Some(seen) = int_at(condition, "/observedGeneration").filter(|g| *g < 0) {
            let path = path.child("conditions").index(at).child("observedGeneration");
            errors.push(FieldError::invalid(&path, seen, "must be a non-negative integer"));
        }
    }
    check_ips(new, &path.child("podIPs"), &mut errors);
    errors
}

fn check_ips(new: &Value, path: &Path, errors: &mut ErrorList) {
    let ips: Vec<&str> = list_at(new, "/status/podIPs").iter().map(|ip| str_at(ip, "/ip")).collect();
    let before = errors.len();
    for (at, ip) in ips.iter().enumerate() {
        rules::each(ip, names::ip(ip), &path.index(at), errors);
    }
    let families: std::collections::BTreeSet<bool> = ips.iter().map(|ip| ip.contains(':')).collect();
    if errors.len() == before && ips.len() > families.len() {
        let shown: Vec<_> = ips.iter().map(|ip| format!("{{\"IP\":{}}}", quote(ip))).collect();
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid_shown(path, &format!("[{}]", shown.join(",")), detail));
    }
}

/// Checks added ephemeral containers: those that are there stay as they are.
pub fn check_ephemeral(new: &Value, old: &Value) -> ErrorList {
    let (new, old) = match (typed::whole::<Pod>(new), typed::whole::<Pod>(old)) {
        (Ok(new), Ok(old)) => (new.spec.unwrap_or_default(), old.spec.unwrap_or_default()),
        (Err(error), _) | (_, Err(error)) => return vec![error],
    };
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    validate::ephemeral(&new, &path, &mut errors);
    let now: &[EphemeralContainer] = new.ephemeral_containers.as_deref().unwrap_or_default();
    let path = path.child("ephemeralContainers");
    for before in old.ephemeral_containers.iter().flatten() {
        let name = quote(&before.name);
        match now.iter().find(|c| c.name == before.name) {
            None => {
                let detail = format!("existing ephemeral containers {name} may not be removed\n");
                errors.push(FieldError::forbidden(&path, detail));
            }
            Some(after) if after != before => {
                let changes = rules::difference(&json!(after), &json!(before));
                let detail = format!("existing ephemeral containers {name} may not be changed{changes}");
                errors.push(FieldError::forbidden(&path, detail));
            }
            Some(_) => {}
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::pod::POD;
    use crate::row::Update;

    fn pod(change: impl FnOnce(&mut Value)) -> Value {
        let mut object = json!({"metadata": {"name": "a"}, "spec": {
            "containers": [{"name": "a", "image": "b"}], "tolerations": [{"key": "x", "operator": "Exists"}]}});
        change(&mut object["spec"]);
        POD.strategy.default(&mut object);
        object
    }

    fn changed(old: &Value, change: impl FnOnce(&mut Value)) -> Vec<String> {
        let errors = POD.strategy.validate_update(&pod(change), old, Update::Main);
        errors.iter().map(|e| e.to_string().lines().next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn images_deadlines_and_more_tolerations_may_change() {
        let old = pod(|_| {});
        let none: [&str; 0] = [];
        assert_eq!(changed(&old, |spec| spec["containers"][0]["image"] = json!("c")), none);
        assert_eq!(changed(&old, |spec| spec["activeDeadlineSeconds"] = json!(5)), none);
        let more =
            json!([{"key": "x", "operator": "Exists", "tolerationSeconds": null}, {"key": "y", "operator": "Exists"}]);
        assert_eq!(changed(&old, |spec| spec["tolerations"] = more), none);
    }

    #[test]
    fn nothing_else_may() {
        let old = pod(|_| {});
        let long = format!("spec: Forbidden: {MAY_CHANGE}");
        assert_eq!(changed(&old, |spec| spec["nodeName"] = json!("n")), [long.as_str()]);
        assert_eq!(changed(&old, |spec| spec["terminationGracePeriodSeconds"] = json!(5)), [long.as_str()]);
        assert_eq!(
            changed(&old, |spec| spec["tolerations"] = json!([])),
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
        );
        assert_eq!(
            changed(&old, |spec| spec["containers"] =
                json!([{"name": "a", "image": "b"}, {"name": "c", "image": "d"}])),
            ["spec.containers: Forbidden: pod updates may not add or remove containers"]
        );
    }

    #[test]
    fn a_gated_pod_may_be_narrowed() {
        let gated = |spec: &mut Value| spec["schedulingGates"] = json!([{"name": "x"}]);
        let old = pod(gated);
        let narrowed = changed(&old, |spec| spec["nodeSelector"] = json!({"a": "b"}));
        assert!(narrowed.is_empty(), "{narrowed:?}");
        assert_eq!(
            changed(&pod(|_| {}), gated),
            ["spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'x'"]
        );
    }

    #[test]
    fn ephemeral_containers_are_only_added() {
        let with = |image: &str| pod(|spec| spec["ephemeralContainers"] = json!([{"name": "e", "image": image}]));
        let check = |new: &Value, old: &Value, expected: usize| {
            let errors = POD.strategy.validate_update(new, old, Update::Sub("ephemeralcontainers"));
            assert_eq!(errors.len(), expected, "{errors:?}");
        };
        check(&with("b"), &pod(|_| {}), 0);
        check(&with("b"), &with("b"), 0);
        check(&with("c"), &with("b"), 1);
        check(&pod(|_| {}), &with("b"), 1);
    }
}
