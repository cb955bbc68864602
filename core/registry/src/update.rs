//! PUT, and the last steps of every other change: the new object takes the place of the old one.

use gantry_kinds::{CUSTOM_RESOURCE_DEFINITION, NAMESPACE, SERVICE, Status, Update};
use gantry_view::Object;
use serde_json::Value;

use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::create::{admit, track};
use crate::request::{Body, Decision};
use crate::{access, admission, custom, definition, meta, service};

pub(crate) fn decide(case: &Case<'_>, body: &Body, update: Update<'_>) -> Result<Decision, Refusal> {
    let mut decoded = body::decode(case, body, Expected::object(case.kind()))?;
    let mut new = std::mem::take(&mut decoded.value);
    meta::matches_path(case, &mut new)?;
    let Some(old) = case.stored() else {
        if update != Update::Main || !case.kind().strategy.create_on_update() {
            return Err(Status::not_found(case.kind(), &case.target().name).into());
        }
        meta::check_uid(case, &new)?;
        access::verb_allowed(case, "create")?;
        meta::wipe(&mut new);
        track(case, None, &mut new, update)?;
        return admit(case, new, decoded.warnings);
    };
    let fresh = meta::check_uid(case, &new).and_then(|()| meta::check_revision(case, &new, update));
    fresh.map_err(|refusal| refusal.warning(&decoded.warnings))?;
    track(case, Some(&case.value(old)?), &mut new, update)?;
    replace(case, old, new, update, Draft::warning(decoded.warnings))
}

/// Puts `new`, whose managed fields are known, in the place of `old`.
pub(crate) fn replace(
    case: &Case<'_>,
    old: &Object,
    new: Value,
    update: Update<'_>,
    mut draft: Draft,
) -> Result<Decision, Refusal> {
    let new = prepare(case, old, new, update, &mut draft)?;
    finish(case, old, new, draft)
}

/// Admission, what the kind makes of the change, and all checks.
pub(crate) fn prepare(
    case: &Case<'_>,
    old: &Object,
    mut new: Value,
    update: Update<'_>,
    draft: &mut Draft,
) -> Result<Value, Refusal> {
    let (kind, before) = (case.kind(), case.value(old)?);
    admission::update(case, &mut new, &before, update, draft)?;
    meta::carry_over(&mut new, &before);
    let managed = new["metadata"].get("managedFields").cloned();
    kind.strategy.prepare_update(&mut new, &before, update);
    kind.strategy.stamp_update(&mut new, &before, &case.now());
    // Whatever a kind takes from the old object: who manages what has been settled.
    match managed {
        Some(managed) => meta::of(&mut new).insert("managedFields".to_owned(), managed),
        None => meta::of(&mut new).remove("managedFields"),
    };
    if kind == &SERVICE && update == Update::Main {
        service::update(case, &mut new, &before, draft)?;
    }
    if kind.strategy.counts_generation() && kind.strategy.bumps_generation(&new, &before, update) {
        meta::count_generation(&mut new, &before);
    }
    let mut errors = gantry_kinds::meta::validate_update(kind, &new, &before);
    errors.extend(kind.strategy.validate_update(&new, &before, update));
    errors.extend(custom::validate(case, &new, Some(&before)));
    errors.extend(admission::policies::permits::check(case, &new, Some(&before))?);
    if !errors.is_empty() {
        return Err(Status::invalid(kind.home(), old.name(), &errors).into());
    }
    admission::check_update(case, &new, &before, update, draft)?;
    draft.guards.extend(custom::guard(case));
    draft.warnings.extend(kind.strategy.warnings(&new, Some(&before)));
    if kind == &CUSTOM_RESOURCE_DEFINITION {
        definition::settle(case, &mut new, draft);
    }
    Ok(new)
}

/// Stores the new object, or removes it when its deletion waited only for what the change took away.
pub(crate) fn finish(case: &Case<'_>, old: &Object, new: Value, mut draft: Draft) -> Result<Decision, Refusal> {
    if !nothing_holds(old, &new) {
        return draft.save(case, Some(old), new);
    }
    if case.kind() == &SERVICE {
        service::release(case, &old.value(), &mut draft);
    }
    Ok(draft.remove(case, old, new))
}

fn nothing_holds(old: &Object, new: &Value) -> bool {
    let grace = new["metadata"].get("deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or_default();
    let spec_holds = old.key().kind == &NAMESPACE && !list(new, "/spec/finalizers").is_empty();
    old.header.deleted.is_some() && grace == 0 && !spec_holds && list(new, "/metadata/finalizers").is_empty()
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    gantry_kinds::tree::list_at(object, pointer)
}
