//! What validating policies say of an object that is about to be stored, changed or removed, or of a connection.

use gantry_cel::{Activation, Budget};
use gantry_kinds::policies::{Policy, Validation};
use gantry_kinds::{Cause, Status};
use serde_json::Value;

use super::conditions::{EXHAUSTED, failure, hold};
use super::inputs::{Inputs, with_parameter};
use super::{Invocation, plan};
use crate::admission::attributes::Attributes;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::custom;

/// A message that an expression makes is at most this long.
const MESSAGE_BYTES: usize = 5 * 1024;

/// What a failed check says.
#[derive(Debug, PartialEq, Eq)]
struct Denial {
    message: String,
    reason: String,
}

impl Denial {
    fn of(message: impl Into<String>) -> Self {
        Denial { message: message.into(), reason: String::new() }
    }
}

/// What one evaluation of a policy comes to.
#[derive(Default)]
struct Verdict {
    /// Failed checks, with the consequences that the binding names.
    denials: Vec<Denial>,
    /// Errors that refuse the request whatever the binding says.
    errors: Vec<Denial>,
}

/// Asks the validating policies. The first that denies refuses the request; warnings are told either way.
pub(crate) fn validate(case: &Case<'_>, request: &Attributes<'_>, draft: &mut Draft) -> Result<(), Refusal> {
    let mut refusal = None;
    for planned in plan(case, request, false)? {
        let invocation = match planned {
            Ok(invocation) => invocation,
            Err(wrong) => {
                if wrong.policy.fails_closed() {
                    let binding = wrong.binding.map(|binding| binding.name.as_str());
                    let denial = Denial::of(wrong.why());
                    refusal.get_or_insert_with(|| denied(request, wrong.policy, binding, &denial));
                }
                continue;
            }
        };
        let (policy, binding) = (invocation.policy, invocation.binding);
        let verdict = evaluate(case, request, &invocation)?;
        for denial in &verdict.denials {
            if binding.acts("Deny") {
                refusal.get_or_insert_with(|| denied(request, policy, Some(&binding.name), denial));
            }
            if binding.acts("Warn") {
                let (policy, binding) = (&policy.name, &binding.name);
                draft.warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {}",
                    denial.message
                ));
            }
        }
        if let Some(error) = verdict.errors.first() {
            refusal.get_or_insert_with(|| denied(request, policy, Some(&binding.name), error));
        }
    }
    match refusal {
        Some(mut status) => {
            status.warnings = std::mem::take(&mut draft.warnings);
            Err(status.into())
        }
        None => Ok(()),
    }
}

fn denied(request: &Attributes<'_>, policy: &Policy, binding: Option<&str>, denial: &Denial) -> Status {
    let binding = binding.map(|name| format!(" with binding '{name}'")).unwrap_or_default();
    let why = format!("ValidatingAdmissionPolicy '{}'{binding} denied request: {}", policy.name, denial.message);
    let name = if request.name.is_empty() { "Unknown" } else { request.name };
    let mut status = Status::forbidden(request.kind, name, &why);
    (status.code, status.reason) = match denial.reason.as_str() {
        "Forbidden" => (403, "Forbidden"),
        "Unauthorized" => (401, "Unauthorized"),
        "RequestEntityTooLarge" => (413, "RequestEntityTooLarge"),
        _ => (422, "Invalid"),
    };
    status.causes = vec![Cause { reason: String::new(), message: why, field: String::new() }];
    status
}

fn evaluate(case: &Case<'_>, request: &Attributes<'_>, invocation: &Invocation<'_>) -> Result<Verdict, Refusal> {
    let (policy, kind) = (invocation.policy, invocation.kind);
    let converted = |object: Option<&Value>| match object {
        Some(object) if kind != request.kind => custom::in_version(case, kind, object).map(Some),
        object => Ok(object.cloned()),
    };
    let (object, old) = (converted(request.object)?, converted(request.old)?);
    let inputs = Inputs::new(case, request, kind);
    let parameter = invocation.parameter.as_deref();
    let activation = || with_parameter(inputs.activation(object.as_ref(), old.as_ref()), parameter);
    let closed = policy.fails_closed();
    let failed = |why: String| if closed { vec![Denial::of(why)] } else { Vec::new() };
    let programs = policy.programs();
    let held = hold(&programs.conditions, &activation());
    inputs.settled()?;
    match held {
        Ok(true) => {}
        Ok(false) => return Ok(Verdict::default()),
        Err(why) => return Ok(Verdict { denials: failed(why), ..Verdict::default() }),
    }
    let composed = || programs.with_variables(activation());
    let denials = check(&programs.validations, &composed, closed).unwrap_or_else(failed);
    let mut budget = Budget::for_object();
    let (mut errors, activation) = (Vec::new(), composed());
    for (_, note) in &programs.notes {
        let noted = note.evaluate(&activation, &mut budget);
        if budget.is_exhausted() {
            errors.extend(failed(EXHAUSTED.to_owned()));
            break;
        }
        errors.extend(noted.err().into_iter().flat_map(|why| failed(failure(&note.source, &why))));
    }
    drop(activation);
    inputs.settled()?;
    Ok(Verdict { denials, errors })
}

/// Which checks fail; an error where they cost too much together.
fn check<'e>(
    validations: &'e [Validation],
    activation: &dyn Fn() -> Activation<'e>,
    closed: bool,
) -> Result<Vec<Denial>, String> {
    let mut budget = Budget::for_object();
    let mut failed = Vec::new();
    let values = activation();
    for (at, validation) in validations.iter().enumerate() {
        let value = validation.expression.evaluate(&values, &mut budget);
        if budget.is_exhausted() {
            return Err(EXHAUSTED.to_owned());
        }
        match value {
            Ok(value) if value.as_bool() == Some(true) => {}
            Ok(_) => failed.push((at, None)),
            Err(why) if closed => failed.push((at, Some(failure(&validation.expression.source, &why)))),
            Err(_) => {}
        }
    }
    if failed.is_empty() {
        return Ok(Vec::new());
    }
    let words = words(validations, &activation(), &mut budget);
    let denial = |(at, error): (usize, Option<String>)| match error {
        Some(error) => Denial::of(error),
        None => Denial { message: said(&validations[at], &words, at), reason: validations[at].reason.clone() },
    };
    Ok(failed.into_iter().map(denial).collect())
}

/// What the message expressions of all checks say; an error where they cost too much together.
fn words<'e>(
    validations: &'e [Validation],
    activation: &Activation<'e>,
    budget: &mut Budget,
) -> Result<Vec<Option<String>>, String> {
    let mut words = Vec::new();
    for validation in validations {
        let text = validation.message_expression.as_ref().and_then(|expression| {
            let value = expression.evaluate(activation, budget).ok()?;
            let text = value.as_str()?.trim().to_owned();
            (!text.is_empty() && !text.contains('\n') && text.len() <= MESSAGE_BYTES).then_some(text)
        });
        if budget.is_exhausted() {
            return Err(format!("failed messageExpression: {EXHAUSTED}"));
        }
        words.push(text);
    }
    Ok(words)
}

fn said(validation: &Validation, words: &Result<Vec<Option<String>>, String>, at: usize) -> String {
    match words {
        Ok(words) if words[at].is_some() => words[at].clone().unwrap_or_default(),
        Err(why) => why.clone(),
        _ if !validation.message.trim().is_empty() => validation.message.trim().to_owned(),
        _ => format!("failed expression: {}", validation.expression.source.trim()),
    }
}
