//! ResourceQuotas.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path, quote, shown};
use crate::kinds::pod::round_to_milli;
use crate::kinds::resource_names;
use crate::names;
use crate::quantity::Quantity;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child, keep, list_at, map_at, str_at};

/// The row of `ResourceQuota`.
pub static RESOURCE_QUOTA: Kind = Kind {
    group: "",
    version: "v1",
    kind: "ResourceQuota",
    plural: "resourcequotas",
    singular: "resourcequota",
    version_of: None,
    short_names: &["quota"],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "ResourceQuota",
        schema: "io.k8s.api.core.v1.ResourceQuota",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.core.v1.ResourceQuota",
    strategy: &ResourceQuotaStrategy,
    columns: &[
        NAME,
        Column::text("Request", "Request represents a minimum amount of cpu/memory that a container may consume."),
        Column::text(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
        ),
        AGE,
    ],
    cells,
    selectable: &[],
};

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in map_at(o, "/status/hard") {
        let used = o["status"]["used"].get(resource).and_then(Value::as_str).unwrap_or("0");
        let text = format!("{resource}: {used}/{}", hard.as_str().unwrap_or_default());
        if resource.starts_with("limits") { limits.push(text) } else { requests.push(text) }
    }
    vec![name(o), Value::from(requests.join(", ")), Value::from(limits.join(", ")), age_of(o, now)]
}

struct ResourceQuotaStrategy;

