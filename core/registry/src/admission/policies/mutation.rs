//! What mutating policies make of an object on its way to be checked and stored.
//!
//! All policies are asked once; which of them are for the request is settled before the first. When one changed the
//! object, those that were asked until then and want to know of it (`IfNeeded`) are asked once more afterwards.

use std::collections::BTreeSet;

use gantry_cel::Budget;
use gantry_kinds::policies::{Mutation, Policy};
use gantry_kinds::tree::str_at;
use gantry_kinds::{Cause, Status};
use serde_json::Value;

use super::conditions::{EXHAUSTED, failure, hold};
use super::inputs::{Inputs, with_parameter};
use super::patches::{self, Failure};
use super::{Invocation, plan};
use crate::admission::attributes::Attributes;
use crate::body::Expected;
use crate::case::{Case, Refusal};
use crate::{custom, meta};

/// What is to be done again, as the object is not what it was.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Whether anything changed.
    pub(crate) changed: bool,
    policies: BTreeSet<String>,
    /// Those that want to know of changes.
    asked: BTreeSet<String>,
}

impl Again {
    /// Notes that somebody else changed the object afterwards.
    pub(crate) fn outdate(&mut self) {
        self.changed = true;
        self.policies.append(&mut self.asked);
    }
}

/// Asks the mutating policies; those that are to be asked `again`, or all where it is the first time.
pub(crate) fn mutate(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &mut Value,
    again: Option<&Again>,
) -> Result<Again, Refusal> {
    let mut next = Again::default();
    if case.view.policies(true).next().is_none() {
        return Ok(next);
    }
    let sent = object.clone();
    let request = &request.with(Some(&sent), request.old);
    for planned in plan(case, request, true)? {
        let invocation = match planned {
            Ok(invocation) => invocation,
            Err(wrong) if wrong.policy.fails_closed() => {
                let binding = wrong.binding.map(|binding| binding.name.as_str());
                return Err(denied(request, object, wrong.policy, binding, "Forbidden", &wrong.why()).into());
            }
            Err(_) => continue,
        };
        let policy = invocation.policy;
        if again.is_some_and(|again| !again.policies.contains(&policy.name)) {
            continue;
        }
        if str_at(&policy.spec, "/reinvocationPolicy") == "IfNeeded" {
            next.asked.insert(policy.name.clone());
        }
        if run(case, request, object, &invocation)? {
            next.changed = true;
            next.policies.extend(next.asked.iter().cloned());
        }
    }
    Ok(next)
}

fn denied(
    request: &Attributes<'_>,
    object: &Value,
    policy: &Policy,
    binding: Option<&str>,
    reason: &'static str,
    why: &str,
) -> Status {
    let binding = binding.map(|name| format!(" with binding '{name}'")).unwrap_or_default();
    let message = format!("policy '{}'{binding} denied request: {why}", policy.name);
    let name = match request.name {
        "" => meta::text(object, "generateName"),
        name => name,
    };
    let mut status = Status::new(403, reason, message.clone()).about(request.kind, name);
    status.causes = vec![Cause { reason: String::new(), message, field: String::new() }];
    status
}

/// Evaluates one policy; says whether it changed the object.
fn run(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &mut Value,
    invocation: &Invocation<'_>,
) -> Result<bool, Refusal> {
    let policy = invocation.policy;
    let before = object.clone();
    let closed = policy.fails_closed();
    let refuse = |object: &Value, why: &str| {
        denied(request, object, policy, Some(&invocation.binding.name), "Invalid", why).into()
    };
    match applies(case, request, object, invocation)? {
        Ok(true) => {}
        Err(why) if closed => return Err(refuse(object, &why)),
        Ok(false) | Err(_) => return Ok(false),
    }
    for mutation in &policy.programs().mutations {
        match step(case, request, object, invocation, mutation) {
            Ok(changed) => *object = changed,
            Err(Failure::Request(refusal)) => return Err(refusal),
            Err(Failure::Policy(why)) if closed => return Err(refuse(object, &why)),
            Err(Failure::Policy(_)) => {}
        }
    }
    Ok(*object != before)
}

/// The objects of a request in the version that the policy asked for.
fn converted(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &Value,
    invocation: &Invocation<'_>,
) -> Result<(Value, Option<Value>), Refusal> {
    if invocation.kind == request.kind {
        return Ok((object.clone(), request.old.cloned()));
    }
    let to = |object: &Value| custom::in_version(case, invocation.kind, object);
    Ok((to(object)?, request.old.map(to).transpose()?))
}

fn applies(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &Value,
    invocation: &Invocation<'_>,
) -> Result<Result<bool, String>, Refusal> {
    let (object, old) = converted(case, request, object, invocation)?;
    let inputs = Inputs::new(case, request, invocation.kind);
    let activation = inputs.activation(Some(&object), old.as_ref());
    let activation = with_parameter(activation, invocation.parameter.as_deref());
    let held = hold(&invocation.policy.programs().conditions, &activation);
    inputs.settled()?;
    Ok(held)
}

/// The object that one mutation makes.
fn step(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &Value,
    invocation: &Invocation<'_>,
    mutation: &Mutation,
) -> Result<Value, Failure> {
    let (object, old) = converted(case, request, object, invocation).map_err(Failure::Request)?;
    let inputs = Inputs::new(case, request, invocation.kind);
    let activation = inputs.activation(Some(&object), old.as_ref());
    let activation = with_parameter(activation, invocation.parameter.as_deref());
    let activation = invocation.policy.programs().with_variables(activation);
    let mut budget = Budget::for_object();
    let said = mutation.expression.evaluate(&activation, &mut budget);
    inputs.settled().map_err(Failure::Request)?;
    if budget.is_exhausted() {
        return Err(Failure::Policy(EXHAUSTED.to_owned()));
    }
    let said = said.map_err(|why| Failure::Policy(failure(&mutation.expression.source, &why)))?;
    if invocation.kind == request.kind {
        return patches::apply(case, request, mutation.patch, &object, &said);
    }
    let mut elsewhere = case.request.clone();
    elsewhere.target.kind = invocation.kind;
    let own = request.body.is_object_of(request.kind);
    let body = if own { Expected::object(invocation.kind) } else { request.body };
    let asked = Attributes { kind: invocation.kind, body, ..*request };
    let there = Case { request: &elsewhere, ..*case };
    let changed = patches::apply(&there, &asked, mutation.patch, &object, &said)?;
    custom::in_version(case, request.kind, &changed).map_err(Failure::Request)
}
