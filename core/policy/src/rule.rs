//! One RBAC rule and what it allows.

use gantry_view::Object;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::attributes::Attributes;

/// One `rbac.authorization.k8s.io/v1` PolicyRule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Verbs; `*` for all.
    #[serde(deserialize_with = "texts")]
    pub verbs: Vec<String>,
    /// API groups; `*` for all.
    #[serde(rename = "apiGroups", deserialize_with = "texts")]
    pub groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale`, `*`.
    #[serde(deserialize_with = "texts")]
    pub resources: Vec<String>,
    /// Names; empty for all.
    #[serde(rename = "resourceNames", deserialize_with = "texts")]
    pub names: Vec<String>,
    /// Paths, with a `*` at the end for a prefix.
    #[serde(rename = "nonResourceURLs", deserialize_with = "texts")]
    pub urls: Vec<String>,
}

fn texts<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(from)?.unwrap_or_default())
}

fn holds(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

impl Rule {
    /// Whether this rule allows what is asked.
    pub fn allows(&self, asked: &Attributes<'_>) -> bool {
        if !holds(&self.verbs, asked.verb) {
            return false;
        }
        if !asked.path.is_empty() {
            return self.urls.iter().any(|url| path_matches(url, asked.path));
        }
        holds(&self.groups, asked.group)
            && self.resources.iter().any(|r| resource_matches(r, asked.resource, asked.subresource))
            && (self.names.is_empty() || self.names.iter().any(|n| n == asked.name))
    }

    /// The rule as JSON, without the lists that are empty.
    pub fn to_value(&self) -> Value {
        let mut rule = Map::new();
        rule.insert("verbs".to_owned(), self.verbs.clone().into());
        let lists = [
            ("apiGroups", &self.groups),
            ("resources", &self.resources),
            ("resourceNames", &self.names),
            ("nonResourceURLs", &self.urls),
        ];
        for (key, list) in lists {
            if !list.is_empty() {
                rule.insert(key.to_owned(), list.clone().into());
            }
        }
        Value::Object(rule)
    }

    /// The rules in a `rules` field; whatever is not a rule is left out.
    pub fn list(rules: &Value) -> Vec<Rule> {
        rules.as_array().into_iter().flatten().filter_map(|rule| Rule::deserialize(rule).ok()).collect()
    }

    /// The rules of a stored Role or ClusterRole, decoded once.
    pub(crate) fn of(role: &Object) -> &[Rule] {
        #[derive(Deserialize)]
        struct Role {
            #[serde(default)]
            rules: Option<Vec<Rule>>,
        }
        let decode = |role: &Object| role.typed::<Role>().ok().and_then(|r| r.rules).unwrap_or_default();
        role.derived::<Vec<Rule>>(decode).map_or(&[], Vec::as_slice)
    }
}

/// Whether a path is meant by a pattern, which may end with `*`.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => pattern == path,
    }
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    if subresource.is_empty() {
        return pattern == resource;
    }
    match pattern.split_once('/') {
        Some((head, tail)) => tail == subresource && (head == "*" || head == resource),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::User;

    #[track_caller]
    fn check(rule: &str, verb: &str, what: (&str, &str, &str, &str), expected: bool) {
        let rule: Rule = serde_json::from_str(rule).expect("a rule");
        let user = User::default();
        let mut asked = Attributes::path(&user, verb, "");
        (asked.group, asked.resource, asked.subresource, asked.name) = what;
        assert_eq!(rule.allows(&asked), expected, "{rule:?} {verb} {what:?}");
    }

    #[test]
    fn resources_subresources_names_and_stars() {
        let pods = r#"{"verbs":["get"],"apiGroups":[""],"resources":["pods","*/scale"]}"#;
        check(pods, "get", ("", "pods", "", "a"), true);
        check(pods, "list", ("", "pods", "", ""), false);
        check(pods, "get", ("apps", "pods", "", "a"), false);
        check(pods, "get", ("", "pods", "log", "a"), false);
        check(pods, "get", ("", "deployments", "scale", "a"), true);
        let named = r#"{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"resourceNames":["a"]}"#;
        check(named, "get", ("x", "y", "z", "a"), true);
        check(named, "create", ("x", "y", "", ""), false);
        check(r#"{"verbs":["get"],"apiGroups":null,"resources":null}"#, "get", ("", "pods", "", ""), false);
    }

    #[test]
    fn paths() {
        let rule: Rule =
            serde_json::from_str(r#"{"verbs":["get"],"nonResourceURLs":["/api/*","/livez"]}"#).expect("a rule");
        let user = User::default();
        for (path, expected) in [("/api/v1", true), ("/api", false), ("/livez", true), ("/livez/x", false)] {
            assert_eq!(rule.allows(&Attributes::path(&user, "get", path)), expected, "{path}");
        }
    }
}