impl Strategy for ResourceQuotaStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        for (part, lists) in [("spec", &["hard"][..]), ("status", &["hard", "used"])] {
            if let Some(part) = child(object, part) {
                lists.iter().for_each(|list| round_to_milli(part, list));
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        let path = Path::new("spec");
        let mut errors = ErrorList::new();
        check_list(object, "/spec/hard", &path.child("hard"), &mut errors);
        check_scopes(&object["spec"], &path.child("scopes"), &mut errors);
        check_selector(&object["spec"], &path.child("scopeSelector").child("matchExpressions"), &mut errors);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            let path = Path::new("status");
            let mut errors = ErrorList::new();
            check_list(new, "/status/hard", &path.child("hard"), &mut errors);
            check_list(new, "/status/used", &path.child("used"), &mut errors);
            return errors;
        }
        let mut errors = self.validate(new);
        let scopes = |object| texts(list_at(object, "/spec/scopes"));
        if scopes(new).iter().collect::<BTreeSet<_>>() != scopes(old).iter().collect::<BTreeSet<_>>() {
            let path = Path::new("spec").child("scopes");
            errors.push(FieldError::invalid(&path, scopes(new), rules::IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn texts(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(Value::as_str).collect()
}

fn check_list(object: &Value, pointer: &str, path: &Path, errors: &mut ErrorList) {
    for (resource, amount) in map_at(object, pointer) {
        let path = path.key(resource);
        resource_names::check_for_quota(resource, &path, errors);
        if let Some(amount) = amount.as_str().and_then(|text| Quantity::parse(text).ok()) {
            resource_names::check_amount(resource, &amount, &path, errors);
        }
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// Scopes that a pod is in or not: nothing can be compared with them.
const BARE: [&str; 5] = ["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
/// Scopes that exclude each other.
const OPPOSITES: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

/// Whether objects in the scope can use the resource.
fn fits(scope: &str, resource: &str) -> bool {
    let share = resource.strip_prefix("requests.").or(resource.strip_prefix("limits.")).unwrap_or(resource);
    let compute = ["cpu", "memory"].contains(&share);
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => ["persistentvolumeclaims", "requests.storage"].contains(&resource),
        known if SCOPES.contains(&known) => resource == "pods" || compute,
        _ => true,
    }
}

/// Whether some resource that the quota bounds has nothing to do with the scope.
fn misfit(spec: &Value, scope: &str) -> bool {
    let mut bounded = map_at(spec, "/hard").map(|(resource, _)| resource.as_str());
    bounded.any(|resource| resource_names::is_standard_for_quota(resource) && !fits(scope, resource))
}

fn conflict(scopes: &[&str]) -> bool {
    OPPOSITES.iter().any(|pair| pair.iter().all(|scope| scopes.contains(scope)))
}

const MISFIT: &str = "unsupported scope applied to resource";
const CONFLICT: &str = "conflicting scopes";

fn check_scopes(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let scopes = texts(list_at(spec, "/scopes"));
    let mut wrong = |detail| errors.push(FieldError::invalid(path, scopes.clone(), detail));
    if scopes.iter().any(|scope| !SCOPES.contains(scope)) {
        wrong("unsupported scope");
    }
    if scopes.iter().any(|scope| misfit(spec, scope)) {
        wrong(MISFIT);
    }
    if conflict(&scopes) {
        wrong(CONFLICT);
    }
}

fn check_selector(spec: &Value, path: &Path, errors: &mut ErrorList) {
    let expressions = list_at(spec, "/scopeSelector/matchExpressions");
    let scopes: Vec<&str> = expressions.iter().map(|expression| str_at(expression, "/scopeName")).collect();
    for (expression, scope) in expressions.iter().zip(&scopes) {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid(&path.child("scopeName"), *scope, "unsupported scope"));
        }
        check_expression(expression, scope, path, errors);
    }
    if scopes.iter().any(|scope| misfit(spec, scope)) {
        errors.push(FieldError::invalid_shown(path, &show_selector(expressions), MISFIT));
    }
    if conflict(&scopes) {
        let named = spec.get("scopes").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(path, named, CONFLICT));
    }
}

fn check_expression(expression: &Value, scope: &str, path: &Path, errors: &mut ErrorList) {
    let operator = str_at(expression, "/operator");
    let values = texts(list_at(expression, "/values"));
    if BARE.contains(&scope) && operator != "Exists" {
        let detail = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, \
            ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
            ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(FieldError::invalid(&path.child("operator"), operator, detail));
    }
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(FieldError::required(&path.child("values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(FieldError::invalid(&path.child("values"), values, detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(FieldError::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
}

/// A selector of scopes as error messages show it.
fn show_selector(expressions: &[Value]) -> String {
    let one = |expression: &Value| {
        let values = shown(expression.get("values").unwrap_or(&Value::Null));
        let text = |pointer| quote(str_at(expression, pointer));
        format!("{{\"ScopeName\":{},\"Operator\":{},\"Values\":{values}}}", text("/scopeName"), text("/operator"))
    };
    format!("{{\"MatchExpressions\":[{}]}}", expressions.iter().map(one).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(spec: Value) -> Vec<String> {
        let quota = json!({"metadata": {"name": "q"}, "spec": spec});
        ResourceQuotaStrategy.validate(&quota).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_quota_bounds_what_it_knows() {
        let hard = json!({"pods": "1", "count/deployments.apps": "2", "requests.cpu": "100m", "a.io/gpu": "1"});
        assert_eq!(errors(json!({ "hard": hard })), Vec::<String>::new());
        let expected = ["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"];
        assert_eq!(errors(json!({"hard": {"pods": "1.5"}})), expected);
        assert_eq!(errors(json!({"hard": {"storage": "1"}})).len(), 1);
    }

    #[test]
    fn scopes_fit_what_is_bounded() {
        let quota = |scopes: &[&str], resource: &str| errors(json!({"hard": {resource: "1"}, "scopes": scopes})).len();
        assert_eq!(quota(&["BestEffort"], "pods"), 0);
        assert_eq!(quota(&["BestEffort"], "cpu"), 1);
        assert_eq!(quota(&["BestEffort", "NotBestEffort"], "pods"), 1);
        assert_eq!(quota(&["NotBestEffort"], "limits.memory"), 0);
        assert_eq!(quota(&["X"], "pods"), 1);
    }

    #[test]
    fn a_row_shows_requests_and_limits_apart() {
        let quota = json!({"metadata": {"name": "q"}, "status": {
            "hard": {"pods": "10", "limits.cpu": "2"}, "used": {"pods": "1"}}});
        let cells = cells(&quota, Timestamp::UNIX_EPOCH);
        assert_eq!(json!(cells[1..3]), json!(["pods: 1/10", "limits.cpu: 0/2"]));
    }
}
