//! Expressions may ask who may do what: the same authorizers answer that decide about requests.

use std::fmt;

use gantry_cel::{Attributes as Asked, Authorizer, Decision};
use gantry_policy::{Attributes, User, authorize};
use gantry_view::View;

/// Answers for the user of a request.
pub(super) struct Rights<'a> {
    pub(super) view: &'a View,
    pub(super) user: &'a User,
}

impl fmt::Debug for Rights<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rights of {}", self.user.name)
    }
}

impl Authorizer for Rights<'_> {
    fn decide(&self, asked: &Asked) -> Decision {
        let account = asked.service_account.as_ref().map(|(namespace, name)| service_account(namespace, name));
        let user = account.as_ref().unwrap_or(self.user);
        let selector = asked.field_selector.clone().unwrap_or_default();
        let verdict = authorize(
            self.view,
            &match &asked.path {
                Some(path) => Attributes::path(user, &asked.verb, path),
                None => Attributes {
                    user,
                    verb: &asked.verb,
                    group: &asked.group,
                    resource: &asked.resource,
                    subresource: &asked.subresource,
                    namespace: &asked.namespace,
                    name: &asked.name,
                    field_selector: &selector,
                    path: "",
                },
            },
        );
        Decision { allowed: verdict.allowed, reason: verdict.reason, error: None }
    }
}

fn service_account(namespace: &str, name: &str) -> User {
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    User {
        name: format!("system:serviceaccount:{namespace}:{name}"),
        groups: groups.into_iter().chain(["system:authenticated".to_owned()]).collect(),
        ..User::default()
    }
}
