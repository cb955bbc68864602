//! The policies of a Job: when it has failed, when it has succeeded, when a pod is replaced, who manages it.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicy,
    SuccessPolicyRule,
};
use serde_json::{Value, json};

use super::indexes;
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::names;
use crate::rules;
use crate::tree::list_at;

/// What a path may have beside letters and digits.
const PATH_SIGNS: &str = "/-._~%!$&'()*+,;=:";
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const CONDITIONS_MAX: usize = 20;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

/// Checks all of a Job's policies.
pub fn check(spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    if let Some(policy) = &spec.pod_failure_policy {
        check_failure(policy, spec, &path.child("podFailurePolicy"), errors);
    }
    if let Some(policy) = &spec.success_policy {
        check_success(policy, spec, &path.child("successPolicy"), errors);
    }
    if let Some(policy) = spec.pod_replacement_policy.as_deref() {
        check_replacement(policy, spec, &path.child("podReplacementPolicy"), errors);
    }
}

/// A name with a domain before a slash.
pub fn check_prefixed(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    match text.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            rules::each(domain, names::dns_subdomain(domain), path, errors);
            if !rest.bytes().all(|c| c.is_ascii_alphanumeric() || PATH_SIGNS.contains(c as char)) {
                let detail = "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                errors.push(FieldError::invalid(path, rest, detail));
            }
        }
        _ => errors.push(FieldError::invalid(path, text, "must be a domain-prefixed path (such as \"acme.io/foo\")")),
    }
}

fn check_failure(policy: &PodFailurePolicy, spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let path = path.child("rules");
    if policy.rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(&path, policy.rules.len(), RULES_MAX));
    }
    let pod = spec.template.spec.as_ref();
    let containers: BTreeSet<&str> = pod
        .into_iter()
        .flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()))
        .map(|container| container.name.as_str())
        .collect();
    for (at, rule) in policy.rules.iter().enumerate() {
        check_rule(rule, spec, &containers, &path.index(at), errors);
    }
}

fn check_rule(
    rule: &PodFailurePolicyRule,
    spec: &JobSpec,
    containers: &BTreeSet<&str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let action = path.child("action");
    match rule.action.as_str() {
        "" => {
            errors.push(FieldError::required(&action, "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"))
        }
        "FailIndex" => {
            if spec.backoff_limit_per_index.is_none() {
                errors.push(FieldError::invalid(&action, "FailIndex", "requires the backoffLimitPerIndex to be set"));
            }
        }
        known => rules::one_of(known, &ACTIONS, &action, errors),
    }
    let conditions = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        check_exit_codes(codes, containers, &path.child("onExitCodes"), errors);
    }
    if !conditions.is_empty() {
        let path = path.child("onPodConditions");
        if conditions.len() > CONDITIONS_MAX {
            errors.push(FieldError::too_many(&path, conditions.len(), CONDITIONS_MAX));
        }
        for (at, pattern) in conditions.iter().enumerate() {
            let path = path.index(at);
            rules::each(&pattern.type_, names::qualified_name(&pattern.type_), &path.child("type"), errors);
            let status = pattern.status.as_deref().filter(|status| !status.is_empty()).unwrap_or("True");
            rules::one_of(status, &["False", "True", "Unknown"], &path.child("status"), errors);
        }
    }
    match (&rule.on_exit_codes, conditions.is_empty()) {
        (Some(_), false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.push(FieldError::invalid_bare(path, detail));
        }
        (None, true) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.push(FieldError::invalid_bare(path, detail));
        }
        _ => {}
    }
}

fn check_exit_codes(
    codes: &PodFailurePolicyOnExitCodesRequirement,
    containers: &BTreeSet<&str>,
    path: &Path,
    errors: &mut ErrorList,
) {
    let operator = path.child("operator");
    if codes.operator.is_empty() {
        errors.push(FieldError::required(&operator, "valid values: [\"In\" \"NotIn\"]"));
    } else {
        rules::one_of(&codes.operator, &["In", "NotIn"], &operator, errors);
    }
    if let Some(name) = codes.container_name.as_deref().filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(&path.child("containerName"), name, detail));
    }
    let path = path.child("values");
    if codes.values.is_empty() {
        errors.push(FieldError::invalid(&path, Value::Null, "at least one value is required"));
    } else if codes.values.len() > EXIT_CODES_MAX {
        errors.push(FieldError::too_many(&path, codes.values.len(), EXIT_CODES_MAX));
    }
    let mut seen = BTreeSet::new();
    let mut ordered = true;
    for (at, code) in codes.values.iter().enumerate() {
        let path = path.index(at);
        if codes.operator == "In" && *code == 0 {
            errors.push(FieldError::invalid(&path, *code, "must not be 0 for the In operator"));
        }
        if !seen.insert(*code) {
            errors.push(FieldError::duplicate(&path, *code));
        }
        ordered &= at == 0 || codes.values[at - 1] <= *code;
    }
    if !ordered {
        errors.push(FieldError::invalid(&path, codes.values.clone(), "must be ordered"));
    }
}

