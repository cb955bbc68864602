//! FlowSchemas: which requests share a priority level.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::field::{ErrorList, FieldError, Path};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{child_or_new, int_at, keep, list_at, str_at};

/// The row of `FlowSchema`.
pub static FLOW_SCHEMA: Kind = Kind {
    group: "flowcontrol.apiserver.k8s.io",
    version: "v1",
    kind: "FlowSchema",
    plural: "flowschemas",
    singular: "flowschema",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "FlowSchema",
        schema: "io.k8s.api.flowcontrol.v1.FlowSchema",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.flowcontrol.v1.FlowSchema",
    strategy: &FlowSchemaStrategy,
    columns: &[
        NAME,
        Column::field("PriorityLevel", "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationReference.name"),
        Column::field("MatchingPrecedence", "io.k8s.api.flowcontrol.v1.FlowSchemaSpec.matchingPrecedence"),
        Column::field("DistinguisherMethod", "io.k8s.api.flowcontrol.v1.FlowSchemaSpec.distinguisherMethod"),
        AGE,
        Column::text("MissingPL", "references a broken or non-existent PriorityLevelConfiguration"),
    ],
    cells,
    selectable: &[],
};

const PRECEDENCE_DEFAULT: i64 = 1000;
const PRECEDENCE_MAX: i64 = 10_000;
/// That of the schema `exempt`, and of no other.
const EXEMPT_PRECEDENCE: i64 = 1;
const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let dangling = list_at(o, "/status/conditions").iter().find(|c| str_at(c, "/type") == "Dangling");
    vec![
        name(o),
        Value::from(str_at(o, "/spec/priorityLevelConfiguration/name")),
        Value::from(int_at(o, "/spec/matchingPrecedence").unwrap_or(0)),
        or_none(str_at(o, "/spec/distinguisherMethod/type")),
        age_of(o, now),
        Value::from(dangling.map_or("?", |condition| str_at(condition, "/status"))),
    ]
}

struct FlowSchemaStrategy;

