//! Where a pod may run: tolerations, affinity, spreading.

use k8s_openapi::api::core::v1::{
    NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};

use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::rules;

const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Checks a pod's tolerations.
pub fn check_tolerations(tolerations: &[Toleration], path: &Path, errors: &mut ErrorList) {
    for (at, toleration) in tolerations.iter().enumerate() {
        check_toleration(toleration, &path.index(at), errors);
    }
}

fn check_toleration(toleration: &Toleration, path: &Path, errors: &mut ErrorList) {
    let key = toleration.key.as_deref().unwrap_or_default();
    let operator = toleration.operator.as_deref().unwrap_or_default();
    let value = toleration.value.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let operator_path = path.child("operator");
    if !key.is_empty() {
        rules::each(key, names::qualified_name(key), &path.child("key"), errors);
    } else if operator != "Exists" {
        let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
        errors.push(FieldError::invalid(&operator_path, operator, detail));
    }
    if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(&path.child("effect"), effect, detail));
    }
    match operator {
        "" | "Equal" => rules::each(value, names::label_value(value), &operator_path, errors),
        "Exists" => {
            if !value.is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(&operator_path, value, detail));
            }
        }
        "Gt" | "Lt" => {
            let known = ["Equal", "Exists", "Lt", "Gt"];
            errors.push(FieldError::not_supported(&operator_path, operator, &known));
        }
        _ => errors.push(FieldError::not_supported(&operator_path, operator, &["Equal", "Exists"])),
    }
    if !effect.is_empty() {
        rules::one_of(effect, EFFECTS, &path.child("effect"), errors);
    }
}

/// Checks a pod's affinity to nodes and to other pods.
pub fn check_affinity(spec: &PodSpec, path: &Path, errors: &mut ErrorList) {
    let Some(affinity) = &spec.affinity else { return };
    if let Some(node) = &affinity.node_affinity {
        let path = path.child("nodeAffinity");
        if let Some(required) = &node.required_during_scheduling_ignored_during_execution {
            check_node_selector(required, &path.child(REQUIRED), errors);
        }
        let preferred = node.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        for (at, preferred) in preferred.enumerate() {
            let path = path.child(PREFERRED).index(at);
            check_weight(preferred.weight, &path, errors);
            check_node_term(&preferred.preference, &path.child("preference"), errors);
        }
    }
    if let Some(pods) = &affinity.pod_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        check_pod_terms(required, preferred, &path.child("podAffinity"), errors);
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        check_pod_terms(required, preferred, &path.child("podAntiAffinity"), errors);
    }
}

/// Checks a selector of nodes.
pub fn check_node_selector(selector: &NodeSelector, path: &Path, errors: &mut ErrorList) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(FieldError::required(&path, "must have at least one node selector term"));
    }
    for (at, term) in selector.node_selector_terms.iter().enumerate() {
        check_node_term(term, &path.index(at), errors);
        check_node_values(term, &path.index(at), errors);
    }
}

/// What must be there for a node to be fit is a label that a node can have.
fn check_node_values(term: &NodeSelectorTerm, path: &Path, errors: &mut ErrorList) {
    for (at, expression) in term.match_expressions.iter().flatten().enumerate() {
        let path = path.child("matchExpressions").index(at).child("values");
        for (at, value) in expression.values.iter().flatten().enumerate() {
            rules::each(value, names::label_value(value), &path.index(at), errors);
        }
    }
}

