//! Quotas of a namespace: what a new or growing object takes is written to them in the commit that stores it.
//!
//! Invariants: a quota is written at the revision that it was read at, so that of two objects which want the last of
//! something the second is decided anew; nothing is taken by a dry run; what is given back is counted by the
//! controller of quotas alone; a quota bounds nothing before it has been counted for the first time.

use bytes::Bytes;
use gantry_kinds::quota::{Amounts, amounts, concerns, covers, listed, unspecified, usage};
use gantry_kinds::tree::map_at;
use gantry_kinds::{PERSISTENT_VOLUME_CLAIM, POD, Quantity, RESOURCE_CLAIM, RESOURCE_QUOTA, SERVICE, Status, Update};
use gantry_view::Object;
use serde_json::Value;

use super::{forbidden, limited};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;
use crate::request::Write;

/// Takes what a new object uses.
pub(super) fn create(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    charge(case, object, None, draft)
}

/// Takes what a changed object uses more than before.
pub(super) fn update(
    case: &Case<'_>,
    new: &Value,
    old: &Value,
    way: Update<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    let grows = match way {
        Update::Main => [&SERVICE, &PERSISTENT_VOLUME_CLAIM, &RESOURCE_CLAIM].contains(&case.kind().home()),
        Update::Sub(name) => case.kind() == &POD && name == "resize",
    };
    if grows { charge(case, new, Some(old), draft) } else { Ok(()) }
}

fn charge(case: &Case<'_>, new: &Value, old: Option<&Value>, draft: &mut Draft) -> Result<(), Refusal> {
    if !case.kind().namespaced {
        return Ok(());
    }
    let quotas = case.view.list(&RESOURCE_QUOTA, Some(&case.target().namespace));
    let quotas: Vec<(&Object, Value)> = quotas.map(|quota| (quota.as_ref(), quota.value())).collect();
    let quotas: Vec<_> = quotas.into_iter().filter(|(_, quota)| bounds(case, quota, new)).collect();
    for (quota, value) in &quotas {
        check(case, quota.name(), value, new)?;
    }
    let more = more(case, new, old);
    limited::check(case, new, &more, &limited::bounded(quotas.iter().map(|(_, quota)| quota)))?;
    for (quota, value) in quotas {
        let taken = growth(case, &value, new, old);
        draft.writes.extend(take(case, quota, value, new, &taken)?);
    }
    Ok(())
}

/// What the quota bounds of the kind, as it was last counted.
fn bounded<'a>(case: &Case<'_>, quota: &'a Value) -> Vec<&'a str> {
    let names = map_at(quota, "/status/hard").map(|(resource, _)| resource.as_str());
    names.filter(|resource| concerns(case.kind(), resource)).collect()
}

fn bounds(case: &Case<'_>, quota: &Value, object: &Value) -> bool {
    !bounded(case, quota).is_empty() && covers(&quota["spec"], case.kind(), object)
}

fn check(case: &Case<'_>, name: &str, quota: &Value, object: &Value) -> Result<(), Refusal> {
    let bounded = bounded(case, quota);
    if case.kind() == &POD
        && let Some(missing) = unspecified(object, &bounded)
    {
        return Err(forbidden(case, object, &format!("failed quota: {name}: must specify {missing}")));
    }
    if bounded.iter().any(|resource| quota["status"]["used"].get(resource).is_none()) {
        let why = format!("status unknown for quota: {name}, resources: {}", bounded.join(","));
        return Err(forbidden(case, object, &why));
    }
    Ok(())
}

/// What the object uses more of what the quota bounds than it did before, while the quota held it.
fn growth(case: &Case<'_>, quota: &Value, new: &Value, old: Option<&Value>) -> Amounts {
    let old = old.filter(|old| covers(&quota["spec"], case.kind(), old));
    let hard = &quota["status"]["hard"];
    more(case, new, old).into_iter().filter(|(resource, _)| hard.get(resource).is_some()).collect()
}

/// What the object uses more than it did before.
fn more(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Amounts {
    let (kind, now) = (case.kind(), case.context.now);
    let before = old.map(|old| usage(kind, old, now)).unwrap_or_default();
    let more = usage(kind, new, now).into_iter().map(|(resource, amount)| {
        let before = before.get(&resource).copied().unwrap_or(Quantity::ZERO);
        let amount = if before.is_zero() { amount } else { amount.sub(&before) };
        (resource, amount)
    });
    more.filter(|(_, amount)| amount.sign() > 0).collect()
}

fn take(
    case: &Case<'_>,
    quota: &Object,
    mut value: Value,
    object: &Value,
    taken: &Amounts,
) -> Result<Option<Write>, Refusal> {
    let (used, hard) = (amounts(&value, "/status/used"), amounts(&value, "/status/hard"));
    let after = |resource: &String, amount: &Quantity| used.get(resource).map_or(*amount, |used| used.add(amount));
    let only = |all: &Amounts, exceeded: &Amounts| -> Amounts {
        all.iter().filter(|(resource, _)| exceeded.contains_key(*resource)).map(|(r, a)| (r.clone(), *a)).collect()
    };
    let exceeds = |(resource, amount): &(&String, &Quantity)| {
        hard.get(*resource).is_some_and(|hard| after(resource, amount) > *hard)
    };
    let exceeded: Amounts =
        taken.iter().filter(exceeds).map(|(resource, amount)| (resource.clone(), *amount)).collect();
    if !exceeded.is_empty() {
        let (requested, used, limited) =
            (listed(&exceeded), listed(&only(&used, &exceeded)), listed(&only(&hard, &exceeded)));
        let name = quota.name();
        let why = format!("exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}");
        return Err(forbidden(case, object, &why));
    }
    if taken.is_empty() {
        return Ok(None);
    }
    for (resource, amount) in taken {
        value["status"]["used"][resource] = after(resource, amount).to_string().into();
    }
    meta::of(&mut value).remove("resourceVersion");
    let json = serde_json::to_vec(&value).map_err(Status::internal)?;
    let (key, expect) = (quota.key().clone(), quota.header.revision);
    Ok(Some(Write { key, expect, json: Some(Bytes::from(json)) }))
}