impl Strategy for FlowSchemaStrategy {
    fn default(&self, object: &mut Value) {
        let Some(object) = object.as_object_mut() else { return };
        let spec = child_or_new(object, "spec");
        if spec.get("matchingPrecedence").and_then(Value::as_i64).unwrap_or(0) == 0 {
            spec.insert("matchingPrecedence".to_owned(), PRECEDENCE_DEFAULT.into());
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, _old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") { check_conditions(new) } else { check(new) }
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn counts_generation(&self) -> bool {
        true
    }
}

/// Every condition has a type, and none two.
pub(super) fn check_conditions(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("conditions");
    let types: Vec<_> = list_at(object, "/status/conditions").iter().map(|c| str_at(c, "/type")).collect();
    for (at, kind) in types.iter().enumerate() {
        let path = path.index(at).child("type");
        if types[..at].contains(kind) {
            errors.push(FieldError::duplicate(&path, *kind));
        }
        rules::required(kind, &path, &mut errors);
    }
    errors
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    let name = str_at(object, "/metadata/name");
    check_fixed(name, spec, &mut errors);
    let precedence = int_at(spec, "/matchingPrecedence").unwrap_or(0);
    let mut wrong = |detail: &str| {
        errors.push(FieldError::invalid(&path.child("matchingPrecedence"), precedence, detail));
    };
    if precedence <= 0 {
        wrong("must be a positive value");
    }
    if precedence > PRECEDENCE_MAX {
        wrong("must not be greater than 10000");
    }
    if precedence == EXEMPT_PRECEDENCE && name != "exempt" {
        wrong("only the schema named 'exempt' may have matchingPrecedence 1");
    }
    if let Some(method) = spec.get("distinguisherMethod").filter(|m| !m.is_null()) {
        let kind = str_at(method, "/type");
        if !["ByNamespace", "ByUser"].contains(&kind) {
            let value = format!("{{\"Type\":{}}}", crate::field::quote(kind));
            let path = path.child("distinguisherMethod").child("type");
            errors.push(FieldError::not_supported_shown(&path, &value, &["ByNamespace", "ByUser"]));
        }
    }
    let level = str_at(spec, "/priorityLevelConfiguration/name");
    let level_path = path.child("priorityLevelConfiguration").child("name");
    if level.is_empty() {
        errors.push(FieldError::required(&level_path, "must reference a priority level"));
    } else {
        rules::each(level, names::dns_subdomain(level), &level_path, &mut errors);
    }
    for (at, rule) in list_at(spec, "/rules").iter().enumerate() {
        check_rule(rule, &path.child("rules").index(at), &mut errors);
    }
    errors
}

/// The two schemas that the system rests on are what they are.
fn check_fixed(name: &str, spec: &Value, errors: &mut ErrorList) {
    let (precedence, groups, method) = match name {
        "exempt" => (EXEMPT_PRECEDENCE, &["system:masters"][..], Value::Null),
        "catch-all" => {
            (PRECEDENCE_MAX, &["system:unauthenticated", "system:authenticated"][..], json!({"type": "ByUser"}))
        }
        _ => return,
    };
    let subjects: Vec<_> = groups.iter().map(|group| json!({"kind": "Group", "group": {"name": group}})).collect();
    let everything = json!([{
        "subjects": subjects,
        "resourceRules": [{
            "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
        }],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }]);
    let part = |key: &str| spec.get(key).cloned().unwrap_or_default();
    let same = part("priorityLevelConfiguration") == json!({"name": name})
        && part("matchingPrecedence") == precedence
        && part("distinguisherMethod") == method
        && part("rules") == everything;
    if !same {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.push(FieldError::invalid(&Path::new("spec"), spec.clone(), detail));
    }
}

fn check_rule(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let subjects = list_at(rule, "/subjects");
    if subjects.is_empty() {
        errors.push(FieldError::required(&path.child("subjects"), "subjects must contain at least one value"));
    }
    for (at, subject) in subjects.iter().enumerate() {
        check_subject(subject, &path.child("subjects").index(at), errors);
    }
    let (resources, urls) = (list_at(rule, "/resourceRules"), list_at(rule, "/nonResourceRules"));
    if resources.is_empty() && urls.is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    for (at, rule) in resources.iter().enumerate() {
        check_resources(rule, &path.child("resourceRules").index(at), errors);
    }
    for (at, rule) in urls.iter().enumerate() {
        let path = path.child("nonResourceRules").index(at);
        check_verbs(rule, &path, errors);
        check_urls(&strings(rule, "nonResourceURLs"), &path.child("nonResourceURLs"), errors);
    }
}

fn check_subject(subject: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = str_at(subject, "/kind");
    if !["Group", "ServiceAccount", "User"].contains(&kind) {
        let kinds = ["Group", "ServiceAccount", "User"];
        errors.push(FieldError::not_supported(&path.child("kind"), kind, &kinds));
        return;
    }
    for (field, owner) in [("user", "User"), ("group", "Group"), ("serviceAccount", "ServiceAccount")] {
        let part = subject.get(field).filter(|part| !part.is_null());
        let path = path.child(field);
        match part {
            None if kind == owner => {
                errors
                    .push(FieldError::required(&path, &format!("{field} is required when subject kind is '{owner}'")));
            }
            Some(_) if kind != owner => {
                errors.push(FieldError::forbidden(
                    &path,
                    format!("{field} is forbidden when subject kind is not '{owner}'"),
                ));
            }
            Some(part) => check_named(field, part, &path, errors),
            None => {}
        }
    }
}

fn check_named(field: &str, part: &Value, path: &Path, errors: &mut ErrorList) {
    let name = str_at(part, "/name");
    rules::required(name, &path.child("name"), errors);
    if field != "serviceAccount" {
        return;
    }
    if !name.is_empty() && name != "*" {
        rules::each(name, names::dns_subdomain(name), &path.child("name"), errors);
    }
    let namespace = str_at(part, "/namespace");
    if namespace.is_empty() {
        errors.push(FieldError::required(&path.child("namespace"), "must specify namespace for service account"));
    } else {
        rules::each(namespace, names::dns_label(namespace), &path.child("namespace"), errors);
    }
}

fn strings<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    list_at(object, &format!("/{key}")).iter().filter_map(Value::as_str).collect()
}

/// A list that has something, and where there is `*` nothing else.
fn check_list(list: &[&str], what: &str, required: &str, path: &Path, errors: &mut ErrorList) {
    if list.is_empty() {
        errors.push(FieldError::required(path, required));
    } else if list.len() > 1 && list.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(FieldError::invalid(path, json!(list), detail));
    }
}

fn check_verbs(rule: &Value, path: &Path, errors: &mut ErrorList) {
    let (verbs, path) = (strings(rule, "verbs"), path.child("verbs"));
    let before = errors.len();
    check_list(&verbs, "verbs", "verbs must contain at least one value", &path, errors);
    if errors.len() == before && !verbs.contains(&"*") && verbs.iter().any(|verb| !VERBS.contains(verb)) {
        errors.push(FieldError::not_supported(&path, json!(verbs), &VERBS));
    }
}

