//! What is written down of a request: the first rule of a policy that fits says how much.
//!
//! Invariants: what nobody wrote a rule for is not written down; bodies that hold what others may not know (secrets,
//! tokens) never are, whatever a rule says.

mod read;

pub use read::PolicyError;

use crate::attributes::User;
use crate::rule::path_matches;

/// How much is written down, in upstream's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Who asked for what, when, and what came of it.
    Metadata,
    /// That, and the body of the request.
    Request,
    /// That, and the body of the answer.
    RequestResponse,
}

/// The moments of a request at which something is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Who asks is known, and nothing has been done.
    RequestReceived,
    /// The head of a long answer has been sent.
    ResponseStarted,
    /// The answer has been sent.
    ResponseComplete,
    /// Answering has failed.
    Panic,
}

impl Level {
    /// As it stands in policies and events.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

impl Stage {
    /// As it stands in policies and events.
    pub fn name(self) -> String {
        format!("{self:?}")
    }
}

const LEVELS: [Level; 4] = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];
const STAGES: [Stage; 4] = [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

/// Resources whose bodies are never written down: group, resource, subresource.
const CONFIDENTIAL: [(&str, &str, &str); 3] =
    [("", "secrets", ""), ("", "serviceaccounts", "token"), ("authentication.k8s.io", "tokenreviews", "")];

/// A request as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks, before he acts as somebody else.
    pub user: &'a User,
    /// `get`, `create`, ...
    pub verb: &'a str,
    /// The path, where it is none of the resource API.
    pub path: Option<&'a str>,
    /// The API group.
    pub group: &'a str,
    /// The resource in the plural.
    pub resource: &'a str,
    /// The subresource, if any.
    pub subresource: &'a str,
    /// The namespace, if any.
    pub namespace: &'a str,
    /// The name, if any.
    pub name: &'a str,
}

/// What a policy says of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How much.
    pub level: Level,
    /// When not.
    pub omit_stages: Vec<Stage>,
    /// Whether `managedFields` of bodies are left out.
    pub omit_managed_fields: bool,
}

/// A policy of `audit.k8s.io`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPolicy {
    rules: Vec<Rule>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    level: Level,
    users: Vec<String>,
    groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<Resources>,
    namespaces: Vec<String>,
    paths: Vec<String>,
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resources {
    group: String,
    resources: Vec<String>,
    names: Vec<String>,
}

impl AuditPolicy {
    /// Everything at `Metadata`, when it is done.
    pub fn metadata() -> Self {
        AuditPolicy {
            rules: vec![Rule { level: Level::Metadata, ..Rule::default() }],
            omit_stages: vec![Stage::RequestReceived],
            omit_managed_fields: false,
        }
    }

    /// What is to be written down of a request.
    pub fn of(&self, asked: &Asked<'_>) -> Wanted {
        let Some(rule) = self.rules.iter().find(|rule| rule.fits(asked)) else { return Wanted::default() };
        let confidential = CONFIDENTIAL.contains(&(asked.group, asked.resource, asked.subresource));
        let level = if confidential { rule.level.min(Level::Metadata) } else { rule.level };
        let omit_stages = self.omit_stages.iter().chain(&rule.omit_stages).copied().collect();
        let omit_managed_fields = rule.omit_managed_fields.unwrap_or(self.omit_managed_fields);
        Wanted { level, omit_stages, omit_managed_fields }
    }
}

/// Whether a list says nothing, or names it.
fn allows(list: &[String], item: &str) -> bool {
    list.is_empty() || list.iter().any(|one| one == item)
}

impl Rule {
    fn fits(&self, asked: &Asked<'_>) -> bool {
        allows(&self.users, &asked.user.name)
            && (self.groups.is_empty() || self.groups.iter().any(|group| asked.user.is_in(group)))
            && allows(&self.verbs, asked.verb)
            && self.fits_target(asked)
    }

    fn fits_target(&self, asked: &Asked<'_>) -> bool {
        let about_resources = !self.namespaces.is_empty() || !self.resources.is_empty();
        match asked.path {
            _ if !about_resources && self.paths.is_empty() => true,
            None => about_resources && allows(&self.namespaces, asked.namespace) && self.fits_resource(asked),
            Some(path) => self.paths.iter().any(|pattern| path_matches(pattern, path)),
        }
    }

    fn fits_resource(&self, asked: &Asked<'_>) -> bool {
        self.resources.is_empty() || self.resources.iter().any(|resources| resources.fit(asked))
    }
}

impl Resources {
    fn fit(&self, asked: &Asked<'_>) -> bool {
        let fits = |pattern: &String| match pattern.split_once('/') {
            None => pattern == "*" || (pattern == asked.resource && asked.subresource.is_empty()),
            Some(("*", sub)) => sub == asked.subresource,
            Some((resource, "*")) => resource == asked.resource,
            Some((resource, sub)) => resource == asked.resource && sub == asked.subresource,
        };
        self.group == asked.group
            && allows(&self.names, asked.name)
            && (self.resources.is_empty() || self.resources.iter().any(fits))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(rules: Value) -> AuditPolicy {
        let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules,
            "omitStages": ["RequestReceived"]});
        AuditPolicy::parse(&policy).expect("a policy")
    }

    fn level(rules: Value, change: impl Fn(&mut Asked<'static>)) -> Level {
        static USER: std::sync::LazyLock<User> = std::sync::LazyLock::new(|| User {
            name: "jane".to_owned(),
            groups: vec!["dev".to_owned(), "system:authenticated".to_owned()],
            ..User::default()
        });
        let mut asked = Asked {
            user: &USER,
            verb: "get",
            path: None,
            group: "",
            resource: "pods",
            subresource: "",
            namespace: "web",
            name: "a",
        };
        change(&mut asked);
        policy(rules).of(&asked).level
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = json!([
            {"level": "None", "users": ["joe"]},
            {"level": "None", "userGroups": ["dev"], "verbs": ["watch"]},
            {"level": "None", "nonResourceURLs": ["/healthz*", "/version"]},
            {"level": "Request", "resources": [{"group": "", "resources": ["pods/log", "*/status"]}]},
            {"level": "RequestResponse", "resources": [{"resources": ["pods"], "resourceNames": ["a"]}], "namespaces": ["web"]},
            {"level": "RequestResponse", "resources": [{"resources": ["secrets", "configmaps"]}]},
            {"level": "Metadata", "resources": [{"group": "apps"}]}
        ]);
        let of = |change: fn(&mut Asked<'static>)| level(rules.clone(), change);
        assert_eq!(of(|_| {}), Level::RequestResponse);
        assert_eq!(of(|a| a.verb = "watch"), Level::None);
        assert_eq!(of(|a| a.subresource = "log"), Level::Request);
        assert_eq!(of(|a| (a.resource, a.subresource) = ("nodes", "status")), Level::Request);
        assert_eq!(of(|a| a.name = "b"), Level::None);
        assert_eq!(of(|a| a.namespace = ""), Level::None);
        assert_eq!(of(|a| (a.group, a.resource) = ("apps", "deployments")), Level::Metadata);
        assert_eq!(of(|a| a.path = Some("/healthz/ping")), Level::None);
        assert_eq!(of(|a| a.resource = "configmaps"), Level::RequestResponse);
        assert_eq!(of(|a| a.resource = "secrets"), Level::Metadata, "never the body of a secret");
        let all = json!([{"level": "Metadata"}]);
        assert_eq!(level(all.clone(), |a| a.path = Some("/x")), Level::Metadata);
        assert_eq!(policy(all).omit_stages, [Stage::RequestReceived]);
    }
}
