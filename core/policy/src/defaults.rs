//! The roles and bindings that every cluster starts with, as facts; the registry makes objects of them.

use std::sync::LazyLock;

use crate::rule::Rule;

/// A role; `namespace` is empty for a ClusterRole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRole {
    /// Namespace of a Role.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// `admin`, `edit` or `view` where the rules are gathered from roles with that aggregation label.
    pub aggregates: Option<&'static str>,
    /// The aggregation label that this role carries.
    pub aggregated_to: Option<&'static str>,
    /// Rules; empty where they are gathered.
    pub rules: Vec<Rule>,
}

/// A binding; `namespace` is empty for a ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultBinding {
    /// Namespace of a RoleBinding.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// `ClusterRole` or `Role`.
    pub role_kind: &'static str,
    /// Name of the role.
    pub role: &'static str,
    /// Kind, namespace (of service accounts) and name of each subject.
    pub subjects: Vec<(&'static str, &'static str, &'static str)>,
}

struct Facts {
    roles: Vec<DefaultRole>,
    bindings: Vec<DefaultBinding>,
}

static FACTS: LazyLock<Facts> = LazyLock::new(|| read(include_str!("../data/roles.txt")));

static NODE_RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let node = FACTS.roles.iter().find(|role| role.name == "system:node");
    node.map(|role| role.rules.clone()).unwrap_or_default()
});

/// The roles.
pub fn roles() -> &'static [DefaultRole] {
    &FACTS.roles
}

/// The bindings.
pub fn bindings() -> &'static [DefaultBinding] {
    &FACTS.bindings
}

/// The rules of `system:node`, whatever became of the object of that name.
pub(crate) fn node_rules() -> &'static [Rule] {
    &NODE_RULES
}

fn read(text: &'static str) -> Facts {
    let mut facts = Facts { roles: Vec::new(), bindings: Vec::new() };
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["role", namespace, name, options @ ..] => facts.roles.push(DefaultRole {
                namespace: blank(namespace),
                name,
                aggregates: options.iter().find_map(|o| o.strip_prefix("aggregates=")),
                aggregated_to: options.iter().find_map(|o| o.strip_prefix("aggregated-to=")),
                rules: Vec::new(),
            }),
            ["bind", namespace, name, role_kind, role, subjects @ ..] => facts.bindings.push(DefaultBinding {
                namespace: blank(namespace),
                name,
                role_kind,
                role,
                subjects: subjects.iter().filter_map(|s| subject(s)).collect(),
            }),
            words => {
                if let Some(role) = facts.roles.last_mut() {
                    role.rules.extend(rule(words));
                }
            }
        }
    }
    facts
}

fn blank(word: &'static str) -> &'static str {
    if word == "-" { "" } else { word }
}

fn subject(word: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (kind, name) = word.split_once(':')?;
    match kind {
        "ServiceAccount" => name.split_once('/').map(|(namespace, name)| (kind, namespace, name)),
        _ => Some((kind, "", name)),
    }
}

fn rule(words: &[&str]) -> Option<Rule> {
    let list = |word: &str| word.split(',').map(str::to_owned).collect::<Vec<_>>();
    let groups = |word: &str| word.split(',').map(|g| if g == "core" { "" } else { g }.to_owned()).collect();
    match words {
        [verbs, "url", urls] => Some(Rule { verbs: list(verbs), urls: list(urls), ..Rule::default() }),
        [verbs, in_groups, resources, names @ ..] => Some(Rule {
            verbs: list(verbs),
            groups: groups(in_groups),
            resources: list(resources),
            names: names.first().map(|names| list(names)).unwrap_or_default(),
            urls: Vec::new(),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read() {
        assert_eq!((roles().len(), bindings().len()), (84, 65));
        assert!(roles().iter().all(|role| role.aggregates.is_some() == role.rules.is_empty()));
        assert!(bindings().iter().all(|b| !b.role.is_empty() && (b.name == "system:node") == b.subjects.is_empty()));
        for binding in bindings() {
            let namespace = if binding.role_kind == "Role" { binding.namespace } else { "" };
            assert!(roles().iter().any(|r| r.name == binding.role && r.namespace == namespace), "{}", binding.name);
        }
    }

    #[test]
    fn core_group_is_the_empty_one() {
        assert!(node_rules().iter().any(|r| r.groups == ["", "events.k8s.io"] && r.resources == ["events"]));
    }
}
