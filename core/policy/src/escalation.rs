//! Nobody hands out rights that he does not have: which of the wanted rules a user's own rules do not cover.

use std::collections::BTreeMap;

use crate::attributes::User;
use crate::rule::{Rule, path_matches};

/// One indivisible right: a verb on a resource (group, resource, name) or on a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place<'a> {
    Resource(&'a str, &'a str, Option<&'a str>),
    Path(&'a str),
}

/// The words for wanted rights that `owned` does not cover, one line for each place; empty when all are covered.
pub fn uncovered(owned: &[Rule], wanted: &[Rule]) -> Vec<String> {
    let mut left: BTreeMap<Place<'_>, Vec<&str>> = BTreeMap::new();
    for rule in wanted {
        for place in places(rule) {
            for verb in &rule.verbs {
                if !owned.iter().any(|own| covers(own, verb, &place)) {
                    let verbs = left.entry(place.clone()).or_default();
                    if !verbs.contains(&verb.as_str()) {
                        verbs.push(verb);
                    }
                }
            }
        }
    }
    let mut lines: Vec<String> = left.iter().map(|(place, verbs)| line(place, verbs)).collect();
    lines.sort();
    lines
}

/// The refusal's text for a user who lacks `lines`.
pub fn message(user: &User, lines: &[String]) -> String {
    format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(user.groups.iter().map(String::as_str)),
        lines.join("\n")
    )
}

fn places(rule: &Rule) -> Vec<Place<'_>> {
    let mut places: Vec<_> = rule.urls.iter().map(|url| Place::Path(url)).collect();
    for group in &rule.groups {
        for resource in &rule.resources {
            if rule.names.is_empty() {
                places.push(Place::Resource(group, resource, None));
            }
            places.extend(rule.names.iter().map(|name| Place::Resource(group, resource, Some(name))));
        }
    }
    places
}

fn has(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == "*" || item == wanted)
}

fn covers(own: &Rule, verb: &str, place: &Place<'_>) -> bool {
    has(&own.verbs, verb)
        && match place {
            Place::Path(path) => own.urls.iter().any(|url| path_matches(url, path)),
            Place::Resource(group, resource, name) => {
                let any_sub = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
                has(&own.groups, group)
                    && (has(&own.resources, resource) || any_sub.is_some_and(|any| own.resources.contains(&any)))
                    && (own.names.is_empty() || name.is_some_and(|name| own.names.iter().any(|n| n == name)))
            }
        }
}

fn line(place: &Place<'_>, verbs: &[&str]) -> String {
    let verbs = quoted(verbs.iter().copied());
    match place {
        Place::Path(path) => format!("{{NonResourceURLs:[{path:?}], Verbs:{verbs}}}"),
        Place::Resource(group, resource, None) => {
            format!("{{APIGroups:[{group:?}], Resources:[{resource:?}], Verbs:{verbs}}}")
        }
        Place::Resource(group, resource, Some(name)) => {
            format!("{{APIGroups:[{group:?}], Resources:[{resource:?}], ResourceNames:[{name:?}], Verbs:{verbs}}}")
        }
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Vec<Rule> {
        serde_json::from_str(json).expect("rules")
    }

    #[test]
    fn says_what_is_not_held() {
        let owned = rules(r#"[{"verbs":["*"],"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"]}]"#);
        let wanted = rules(
            r#"[{"apiGroups":[""],"resources":["pods","pods/log"],"verbs":["get","list"]},
                {"apiGroups":["apps"],"resources":["deployments"],"resourceNames":["a"],"verbs":["get"]},
                {"apiGroups":["rbac.authorization.k8s.io"],"resources":["roles"],"verbs":["get"]},
                {"nonResourceURLs":["*"],"verbs":["*"]}]"#,
        );
        let expected = [
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}"#,
            r#"{APIGroups:[""], Resources:["pods/log"], Verbs:["get" "list"]}"#,
            r#"{APIGroups:["apps"], Resources:["deployments"], ResourceNames:["a"], Verbs:["get"]}"#,
            r#"{NonResourceURLs:["*"], Verbs:["*"]}"#,
        ];
        assert_eq!(uncovered(&owned, &wanted), expected);
        let all =
            rules(r#"[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]},{"verbs":["*"],"nonResourceURLs":["*"]}]"#);
        assert!(uncovered(&all, &wanted).is_empty());
    }

    #[test]
    fn one_name_does_not_cover_all() {
        let owned = rules(r#"[{"verbs":["get"],"apiGroups":[""],"resources":["pods"],"resourceNames":["a"]}]"#);
        let wanted = rules(r#"[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]"#);
        assert_eq!(uncovered(&owned, &wanted).len(), 1);
    }
}
