//! Questions about rights: what an expression asks, and the seam to who answers.

use std::fmt;

use crate::types::Opaque;

/// Answers who may do what; the caller of an expression brings it.
pub trait Authorizer: fmt::Debug + Send + Sync {
    /// The answer to a question.
    fn decide(&self, attributes: &Attributes) -> Decision;
}

/// What is asked, once it is asked whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The service account that it is asked for, namespace and name; else the user of the request.
    pub service_account: Option<(String, String)>,
    /// The path, when it is about no resource.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Field selector.
    pub field_selector: Option<String>,
    /// Label selector.
    pub label_selector: Option<String>,
    /// Verb.
    pub verb: String,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, in words.
    pub reason: String,
    /// What went wrong.
    pub error: Option<String>,
}

/// A question, as far as it is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub(crate) authorizer: &'a dyn Authorizer,
    pub(crate) stage: Stage,
    pub(crate) attributes: Attributes,
}

/// How far a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Start,
    Path,
    Group,
    Resource,
}

impl<'a> Question<'a> {
    /// The start of all questions to that authorizer.
    pub fn new(authorizer: &'a dyn Authorizer) -> Self {
        Question { authorizer, stage: Stage::Start, attributes: Attributes::default() }
    }
    /// The question about that resource, as the variable `authorizer.requestResource` begins it.
    pub fn about(authorizer: &'a dyn Authorizer, attributes: Attributes) -> Self {
        Question { authorizer, stage: Stage::Resource, attributes }
    }
    pub(crate) fn kind(&self) -> Opaque {
        match self.stage {
            Stage::Start => Opaque::Authorizer,
            Stage::Path => Opaque::PathCheck,
            Stage::Group => Opaque::GroupCheck,
            Stage::Resource => Opaque::ResourceCheck,
        }
    }
}
