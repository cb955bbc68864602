//! A policy as it stands in a file.

use std::fmt;

use gantry_kinds::tree::{list_at, str_at};
use serde_json::Value;

use super::{AuditPolicy, LEVELS, Resources, Rule, STAGES, Stage};

/// Versions of the group that say the same.
const VERSIONS: [&str; 3] = ["audit.k8s.io/v1", "audit.k8s.io/v1beta1", "audit.k8s.io/v1alpha1"];

/// What is wrong with a policy, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PolicyError {}

type Read<T> = Result<T, PolicyError>;

fn wrong<T>(at: &str, why: impl fmt::Display) -> Read<T> {
    Err(PolicyError(format!("{at}: {why}")))
}

impl AuditPolicy {
    /// Reads a `Policy` of `audit.k8s.io`. Errors name the field.
    pub fn parse(policy: &Value) -> Read<Self> {
        let (version, kind) = (str_at(policy, "/apiVersion"), str_at(policy, "/kind"));
        if kind != "Policy" || !VERSIONS.contains(&version) {
            return wrong(
                "apiVersion, kind",
                format!("expected a Policy of {}, found {kind:?} of {version:?}", VERSIONS[0]),
            );
        }
        known(policy, "", &["apiVersion", "kind", "metadata", "rules", "omitStages", "omitManagedFields"])?;
        let rules = list_at(policy, "/rules");
        if rules.is_empty() {
            return wrong("rules", "Required value: a policy without rules writes nothing down");
        }
        let rules =
            rules.iter().enumerate().map(|(at, rule)| read(rule, &format!("rules[{at}]"))).collect::<Read<_>>()?;
        Ok(AuditPolicy {
            rules,
            omit_stages: stages(policy, "omitStages")?,
            omit_managed_fields: flag(policy, "omitManagedFields", "omitManagedFields")?.unwrap_or(false),
        })
    }
}

const FIELDS: [&str; 9] = [
    "level",
    "users",
    "userGroups",
    "verbs",
    "resources",
    "namespaces",
    "nonResourceURLs",
    "omitStages",
    "omitManagedFields",
];

fn read(rule: &Value, at: &str) -> Read<Rule> {
    known(rule, at, &FIELDS)?;
    let field = |name: &str| format!("{at}.{name}");
    let found = str_at(rule, "/level");
    let Some(level) = LEVELS.into_iter().find(|level| level.name() == found) else {
        let known = LEVELS.map(|level| format!("{:?}", level.name())).join(", ");
        return match found {
            "" => wrong(&field("level"), "Required value"),
            _ => wrong(&field("level"), format!("Unsupported value: {found:?}: supported values: {known}")),
        };
    };
    let resources = list_at(rule, "/resources").iter().enumerate();
    let resources =
        resources.map(|(n, group)| group_of(group, &format!("{at}.resources[{n}]"))).collect::<Read<_>>()?;
    let paths = texts(rule, "nonResourceURLs", &field("nonResourceURLs"))?;
    for (n, path) in paths.iter().enumerate() {
        let starred = path.strip_suffix('*').unwrap_or(path);
        if path != "*" && (!path.starts_with('/') || starred.contains('*')) {
            let why = format!("Invalid value: {path:?}: must begin with / and may have one * at its end");
            return wrong(&format!("{at}.nonResourceURLs[{n}]"), why);
        }
    }
    let rule = Rule {
        level,
        users: texts(rule, "users", &field("users"))?,
        groups: texts(rule, "userGroups", &field("userGroups"))?,
        verbs: texts(rule, "verbs", &field("verbs"))?,
        resources,
        namespaces: texts(rule, "namespaces", &field("namespaces"))?,
        paths,
        omit_stages: stages(rule, &field("omitStages"))?,
        omit_managed_fields: flag(rule, "omitManagedFields", &field("omitManagedFields"))?,
    };
    let about_resources = !rule.resources.is_empty() || !rule.namespaces.is_empty();
    if about_resources && !rule.paths.is_empty() {
        let why = "Invalid value: rules cannot apply to both regular resources and non-resource URLs";
        return wrong(&field("nonResourceURLs"), why);
    }
    Ok(rule)
}

