//! PATCH: the four patch types, each of which makes a whole new object that then takes the way of an update.

use gantry_kinds::{FieldError, Path, Status, Update};
use gantry_schema::patch::PatchError;
use gantry_schema::{Checked, patch, ssa};
use serde_json::Value;

use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::create::{admit, track};
use crate::request::{Body, Decision, FieldValidation, PatchKind};
use crate::update::replace;
use crate::versions::Versions;
use crate::{access, custom, meta, refuse};

/// What custom kinds say of strategic merge patches.
const NOT_STRATEGIC: &str = "the body of the request was in an unknown format - accepted media types include: \
    application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
/// Operations that one JSON patch may hold.
const JSON_PATCH_OPERATIONS: usize = 10_000;

pub(crate) fn decide(case: &Case<'_>, how: PatchKind, body: &Body, update: Update<'_>) -> Result<Decision, Refusal> {
    check_options(case, how)?;
    if how == PatchKind::Apply {
        return apply(case, body, update);
    }
    let old = case.existing()?;
    let live = case.value(old)?;
    let mut draft = Draft::default();
    let expected = Expected::object(case.kind());
    let mut new = patched(case, how, body, &live, expected, &mut draft)?;
    meta::matches_path(case, &mut new)?;
    meta::check_revision(case, &new, update)?;
    track(case, Some(&live), &mut new, update)?;
    replace(case, old, new, update, draft)
}

/// Applies a patch to `live`, and checks and completes the result.
pub(crate) fn patched(
    case: &Case<'_>,
    how: PatchKind,
    body: &Body,
    live: &Value,
    expected: Expected,
    draft: &mut Draft,
) -> Result<Value, Refusal> {
    let schema = custom::schema(case);
    let result = match how {
        PatchKind::Strategic if case.kind().is_custom() && expected.is_object_of(case.kind()) => {
            return Err(Status::new(415, "UnsupportedMediaType", NOT_STRATEGIC).into());
        }
        PatchKind::Json => {
            let count = body.value.as_array().map_or(0, Vec::len);
            if count > JSON_PATCH_OPERATIONS {
                let message = format!(
                    "Request entity too large: The allowed maximum operations in a JSON patch is \
                     {JSON_PATCH_OPERATIONS}, got {count}"
                );
                return Err(Status::new(413, "RequestEntityTooLarge", message).into());
            }
            patch::json(live, &body.value)
        }
        PatchKind::Merge => patch::merge(live, &body.value),
        _ => patch::strategic(schema, expected.schema(), live, &body.value),
    };
    let mut new = result.map_err(refused)?;
    let shown = || if how == PatchKind::Strategic { patch::go_print(&body.value) } else { new.to_string() };
    let text = |key: &str| new.get(key).and_then(Value::as_str).unwrap_or_default();
    // wire: what a strategic patch says of its object's type is nothing.
    let (kind, api_version) = if how == PatchKind::Strategic { expected.names() } else { expected.identity(&new) };
    if body::is_custom(case, expected) {
        body::claims(&new, text("kind"), text("apiVersion"), &expected)?;
    } else if let Some(why) = body::foreign(&kind, &api_version, &expected) {
        return Err(invalid(&shown(), &why));
    }
    let checked = body::check(case, expected, &new);
    let wrong = if how == PatchKind::Strategic { &checked.unrestored } else { &checked.wrong_type };
    if let Some(why) = wrong {
        return Err(invalid(&shown(), why));
    }
    match case.request.options.field_validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => draft.warnings.extend(checked.warnings(&body.duplicates)),
        FieldValidation::Strict => {
            if let Some(why) = checked.strict_error(&body.duplicates) {
                return Err(invalid(&shown(), &why));
            }
        }
    }
    body::normalize(case, expected, &mut new);
    draft.warnings.extend(custom::deprecation(case));
    Ok(new)
}

fn refused(error: PatchError) -> Refusal {
    Status::new(error.code, error.reason, error.message).into()
}

/// 422 as upstream words it for a patch whose result is not an object of the kind.
fn invalid(shown: &str, why: &str) -> Refusal {
    refuse::invalid("", "", "", &FieldError::invalid(&Path::new("patch"), shown, why))
}

