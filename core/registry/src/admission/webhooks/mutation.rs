//! Webhooks that change an object on its way to be checked and stored: one after the other, each on what those before
//! it made.
//!
//! When one changed the object, those that were asked until then and want to know of it (`IfNeeded`) are asked once more
//! afterwards, as they are when anything else changed it meanwhile.

use std::collections::BTreeSet;

use gantry_kinds::Status;
use gantry_schema::patch;
use serde_json::Value;

use super::review::patch as operations;
use super::{Asked, all};
use crate::admission::attributes::Attributes;
use crate::ask::Ask;
use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::custom;

/// What is to be done again, as the object is not what it was.
#[derive(Debug, Default)]
pub(crate) struct Again {
    /// Whether anything changed.
    pub(crate) changed: bool,
    /// The object as it left the last webhook.
    left: Value,
    /// Those that want to know of changes, in the order in which they were asked.
    asked: BTreeSet<(String, String)>,
    /// Those of them that do not know of the last change.
    unaware: BTreeSet<(String, String)>,
}

impl Again {
    /// Whether a webhook is to be asked about the object as it is now.
    pub(crate) fn is_needed(&self, object: &Value) -> bool {
        !self.unaware.is_empty() || (!self.asked.is_empty() && self.left != *object)
    }
}

/// Asks the webhooks that may change the object; only those that are to be asked `again` where it is not the first time.
pub(crate) fn mutate(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &mut Value,
    again: Option<&Again>,
    draft: &mut Draft,
) -> Result<Again, Refusal> {
    let mut next = Again::default();
    for (configuration, webhook) in all(case, request, true) {
        let name = (configuration.name.clone(), webhook.name.clone());
        let to_be_asked =
            |again: &Again| again.unaware.contains(&name) || (again.left != *object && again.asked.contains(&name));
        if again.is_some_and(|again| !to_be_asked(again)) {
            continue;
        }
        let current = object.clone();
        let request = request.with(Some(&current), request.old);
        let Some(asked) = Asked::of(case, &request, true, (configuration, webhook), draft)? else { continue };
        if let Some(changed) = run(case, &request, &asked, draft)?.filter(|changed| *changed != current) {
            *object = changed;
            next.changed = true;
            next.unaware.append(&mut next.asked.clone());
        }
        if webhook.is_asked_again() {
            next.asked.insert(name);
        }
    }
    next.left = object.clone();
    Ok(next)
}

/// Asks one webhook; the object that it makes, if it says so.
fn run(
    case: &Case<'_>,
    request: &Attributes<'_>,
    asked: &Asked<'_>,
    draft: &mut Draft,
) -> Result<Option<Value>, Refusal> {
    let review = asked.review(case, request)?;
    let shown = review.request["object"].clone();
    let answer = case.ask(Ask::Admit(vec![review]))?;
    let response = match answer.first() {
        Some(Ok(response)) => response,
        Some(Err(why)) => return asked.failed(request, why, draft).map(|()| None),
        None => return asked.failed(request, "there was no answer", draft).map(|()| None),
    };
    asked.heed(response, draft)?;
    let changed = match operations(response) {
        Ok(None) => return Ok(None),
        Ok(Some(operations)) => patch::json(&shown, &operations),
        Err(why) => return asked.failed(request, &why, draft).map(|()| None),
    };
    match changed {
        Ok(changed) => taken(case, request, asked, changed).map(Some),
        Err(error) => Err(Status::internal(error.message).into()),
    }
}

/// What a webhook made of an object, as an object of the request: pruned and completed as anything that is sent here.
fn taken(case: &Case<'_>, request: &Attributes<'_>, asked: &Asked<'_>, mut changed: Value) -> Result<Value, Refusal> {
    let own = request.body.is_object_of(request.kind);
    let mut elsewhere = case.request.clone();
    elsewhere.target.kind = asked.kind;
    let there = Case { request: &elsewhere, ..*case };
    let expected = if own { Expected::object(asked.kind) } else { request.body };
    if let Some(why) = body::check(&there, expected, &changed).wrong_type {
        return Err(Status::internal(why).into());
    }
    body::normalize(&there, expected, &mut changed);
    if own && asked.kind != request.kind {
        return custom::in_version(case, request.kind, &changed);
    }
    Ok(changed)
}