fn group_of(group: &Value, at: &str) -> Read<Resources> {
    known(group, at, &["group", "resources", "resourceNames"])?;
    let resources = Resources {
        group: str_at(group, "/group").to_owned(),
        resources: texts(group, "resources", &format!("{at}.resources"))?,
        names: texts(group, "resourceNames", &format!("{at}.resourceNames"))?,
    };
    if resources.group == "core" || resources.group.contains(['/', '*', ' ']) {
        return wrong(
            &format!("{at}.group"),
            format!("Invalid value: {:?}: must be the name of an API group", resources.group),
        );
    }
    if resources.resources.is_empty() && !resources.names.is_empty() {
        return wrong(
            &format!("{at}.resourceNames"),
            "Invalid value: using resourceNames requires at least one resource",
        );
    }
    Ok(resources)
}

/// Refuses a field that nobody would look at.
fn known(part: &Value, at: &str, fields: &[&str]) -> Read<()> {
    let Some(found) = part.as_object() else { return wrong(at, "must be an object") };
    match found.keys().find(|name| !fields.contains(&name.as_str())) {
        Some(name) => wrong(
            if at.is_empty() { name } else { at },
            format!("unknown field {name:?}; there are {}", fields.join(", ")),
        ),
        None => Ok(()),
    }
}

fn texts(part: &Value, name: &str, at: &str) -> Read<Vec<String>> {
    let items = match &part[name] {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return wrong(at, format!("Invalid value: {other}: must be a list of texts")),
    };
    let text = |item: &Value| match item.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => wrong(at, format!("Invalid value: {item}: must be a text")),
    };
    items.iter().map(text).collect()
}

fn flag(part: &Value, name: &str, at: &str) -> Read<Option<bool>> {
    match &part[name] {
        Value::Null => Ok(None),
        Value::Bool(on) => Ok(Some(*on)),
        other => wrong(at, format!("Invalid value: {other}: must be true or false")),
    }
}

fn stages(part: &Value, at: &str) -> Read<Vec<Stage>> {
    let stage = |(n, text): (usize, String)| match STAGES.into_iter().find(|stage| stage.name() == text) {
        Some(stage) => Ok(stage),
        None => {
            let known = STAGES.map(|stage| format!("{:?}", stage.name())).join(", ");
            wrong(&format!("{at}[{n}]"), format!("Unsupported value: {text:?}: supported values: {known}"))
        }
    };
    texts(part, "omitStages", at)?.into_iter().enumerate().map(stage).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_are_named() {
        let with = |rule: Value| {
            let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]});
            AuditPolicy::parse(&policy).expect_err("a fault").to_string()
        };
        assert_eq!(with(json!({})), "rules[0].level: Required value");
        assert!(
            with(json!({"level": "All"}))
                .starts_with("rules[0].level: Unsupported value: \"All\": supported values: \"None\"")
        );
        assert!(with(json!({"level": "None", "user": []})).starts_with("rules[0]: unknown field \"user\""));
        assert!(
            with(json!({"level": "None", "nonResourceURLs": ["x*y"]}))
                .starts_with("rules[0].nonResourceURLs[0]: Invalid")
        );
        let both = json!({"level": "None", "nonResourceURLs": ["/x"], "namespaces": ["a"]});
        assert!(with(both).ends_with("cannot apply to both regular resources and non-resource URLs"));
        let names = json!({"level": "None", "resources": [{"resourceNames": ["a"]}]});
        assert!(with(names).starts_with("rules[0].resources[0].resourceNames: "));
        assert!(
            with(json!({"level": "None", "omitStages": ["Begin"]})).starts_with("rules[0].omitStages[0]: Unsupported")
        );
        assert!(AuditPolicy::parse(&json!({"kind": "Pod"})).is_err());
        assert!(AuditPolicy::parse(&json!({"kind": "Policy", "apiVersion": "audit.k8s.io/v1"})).is_err());
    }
}