/// Checks the query options that belong to some patch types alone.
pub(crate) fn check_options(case: &Case<'_>, how: PatchKind) -> Result<(), Refusal> {
    let options = &case.request.options;
    let error = match how {
        PatchKind::Apply if options.field_manager.is_empty() => {
            FieldError::required(&Path::new("fieldManager"), "is required for apply patch")
        }
        PatchKind::Apply => return Ok(()),
        _ if options.force => FieldError::forbidden(&Path::new("force"), "may not be specified for non-apply patch"),
        _ => return Ok(()),
    };
    Err(refuse::invalid("meta.k8s.io", "PatchOptions", "", &error))
}

/// Server-side apply; creates what does not exist.
fn apply(case: &Case<'_>, body: &Body, update: Update<'_>) -> Result<Decision, Refusal> {
    let kind = case.kind();
    let config = &body.value;
    check_identity(config, kind.kind, &kind.api_version())?;
    let old = case.stored();
    let live = old.map(|old| case.value(old)).transpose()?;
    let mut new = applied(case, live.as_ref(), config, update)?;
    let warnings = repeated(case, body)?;
    // What the configuration says of its object's identity is a precondition.
    for key in ["uid", "resourceVersion"] {
        if let Some(given) = config["metadata"].get(key).filter(|given| !given.is_null()) {
            meta::of(&mut new).insert(key.to_owned(), given.clone());
        }
    }
    body::normalize(case, Expected::object(kind), &mut new);
    meta::matches_path(case, &mut new)?;
    match old {
        Some(old) => {
            meta::check_revision(case, &new, update)?;
            replace(case, old, new, update, Draft::warning(warnings))
        }
        None if update != Update::Main => Err(Status::not_found(kind, &case.target().name).into()),
        None => {
            access::verb_allowed(case, "create")?;
            let uid = meta::text(&new, "uid");
            if !uid.is_empty() {
                let why =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(Status::conflict(kind, &case.target().name, &why).into());
            }
            meta::wipe(&mut new);
            admit(case, new, warnings)
        }
    }
}

/// What is said of keys that come twice in a configuration: an error, warnings, or nothing.
fn repeated(case: &Case<'_>, body: &Body) -> Result<Vec<String>, Refusal> {
    match case.request.options.field_validation {
        _ if body.duplicates.is_empty() => Ok(Vec::new()),
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(Checked::default().warnings(&body.duplicates)),
        FieldValidation::Strict => {
            let why = body.duplicates.join(", ");
            Err(Status::bad_request(format!("error strict decoding YAML: error converting YAML to JSON: {why}")).into())
        }
    }
}

/// Checks that a configuration says what it is, and nothing of who manages what.
pub(crate) fn check_identity(config: &Value, kind: &str, api_version: &str) -> Result<(), Refusal> {
    let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("kind") != kind || text("apiVersion") != api_version {
        let given = text("apiVersion");
        let given = if given.contains('/') { given.to_owned() } else { format!("/{given}") };
        return Err(Status::bad_request(format!("invalid object type: {given}, Kind={}", text("kind"))).into());
    }
    if config["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil").into());
    }
    Ok(())
}

/// The object that server-side apply makes of the configuration.
pub(crate) fn applied(
    case: &Case<'_>,
    live: Option<&Value>,
    config: &Value,
    update: Update<'_>,
) -> Result<Value, Refusal> {
    let kind = case.kind();
    let (now, api_version) = (case.now(), kind.api_version());
    let subresource = match update {
        Update::Main => "",
        Update::Sub(name) => name,
    };
    let actor = ssa::Actor { manager: case.manager(), subresource, api_version: &api_version, now: &now };
    let force = case.request.options.force;
    ssa::apply_across(&Versions(case), live, config, &actor, force).map_err(|failure| match failure {
        ssa::Failure::Conversion(refusal) => refusal,
        ssa::Failure::Apply(ssa::ApplyError::Conflicts(conflicts)) => {
            let mut status = Status::new(409, "Conflict", conflicts.message);
            let causes = conflicts.causes.into_iter();
            let cause = |c: ssa::ConflictCause| gantry_kinds::Cause {
                reason: "FieldManagerConflict".to_owned(),
                message: c.message,
                field: c.field,
            };
            status.causes = causes.map(cause).collect();
            status.into()
        }
        ssa::Failure::Apply(ssa::ApplyError::Refused(error)) => refused(error),
    })
}