fn check_weight(weight: i32, path: &Path, errors: &mut ErrorList) {
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

fn check_node_term(term: &NodeSelectorTerm, path: &Path, errors: &mut ErrorList) {
    for (at, expression) in term.match_expressions.iter().flatten().enumerate() {
        check_node_expression(expression, &path.child("matchExpressions").index(at), errors);
    }
    for (at, field) in term.match_fields.iter().flatten().enumerate() {
        check_node_field(field, &path.child("matchFields").index(at), errors);
    }
}

fn check_node_expression(expression: &NodeSelectorRequirement, path: &Path, errors: &mut ErrorList) {
    let values = expression.values.as_deref().unwrap_or_default();
    let values_path = path.child("values");
    match expression.operator.as_str() {
        "In" | "NotIn" => {
            if values.is_empty() {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                errors.push(FieldError::required(&values_path, detail));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.push(FieldError::forbidden(&values_path, detail));
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(&values_path, detail));
            }
        }
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    rules::each(&expression.key, names::qualified_name(&expression.key), &path.child("key"), errors);
}

fn check_node_field(field: &NodeSelectorRequirement, path: &Path, errors: &mut ErrorList) {
    let values = field.values.as_deref().unwrap_or_default();
    match field.operator.as_str() {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.push(FieldError::required(&path.child("values"), detail));
            }
        }
        other => errors.push(FieldError::invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if field.key == "metadata.name" {
        for (at, value) in values.iter().enumerate() {
            rules::each(value, names::dns_subdomain(value), &path.child("values").index(at), errors);
        }
    } else {
        let detail = "not a valid field selector key";
        errors.push(FieldError::invalid(&path.child("key"), field.key.as_str(), detail));
    }
}

fn check_pod_terms(
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
    path: &Path,
    errors: &mut ErrorList,
) {
    for (at, term) in required.unwrap_or_default().iter().enumerate() {
        check_pod_term(term, &path.child(REQUIRED).index(at), errors);
    }
    for (at, weighted) in preferred.unwrap_or_default().iter().enumerate() {
        let path = path.child(PREFERRED).index(at);
        check_weight(weighted.weight, &path, errors);
        check_pod_term(&weighted.pod_affinity_term, &path.child("podAffinityTerm"), errors);
    }
}

fn check_pod_term(term: &PodAffinityTerm, path: &Path, errors: &mut ErrorList) {
    if let Some(selector) = &term.label_selector {
        rules::label_selector(selector, &path.child("labelSelector"), errors);
    }
    if let Some(selector) = &term.namespace_selector {
        rules::label_selector(selector, &path.child("namespaceSelector"), errors);
    }
    for namespace in term.namespaces.iter().flatten() {
        rules::each(namespace, names::dns_label(namespace), &path.child("namespace"), errors);
    }
    for (field, keys) in [("matchLabelKeys", &term.match_label_keys), ("mismatchLabelKeys", &term.mismatch_label_keys)]
    {
        if keys.as_ref().is_some_and(|keys| !keys.is_empty()) && term.label_selector.is_none() {
            let detail = "must not be specified when labelSelector is not set";
            errors.push(FieldError::forbidden(&path.child(field), detail));
        }
    }
    let mismatched = term.mismatch_label_keys.as_deref().unwrap_or_default();
    for (at, key) in term.match_label_keys.iter().flatten().enumerate().filter(|(_, key)| mismatched.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(&path.child("matchLabelKeys").index(at), key.as_str(), detail));
    }
    let topology = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(&topology, "can not be empty"));
    }
    rules::each(&term.topology_key, names::qualified_name(&term.topology_key), &topology, errors);
}

/// Checks how a pod wants to be spread.
pub fn check_spread(constraints: &[TopologySpreadConstraint], list: &Path, errors: &mut ErrorList) {
    for (at, constraint) in constraints.iter().enumerate() {
        let path = list.index(at);
        if constraint.max_skew <= 0 {
            let detail = "must be greater than zero";
            errors.push(FieldError::invalid(&path.child("maxSkew"), constraint.max_skew, detail));
        }
        if constraint.topology_key.is_empty() {
            errors.push(FieldError::required(&path.child("topologyKey"), "can not be empty"));
        }
        let when = constraint.when_unsatisfiable.as_str();
        rules::one_of(when, &["DoNotSchedule", "ScheduleAnyway"], &path.child("whenUnsatisfiable"), errors);
        let pair = |c: &TopologySpreadConstraint| (c.topology_key.clone(), c.when_unsatisfiable.clone());
        if constraints[at + 1..].iter().any(|later| pair(later) == pair(constraint)) {
            let value = format!("{{{}, {when}}}", constraint.topology_key);
            errors.push(FieldError::duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), value));
        }
        check_spread_options(constraint, &path, errors);
    }
}

fn check_spread_options(constraint: &TopologySpreadConstraint, path: &Path, errors: &mut ErrorList) {
    if let Some(domains) = constraint.min_domains {
        let path = path.child("minDomains");
        if domains <= 0 {
            errors.push(FieldError::invalid(&path, domains, "must be greater than zero"));
        }
        let when = constraint.when_unsatisfiable.as_str();
        if when != "DoNotSchedule" {
            let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
            errors.push(FieldError::invalid(&path, domains, detail));
        }
    }
    let policies = [
        ("nodeAffinityPolicy", &constraint.node_affinity_policy),
        ("nodeTaintsPolicy", &constraint.node_taints_policy),
    ];
    for (field, policy) in policies {
        if let Some(policy) = policy {
            rules::one_of(policy, &["Honor", "Ignore"], &path.child(field), errors);
        }
    }
    let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
    let keys_path = path.child("matchLabelKeys");
    if !keys.is_empty() && constraint.label_selector.is_none() {
        errors.push(FieldError::forbidden(&keys_path, "must not be specified when labelSelector is not set"));
    }
    for (at, key) in keys.iter().enumerate() {
        rules::each(key, names::qualified_name(key), &keys_path.index(at), errors);
    }
    if let Some(selector) = &constraint.label_selector {
        rules::label_selector(selector, &path.child("labelSelector"), errors);
    }
}