fn check_success(policy: &SuccessPolicy, spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    if spec.completion_mode.as_deref() != Some("Indexed") {
        let value = show_success(&json!(policy));
        errors.push(FieldError::invalid_shown(path, &value, "requires indexed completion mode"));
        return;
    }
    let path = path.child("rules");
    if policy.rules.is_empty() {
        errors.push(FieldError::required(
            &path,
            "at least one rules must be specified when the successPolicy is specified",
        ));
    }
    if policy.rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(&path, policy.rules.len(), RULES_MAX));
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        let path = path.index(at);
        let (count, indexes) = (rule.succeeded_count, rule.succeeded_indexes.as_deref());
        if count.is_none() && indexes.is_none() {
            errors.push(FieldError::required(
                &path,
                "at least one of succeededCount or succeededIndexes must be specified",
            ));
        }
        check_success_rule(rule, i64::from(spec.completions.unwrap_or(0)), &path, errors);
    }
}

fn check_success_rule(rule: &SuccessPolicyRule, completions: i64, path: &Path, errors: &mut ErrorList) {
    let mut chosen = None;
    if let Some(text) = rule.succeeded_indexes.as_deref() {
        let parsed = indexes::parse(text, completions);
        if let Err(why) = &parsed {
            let detail = format!("error parsing succeededIndexes: {why}");
            errors.push(FieldError::invalid(&path.child("succeededIndexes"), text, detail));
        }
        chosen = Some(indexes::count(&parsed.unwrap_or_default()));
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    rules::non_negative(count, &path, errors);
    let count = i64::from(count);
    if count > completions {
        let detail = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(FieldError::invalid(&path, count, detail));
    }
    if let Some(chosen) = chosen.filter(|chosen| count > *chosen) {
        let what = "the number of indexes in the specified succeededIndexes field";
        errors.push(FieldError::invalid(&path, count, format!("must be less than or equal to {chosen} ({what})")));
    }
}

/// A policy of success as error messages show it.
pub fn show_success(policy: &Value) -> String {
    let rule = |rule: &Value| format!("{{{},{}}}", part(rule, "succeededIndexes"), part(rule, "succeededCount"));
    format!("{{\"Rules\":[{}]}}", list_at(policy, "/rules").iter().map(rule).collect::<Vec<_>>().join(","))
}

/// A policy of failure as error messages show it.
pub fn show_failure(policy: &Value) -> String {
    let codes = |codes: &Value| {
        format!("{{{},{},{}}}", part(codes, "containerName"), part(codes, "operator"), part(codes, "values"))
    };
    let pattern = |pattern: &Value| format!("{{{},{}}}", part(pattern, "type"), part(pattern, "status"));
    let rule = |rule: &Value| {
        let codes = rule.get("onExitCodes").map_or_else(|| "null".to_owned(), codes);
        let patterns = list_at(rule, "/onPodConditions");
        let shown: Vec<_> = patterns.iter().map(pattern).collect();
        let shown = if shown.is_empty() { "null".to_owned() } else { format!("[{}]", shown.join(",")) };
        format!("{{{},\"OnExitCodes\":{codes},\"OnPodConditions\":{shown}}}", part(rule, "action"))
    };
    format!("{{\"Rules\":[{}]}}", list_at(policy, "/rules").iter().map(rule).collect::<Vec<_>>().join(","))
}

/// A field as Go shows it: its name in upper case first.
fn part(object: &Value, field: &str) -> String {
    let (first, rest) = field.split_at(1);
    format!("\"{}{rest}\":{}", first.to_uppercase(), object.get(field).map_or_else(|| "null".to_owned(), shown))
}

fn check_replacement(policy: &str, spec: &JobSpec, path: &Path, errors: &mut ErrorList) {
    let known: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    rules::one_of(policy, known, path, errors);
}
