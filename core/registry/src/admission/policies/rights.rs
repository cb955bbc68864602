//! Expressions may ask who may do what: the same authorizers answer that decide about requests.

use std::fmt;
use std::sync::OnceLock;

use gantry_cel::{Attributes as Asked, Authorizer, Decision};
use gantry_kinds::{FieldSelector, LabelSelector};
use gantry_policy::{Attributes, Question, User};

use crate::ask::Ask;
use crate::case::{Case, Refusal};

/// Answers for the user of a request.
pub(super) struct Rights<'a> {
    case: Case<'a>,
    user: &'a User,
    /// What an authorizer outside must be asked before the expressions have a value.
    open: OnceLock<Box<Question>>,
}

impl<'a> Rights<'a> {
    pub(super) fn new(case: &Case<'a>, user: &'a User) -> Self {
        Rights { case: *case, user, open: OnceLock::new() }
    }

    /// Ends the decision where what was evaluated rests on an answer that is not there yet.
    pub(super) fn settled(&self) -> Result<(), Refusal> {
        match self.open.get() {
            Some(question) => Err(Refusal::Ask(Box::new(Ask::Authorize(question.clone())))),
            None => Ok(()),
        }
    }
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
        // A selector that cannot be read narrows nothing.
        let fields =
            asked.field_selector.as_deref().and_then(|text| FieldSelector::parse(text).ok()).unwrap_or_default();
        let labels = asked.label_selector.as_deref().and_then(|text| LabelSelector::parse(text).ok());
        let asked = match &asked.path {
            Some(path) => Attributes::path(user, &asked.verb, path),
            None => Attributes {
                group: &asked.group,
                version: "*",
                resource: &asked.resource,
                subresource: &asked.subresource,
                namespace: &asked.namespace,
                name: &asked.name,
                fields: fields.requirements(),
                labels: labels.as_ref().map_or(&[], LabelSelector::requirements),
                ..Attributes::path(user, &asked.verb, "")
            },
        };
        match self.case.authorize(&asked) {
            Ok(verdict) => Decision {
                allowed: verdict.allowed,
                reason: verdict.reason,
                error: Some(verdict.error).filter(|error| !error.is_empty()),
            },
            Err(Refusal::Ask(ask)) => {
                if let Ask::Authorize(question) = *ask {
                    let _ = self.open.set(question);
                }
                Decision::default()
            }
            Err(Refusal::Status(status)) => Decision { error: Some(status.message), ..Decision::default() },
        }
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
