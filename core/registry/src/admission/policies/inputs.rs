//! What the expressions of a policy or a webhook may look at.

use gantry_cel::{Activation, Attributes as Asked, Question, Thing, Value as Computed};
use gantry_kinds::{KindRef, NAMESPACE};
use serde_json::Value;
use std::sync::Arc;

use super::rights::Rights;
use crate::admission::attributes::Attributes;
use crate::case::{Case, Refusal};

/// What stays the same while expressions are evaluated about one request.
pub(crate) struct Inputs<'a> {
    rights: Rights<'a>,
    resource: Asked,
    request: Value,
    namespace: Value,
}

static NOTHING: Value = Value::Null;

impl<'a> Inputs<'a> {
    /// Of a request, in the version that was asked for.
    pub(crate) fn new(case: &Case<'a>, request: &Attributes<'a>, kind: KindRef) -> Self {
        let there = case.view.get(&NAMESPACE, "", request.namespace).filter(|_| request.kind != &NAMESPACE);
        let resource = Asked {
            group: kind.group.to_owned(),
            resource: kind.plural.to_owned(),
            subresource: request.subresource.to_owned(),
            namespace: request.namespace.to_owned(),
            name: request.name.to_owned(),
            ..Asked::default()
        };
        Inputs {
            rights: Rights::new(case, request.user),
            resource,
            request: request.request(case, kind),
            namespace: there.map(|object| object.value()).unwrap_or_default(),
        }
    }

    /// Ends the decision where what was evaluated with these values rests on an answer that is not there yet.
    pub(crate) fn settled(&self) -> Result<(), Refusal> {
        self.rights.settled()
    }

    /// The values of the variables that every expression knows.
    pub(crate) fn activation<'e>(&'e self, object: Option<&'e Value>, old: Option<&'e Value>) -> Activation<'e> {
        let question = |question: Question<'e>| Computed::Thing(Thing::Question(Arc::new(question)));
        Activation::new()
            .data("object", object.unwrap_or(&NOTHING))
            .data("oldObject", old.unwrap_or(&NOTHING))
            .data("request", &self.request)
            .data("namespaceObject", &self.namespace)
            .value("authorizer", question(Question::new(&self.rights)))
            .value("authorizer.requestResource", question(Question::about(&self.rights, self.resource.clone())))
    }
}

/// The same with the parameter.
pub(super) fn with_parameter<'e>(activation: Activation<'e>, parameter: Option<&'e Value>) -> Activation<'e> {
    activation.data("params", parameter.unwrap_or(&NOTHING))
}