fn check_resources(rule: &Value, path: &Path, errors: &mut ErrorList) {
    check_verbs(rule, path, errors);
    let required = "resource rules must supply at least one api group";
    check_list(&strings(rule, "apiGroups"), "api groups", required, &path.child("apiGroups"), errors);
    let required = "resource rules must supply at least one resource";
    check_list(&strings(rule, "resources"), "resources", required, &path.child("resources"), errors);
    let (namespaces, path) = (strings(rule, "namespaces"), path.child("namespaces"));
    if namespaces.is_empty() && rule.get("clusterScope") == Some(&Value::Bool(true)) {
        return;
    }
    let required = "resource rules that are not cluster scoped must supply at least one namespace";
    let before = errors.len();
    check_list(&namespaces, "namespaces", required, &path, errors);
    for (at, namespace) in
        namespaces.iter().enumerate().filter(|(_, n)| **n != "*" && errors.len() == before).collect::<Vec<_>>()
    {
        for sentence in names::dns_label(namespace) {
            let detail = format!("each member of this list must be '*' or a DNS-1123 label; {sentence}");
            errors.push(FieldError::invalid(&path.index(at), *namespace, detail));
        }
    }
}

fn check_urls(urls: &[&str], path: &Path, errors: &mut ErrorList) {
    let required = "nonResourceURLs must contain at least one value";
    let before = errors.len();
    check_list(urls, "non-resource URLs", required, path, errors);
    if errors.len() > before || urls == ["*"] {
        return;
    }
    for (at, url) in urls.iter().enumerate() {
        let mut wrong = |detail: &str| errors.push(FieldError::invalid(&path.index(at), *url, detail));
        if url.is_empty() {
            wrong("must not be empty");
        } else if !url.starts_with('/') {
            wrong("must start with slash");
        } else if url.contains("//") {
            wrong("must not contain double slash");
        } else if url.contains('*') && (url.matches('*').count() > 1 || !url.ends_with("/*")) {
            wrong("wildcard can only do suffix matching");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_of_the_system_are_fixed() {
        for schema in ["exempt", "catch-all"] {
            let (precedence, groups) = if schema == "exempt" {
                (1, json!(["system:masters"]))
            } else {
                (10_000, json!(["system:unauthenticated", "system:authenticated"]))
            };
            let subjects: Vec<_> = groups
                .as_array()
                .unwrap()
                .iter()
                .map(|group| json!({"kind": "Group", "group": {"name": group}}))
                .collect();
            let rules = json!([{"subjects": subjects, "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"],
                "resources": ["*"], "clusterScope": true, "namespaces": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}]);
            let mut object = json!({"metadata": {"name": schema}, "spec": {"matchingPrecedence": precedence,
                "priorityLevelConfiguration": {"name": schema}, "rules": rules}});
            if schema == "catch-all" {
                object["spec"]["distinguisherMethod"] = json!({"type": "ByUser"});
            }
            assert!(check(&object).is_empty(), "{schema}");
            object["spec"]["rules"] = json!([]);
            let said = check(&object)[0].to_string();
            assert!(said.ends_with(&format!("spec of '{schema}' must equal the fixed value")), "{said}");
        }
    }

    #[test]
    fn a_schema_says_whose_requests_for_what() {
        let texts = |spec: Value| {
            let mut schema = json!({"metadata": {"name": "x"}, "spec": spec});
            FlowSchemaStrategy.default(&mut schema);
            check(&schema).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts(json!({"priorityLevelConfiguration": {"name": "a"}})), Vec::<String>::new());
        let subjects = json!([{"kind": "User"}, {"kind": "Group", "group": {"name": "g"}}]);
        let rule = json!({"subjects": subjects, "resourceRules": [{"verbs": ["x"], "apiGroups": ["*", "a"], "resources": ["b"], "clusterScope": true}]});
        assert_eq!(
            texts(json!({"priorityLevelConfiguration": {"name": ""}, "matchingPrecedence": 1, "rules": [rule]})),
            [
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                "spec.rules[0].resourceRules[0].verbs: Unsupported value: [\"x\"]: supported values: \"create\", \"delete\", \
                 \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                "spec.rules[0].resourceRules[0].apiGroups: Invalid value: [\"*\",\"a\"]: if '*' is present, must not specify \
                 other api groups",
            ]
        );
    }
}
