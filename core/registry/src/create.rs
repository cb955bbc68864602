//! POST: a new object.

use gantry_kinds::{Status, Update};
use gantry_schema::ssa;
use serde_json::Value;

use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::request::{Body, Decision};
use crate::versions::Versions;
use crate::{admission, custom, definition, meta, service};

/// How often a generated name is drawn again when it is taken.
const NAME_ATTEMPTS: usize = 8;

pub(crate) fn decide(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    let mut decoded = body::decode(case, body, Expected::object(case.kind()))?;
    meta::place(case, &mut decoded.value)?;
    // wire: it is the store that refuses, and a dry run does not get there.
    if !case.dry_run() && !matches!(meta::text(&decoded.value, "resourceVersion"), "" | "0") {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created").into());
    }
    meta::wipe(&mut decoded.value);
    track(case, None, &mut decoded.value, Update::Main)?;
    admit(case, decoded.value, decoded.warnings)
}

/// From a decoded object, whose managed fields are known, to the commit that stores it.
pub(crate) fn admit(case: &Case<'_>, mut object: Value, warnings: Vec<String>) -> Result<Decision, Refusal> {
    let kind = case.kind();
    let mut draft = Draft::warning(warnings);
    meta::stamp(case, &mut object);
    admission::create(case, &mut object, &mut draft)?;
    meta::place(case, &mut object)?;
    name(case, &mut object)?;
    kind.strategy.prepare_create(&mut object);
    if kind == &gantry_kinds::SERVICE {
        service::create(case, &mut object, &mut draft)?;
    }
    let mut errors = gantry_kinds::meta::validate(kind, &object);
    errors.extend(kind.strategy.validate(&object));
    errors.extend(custom::validate(case, &object, None));
    errors.extend(admission::policies::permits::check(case, &object, None)?);
    if !errors.is_empty() {
        return Err(Status::invalid(kind.home(), meta::text(&object, "name"), &errors).into());
    }
    admission::check_create(case, &object, &mut draft)?;
    let name = meta::text(&object, "name");
    if case.view.at(&case.key(name)).is_some() {
        return Err(Status::already_exists(kind, name).into());
    }
    custom::takes_objects(case, name)?;
    draft.guards.extend(custom::guard(case));
    draft.warnings.extend(kind.strategy.warnings(&object, None));
    if kind == &gantry_kinds::CUSTOM_RESOURCE_DEFINITION {
        definition::settle(case, &mut object, &mut draft);
    }
    draft.save(case, None, object)
}

/// Gives an object without a name the one that it asks to be generated.
fn name(case: &Case<'_>, object: &mut Value) -> Result<(), Refusal> {
    let prefix = meta::text(object, "generateName").to_owned();
    if prefix.is_empty() || !meta::text(object, "name").is_empty() {
        return Ok(());
    }
    // Room for the suffix within what a label of a domain name may be.
    let stem = prefix.char_indices().nth(58).map_or(prefix.as_str(), |(at, _)| &prefix[..at]);
    let mut draw = case.draw("name");
    for _ in 0..NAME_ATTEMPTS {
        let name = format!("{stem}{}", draw.suffix());
        if case.view.at(&case.key(&name)).is_none() {
            meta::of(object).insert("name".to_owned(), name.into());
            // What a kind derives from the name.
            case.kind().strategy.default(object);
            return Ok(());
        }
    }
    let mut status = Status::already_exists(case.kind(), &prefix);
    status.message = format!("{}, the server was not able to generate a unique name for the object", status.message);
    Err(status.into())
}

/// Records who manages which fields. Where a webhook does not convert what others manage, nobody manages anything.
pub(crate) fn track(case: &Case<'_>, old: Option<&Value>, new: &mut Value, update: Update<'_>) -> Result<(), Refusal> {
    let (kind, now) = (case.kind(), case.now());
    let subresource = match update {
        Update::Main => "",
        Update::Sub(name) => name,
    };
    // wire: what is written through `scale` has no time.
    let now = if subresource == "scale" { String::new() } else { now };
    let api_version = kind.api_version();
    let actor = ssa::Actor { manager: case.manager(), subresource, api_version: &api_version, now: &now };
    match ssa::update_across(&Versions(case), old, new, &actor) {
        Err(Refusal::Ask(ask)) => Err(Refusal::Ask(ask)),
        Ok(()) | Err(Refusal::Status(_)) => Ok(()),
    }
}
