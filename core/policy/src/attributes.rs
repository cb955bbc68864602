//! What is asked, by whom, and the answer.

use gantry_kinds::Kind;

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
    /// Plural resource.
    pub resource: &'a str,
    /// Subresource, or empty.
    pub subresource: &'a str,
    /// Namespace; empty where cluster-scoped, or for all namespaces.
    pub namespace: &'a str,
    /// Name; empty for collections.
    pub name: &'a str,
    /// The field selector of a list or watch, as the client wrote it.
    pub field_selector: &'a str,
    /// Path of a request that is about no resource; empty otherwise.
    pub path: &'a str,
}

impl<'a> Attributes<'a> {
    /// A question about a kind's resource.
    pub fn resource(user: &'a User, verb: &'a str, kind: &Kind, namespace: &'a str, name: &'a str) -> Self {
        let (group, resource) = (kind.group, kind.plural);
        // wire: a namespace is itself in the namespace of its name, so that a Role in it can give rights to it.
        let namespace = if group.is_empty() && resource == "namespaces" { name } else { namespace };
        Attributes { user, verb, group, resource, subresource: "", namespace, name, field_selector: "", path: "" }
    }
    /// A question about a path.
    pub fn path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        Attributes {
            user,
            verb,
            group: "",
            resource: "",
            subresource: "",
            namespace: "",
            name: "",
            field_selector: "",
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

/// What the authorizers say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, where there is something to say.
    pub reason: String,
}

impl Verdict {
    pub(crate) fn allowed(reason: impl Into<String>) -> Self {
        Verdict { allowed: true, reason: reason.into() }
    }
    pub(crate) fn denied(reason: impl Into<String>) -> Self {
        Verdict { allowed: false, reason: reason.into() }
    }
}
