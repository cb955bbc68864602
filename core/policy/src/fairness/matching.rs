//! FlowSchemas: whose requests, for what.

use serde_json::Value;

use crate::rule::path_matches;
use crate::{Attributes, User};

/// What requests have in common that share a priority level.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlowSchema {
    /// Name of the object.
    pub name: String,
    /// Its uid; empty when it is not stored.
    pub uid: String,
    /// Name of the priority level.
    pub level: String,
    /// Lower ones come first.
    pub precedence: u64,
    by: By,
    rules: Vec<Value>,
}

impl Eq for FlowSchema {}

/// What tells one flow of a schema from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    Nothing,
    User,
    Namespace,
}

impl FlowSchema {
    /// Reads an object; `None` for one without a name.
    pub(super) fn read(object: &Value) -> Option<Self> {
        let (metadata, spec) = (&object["metadata"], &object["spec"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(FlowSchema {
            name: metadata["name"].as_str()?.to_owned(),
            uid: text(&metadata["uid"]),
            level: text(&spec["priorityLevelConfiguration"]["name"]),
            precedence: spec["matchingPrecedence"].as_u64().unwrap_or(1000),
            by: match spec["distinguisherMethod"]["type"].as_str() {
                Some("ByUser") => By::User,
                Some("ByNamespace") => By::Namespace,
                _ => By::Nothing,
            },
            rules: spec["rules"].as_array().cloned().unwrap_or_default(),
        })
    }

    /// Whether a request is one of these.
    pub fn matches(&self, asked: &Attributes<'_>) -> bool {
        self.rules.iter().any(|rule| {
            let subjects = items(&rule["subjects"]);
            let key = if asked.path.is_empty() { "resourceRules" } else { "nonResourceRules" };
            let mut rules = items(&rule[key]);
            subjects.into_iter().any(|subject| is(subject, asked.user)) && rules.any(|rule| covers(rule, asked))
        })
    }

    /// What tells the flow of a request from other flows of this schema.
    pub fn distinguisher<'a>(&self, asked: &Attributes<'a>) -> &'a str {
        match self.by {
            By::Nothing => "",
            By::User => &asked.user.name,
            By::Namespace => asked.namespace,
        }
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn is(subject: &Value, user: &User) -> bool {
    match subject["kind"].as_str() {
        Some("User") => subject["user"]["name"].as_str().is_some_and(|name| name == "*" || name == user.name),
        Some("Group") => subject["group"]["name"].as_str().is_some_and(|name| name == "*" || user.is_in(name)),
        Some("ServiceAccount") => {
            let account = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
            let (namespace, name) = (&subject["serviceAccount"]["namespace"], &subject["serviceAccount"]["name"]);
            account.is_some_and(|(ns, account)| namespace == ns && (name == "*" || name == account))
        }
        _ => false,
    }
}

fn covers(rule: &Value, asked: &Attributes<'_>) -> bool {
    let names = |list: &str, wanted: &str| items(&rule[list]).any(|name| name == "*" || name == wanted);
    if !names("verbs", asked.verb) {
        return false;
    }
    if !asked.path.is_empty() {
        return items(&rule["nonResourceURLs"]).filter_map(Value::as_str).any(|url| path_matches(url, asked.path));
    }
    let resource = if asked.subresource.is_empty() {
        asked.resource.to_owned()
    } else {
        format!("{}/{}", asked.resource, asked.subresource)
    };
    let place =
        if asked.namespace.is_empty() { rule["clusterScope"] == true } else { names("namespaces", asked.namespace) };
    names("apiGroups", asked.group) && names("resources", &resource) && place
}
