//! An authorizer outside: when it is asked, what it is asked, and what its answer means.
//!
//! Nothing is asked here: a decision that needs an answer ends with the `Question`, and is made anew once it is known.

use gantry_cel::{Activation, Budget, Declared, Env, Type};
use gantry_kinds::expressions;
use gantry_kinds::policies::Expression;
use gantry_kinds::selector::Operator;
use serde_json::{Map, Value, json};
use std::sync::{Arc, LazyLock};

use crate::attributes::{Attributes, Verdict};
use crate::chain::Known;

/// What the match conditions of one webhook may cost together.
const COST: u64 = 2_500_000;

/// What the expressions of match conditions may speak of.
static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let declared = Declared::from_openapi(&request_schema(), false, "kubernetes.SubjectAccessReviewSpec");
    Arc::new(match declared {
        Some(declared) => Env::new().variable("request", declared),
        None => Env::new(),
    })
});

/// An authorizer outside, as far as decisions know it.
#[derive(Debug)]
pub struct Webhook {
    /// Whether what it cannot be asked about is refused.
    pub closed: bool,
    /// It is asked only where all of these hold.
    pub conditions: Vec<Expression>,
}

/// What a webhook is asked: the `spec` of a SubjectAccessReview.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Name of the authorizer.
    pub webhook: String,
    /// What it is asked.
    pub spec: Value,
}

impl Webhook {
    pub(crate) fn decide(
        &self,
        name: &str,
        asked: &Attributes<'_>,
        known: Known<'_>,
    ) -> Result<Verdict, Box<Question>> {
        let spec = spec(asked);
        match self.is_meant(&spec) {
            Ok(true) => {}
            Ok(false) => return Ok(Verdict::none("")),
            Err(error) => return Ok(self.failed(error)),
        }
        let question = Question { webhook: name.to_owned(), spec };
        match known(&question) {
            Some(Ok(verdict)) if verdict.error.is_empty() => Ok(verdict),
            Some(Ok(verdict)) => Ok(Verdict { denied: self.closed, ..verdict }),
            Some(Err(error)) => Ok(self.failed(error)),
            None => Err(Box::new(question)),
        }
    }

    fn failed(&self, error: String) -> Verdict {
        Verdict { denied: self.closed, error, ..Verdict::default() }
    }

    /// Whether all conditions hold; one that does not settles it, whatever fails beside it.
    fn is_meant(&self, spec: &Value) -> Result<bool, String> {
        let mut budget = Budget::new(COST);
        let activation = Activation::new().data("request", spec);
        let (mut errors, mut held) = (Vec::new(), true);
        for condition in &self.conditions {
            match condition.evaluate(&activation, &mut budget) {
                Ok(value) => held &= value.as_bool() == Some(true),
                Err(why) => errors
                    .push(format!("cel evaluation error: expression '{}' resulted in error: {why}", condition.source)),
            }
            if budget.is_exhausted() {
                return Err("cel evaluation error: the match conditions cost too much".to_owned());
            }
        }
        match errors.as_slice() {
            _ if !held => Ok(false),
            [] => Ok(true),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }
}

/// Compiles a match condition; the error says what is wrong with it.
pub fn compile_condition(source: &str) -> Result<Expression, String> {
    expressions::compile(source, &ENV, &[Type::Bool])?;
    Ok(Expression::compile(source, &ENV, &[Type::Bool]))
}

/// What the status of an answered review means. One that says yes and no at once says what went wrong.
pub fn read_status(status: &Value) -> Verdict {
    let is = |key: &str| status.get(key).and_then(Value::as_bool).unwrap_or_default();
    let reason = status.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (is("allowed"), is("denied")) {
        (true, true) => {
            let error = "webhook subject access review returned both allow and deny response".to_owned();
            Verdict { reason, error, ..Verdict::default() }
        }
        (allowed, denied) => Verdict { allowed, denied, reason, error: String::new() },
    }
}

/// The `spec` of the review of what is asked, as `authorization.k8s.io/v1` writes it.
fn spec(asked: &Attributes<'_>) -> Value {
    let mut spec = asked.user.shown("user");
    if asked.path.is_empty() {
        spec.insert("resourceAttributes".to_owned(), Value::Object(resource(asked)));
    } else {
        spec.insert("nonResourceAttributes".to_owned(), json!({"path": asked.path, "verb": asked.verb}));
    }
    Value::Object(spec)
}

fn resource(asked: &Attributes<'_>) -> Map<String, Value> {
    let texts = [
        ("namespace", asked.namespace),
        ("verb", asked.verb),
        ("group", asked.group),
        ("version", asked.version),
        ("resource", asked.resource),
        ("subresource", asked.subresource),
        ("name", asked.name),
    ];
    let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
    let mut resource: Map<String, Value> = texts.map(|(key, text)| (key.to_owned(), text.into())).collect();
    let fields = asked.fields.iter().map(|term| {
        let operator = if term.equal { "In" } else { "NotIn" };
        json!({"key": term.field, "operator": operator, "values": [term.value]})
    });
    let labels = asked.labels.iter().filter_map(|term| {
        let operator = match term.operator {
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::In | Operator::Equals => "In",
            Operator::NotIn | Operator::NotEquals => "NotIn",
            // What a review cannot say is left out: that asks for more than is wanted, never for less.
            Operator::GreaterThan | Operator::LessThan => return None,
        };
        let mut shown = json!({"key": term.key, "operator": operator});
        if !term.values.is_empty() {
            shown["values"] = term.values.iter().cloned().collect::<Vec<_>>().into();
        }
        Some(shown)
    });
    let (fields, labels): (Vec<_>, Vec<_>) = (fields.collect(), labels.collect());
    for (key, requirements) in [("fieldSelector", fields), ("labelSelector", labels)] {
        if !requirements.is_empty() {
            resource.insert(key.to_owned(), json!({"requirements": requirements}));
        }
    }
    resource
}

/// What a condition may read of a review.
fn request_schema() -> Value {
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "array", "items": text()});
    let selector = || {
        let requirement = json!({"type": "object", "properties":
            {"key": text(), "operator": text(), "values": texts()}});
        json!({"type": "object", "properties":
            {"rawSelector": text(), "requirements": {"type": "array", "items": requirement}}})
    };
    let resource = json!({"type": "object", "properties": {
        "namespace": text(), "verb": text(), "group": text(), "version": text(), "resource": text(),
        "subresource": text(), "name": text(), "fieldSelector": selector(), "labelSelector": selector()}});
    let path = json!({"type": "object", "properties": {"path": text(), "verb": text()}});
    json!({"type": "object", "properties": {
        "resourceAttributes": resource, "nonResourceAttributes": path, "user": text(), "groups": texts(),
        "extra": {"type": "object", "additionalProperties": texts()}, "uid": text()}})
}
