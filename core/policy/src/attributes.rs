//! What is asked, by whom, and the answer.

use gantry_kinds::Kind;
use gantry_kinds::selector::{FieldRequirement, Requirement};
use serde_json::{Map, Value};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// User name, such as `system:serviceaccount:default:web`.
    pub name: String,
    /// Uid where the authenticator knows one.
    pub uid: String,
    /// Groups, `system:authenticated` included.
    pub groups: Vec<String>,
    /// Further facts of the authenticator.
    pub extra: Vec<(String, Vec<String>)>,
}

impl User {
    /// What there is to say of the user, as APIs write it; the name stands under `name_key`.
    pub fn shown(&self, name_key: &str) -> Map<String, Value> {
        let mut shown = Map::new();
        for (key, text) in [(name_key, &self.name), ("uid", &self.uid)] {
            if !text.is_empty() {
                shown.insert(key.to_owned(), text.as_str().into());
            }
        }
        if !self.groups.is_empty() {
            shown.insert("groups".to_owned(), self.groups.clone().into());
        }
        if !self.extra.is_empty() {
            let extra = self.extra.iter().map(|(key, values)| (key.clone(), values.clone().into()));
            shown.insert("extra".to_owned(), Value::Object(extra.collect()));
        }
        shown
    }

    /// Whether the user is in `group`.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// Namespace and name of the service account that the user is.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }

    /// Name of the node that the user is.
    pub fn node(&self) -> Option<&str> {
        let name = self.name.strip_prefix("system:node:")?;
        (self.is_in("system:nodes") && !name.is_empty()).then_some(name)
    }
}

/// One question to the authorizers: about a resource, or about a path when `path` is not empty.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a User,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `impersonate`...
    pub verb: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version; empty where it does not matter.
    pub version: &'a str,
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace; empty where cluster-scoped, or for all namespaces.
    pub namespace: &'a str,
    /// Name; empty for collections.
    pub name: &'a str,
    /// What the field selector of a list or watch demands.
    pub fields: &'a [FieldRequirement],
    /// What its label selector demands.
    pub labels: &'a [Requirement],
    /// Path of a request that is about no resource; empty otherwise.
    pub path: &'a str,
}

impl<'a> Attributes<'a> {
    /// A question about a kind's resource.
    pub fn resource(user: &'a User, verb: &'a str, kind: &Kind, namespace: &'a str, name: &'a str) -> Self {
        let (group, resource) = (kind.group, kind.plural);
        // wire: a namespace is itself in the namespace of its name, so that a Role in it can give rights to it.
        let namespace = if group.is_empty() && resource == "namespaces" { name } else { namespace };
        let version = kind.version;
        Attributes { group, version, resource, namespace, name, ..Attributes::path(user, verb, "") }
    }
    /// A question about a path.
    pub fn path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        Attributes {
            user,
            verb,
            group: "",
            version: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            fields: &[],
            labels: &[],
            path,
        }
    }
    /// The same question about a subresource.
    #[must_use]
    pub fn subresource(mut self, subresource: &'a str) -> Self {
        self.subresource = subresource;
        self
    }
}

/// What an authorizer says, or all of them together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub allowed: bool,
    /// Whether it must not be done, whatever the authorizers after this one say. Never along with `allowed`.
    pub denied: bool,
    /// Why, where there is something to say.
    pub reason: String,
    /// What went wrong on the way.
    pub error: String,
}

impl Verdict {
    pub(crate) fn allowed(reason: impl Into<String>) -> Self {
        Verdict { allowed: true, reason: reason.into(), ..Verdict::default() }
    }
    /// Neither yes nor no: the next authorizer is asked, and where there is none it may not be done.
    pub(crate) fn none(reason: impl Into<String>) -> Self {
        Verdict { reason: reason.into(), ..Verdict::default() }
    }
    /// Whether the authorizers after this one are asked.
    pub(crate) fn is_open(&self) -> bool {
        !self.allowed && !self.denied
    }
}
