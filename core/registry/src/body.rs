//! From the body as it was sent to an object of the right type: kind, unknown fields, types, pruning, defaults.

use gantry_kinds::{FieldError, KindRef, Path, Status, table};
use gantry_schema::decode::{identity, underlay, unrecognized};
use gantry_schema::{Checked, Schema, prune};
use serde_json::{Map, Value};

use crate::case::{Case, Refusal};
use crate::request::{Body, FieldValidation};
use crate::{custom, refuse};

/// What a body must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    kind: &'static str,
    group: &'static str,
    version: &'static str,
    schema: &'static str,
}

/// A body of the right type, with the warnings that it earned.
pub(crate) struct Decoded {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
}

impl Expected {
    /// An object of the kind itself.
    pub(crate) fn object(kind: KindRef) -> Self {
        Expected { kind: kind.kind, group: kind.group, version: kind.version, schema: kind.schema }
    }

    /// The body of one of its subresources.
    pub(crate) fn subresource(kind: KindRef, name: &str) -> Self {
        match kind.subresource(name) {
            Some(sub) => {
                let (group, version) = sub.group_version.unwrap_or((kind.group, kind.version));
                Expected { kind: sub.kind, group, version, schema: sub.schema }
            }
            None => Self::object(kind),
        }
    }

    /// Whether it is an object of that kind, not the body of a subresource.
    pub(crate) fn is_object_of(&self, kind: KindRef) -> bool {
        self.schema == kind.schema
    }

    /// Group, version and kind.
    pub(crate) fn group_version_kind(&self) -> (&'static str, &'static str, &'static str) {
        (self.group, self.version, self.kind)
    }

    /// Name of the type in the schema tables.
    pub(crate) fn schema(&self) -> &'static str {
        self.schema
    }

    /// Kind and version that a body claims; what it does not say is as expected.
    pub(crate) fn identity(&self, value: &Value) -> (String, String) {
        let text = |key: &str, expected: String| match value.get(key).and_then(Value::as_str).unwrap_or_default() {
            "" => expected,
            text => text.to_owned(),
        };
        (text("kind", self.kind.to_owned()), text("apiVersion", self.api_version()))
    }

    /// Kind and version that a body is to claim.
    pub(crate) fn names(&self) -> (String, String) {
        (self.kind.to_owned(), self.api_version())
    }

    fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `Deployment in version "v1" cannot be handled as a Deployment: why`.
    fn unfit(&self, kind: &str, api_version: &str, why: &str) -> Refusal {
        let version = api_version.rsplit('/').next().unwrap_or_default();
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {}: {why}", self.kind)).into()
    }
}

/// Decodes the body of a create or update.
pub(crate) fn decode(case: &Case<'_>, body: &Body, expected: Expected) -> Result<Decoded, Refusal> {
    let (api_version, kind) = identity(&body.value)
        .map_err(|error| Status::bad_request(unrecognized(expected.kind, &error, body.value.to_string().as_bytes())))?;
    let api_version = if api_version.is_empty() { expected.api_version() } else { api_version };
    let kind = if kind.is_empty() { expected.kind.to_owned() } else { kind };
    let mut value = body.value.clone();
    if value.is_null() {
        value = Value::Object(Map::new());
    }
    if is_custom(case, expected) {
        claims(&body.value, &kind, &api_version, &expected)?;
    } else if let Some(why) = foreign(&kind, &api_version, &expected) {
        return Err(expected.unfit(&kind, &api_version, &why));
    }
    let shadowed = if is_custom(case, expected) { &[][..] } else { &body.shadowed };
    let wrong_before = shadowed.iter().find_map(|earlier| check(case, expected, earlier).wrong_type);
    shadowed.iter().for_each(|earlier| underlay(&mut value, earlier));
    let checked = check(case, expected, &value);
    if let Some(why) = wrong_before.as_ref().or(checked.wrong_type.as_ref()) {
        return Err(expected.unfit(&kind, &api_version, why));
    }
    let mut warnings = match case.request.options.field_validation {
        FieldValidation::Ignore => Vec::new(),
        FieldValidation::Warn => checked.warnings(&body.duplicates),
        FieldValidation::Strict => match checked.strict_error(&body.duplicates) {
            Some(why) => return Err(expected.unfit(&kind, &api_version, &why)),
            None => Vec::new(),
        },
    };
    normalize(case, expected, &mut value);
    warnings.extend(custom::deprecation(case));
    Ok(Decoded { value, warnings })
}

/// Prunes and defaults: what is left is what will be stored.
pub(crate) fn normalize(case: &Case<'_>, expected: Expected, value: &mut Value) {
    if let Some(version) = case.view.custom(case.kind()).filter(|_| is_custom(case, expected)) {
        version.normalize(value);
        return;
    }
    prune(Schema::builtin(), expected.schema, value);
    value["apiVersion"] = expected.api_version().into();
    value["kind"] = expected.kind.into();
    if expected.schema == case.kind().schema {
        case.kind().strategy.default(value);
        case.kind().strategy.default_times(value, &case.now());
    }
}

/// Whether a body is an object of a custom kind.
pub(crate) fn is_custom(case: &Case<'_>, expected: Expected) -> bool {
    case.kind().is_custom() && expected.is_object_of(case.kind())
}

/// Unknown fields and wrong types. Of a custom object only the metadata is checked for types: the rest is the
/// schema's, whose refusals tell of all values at once.
pub(crate) fn check(case: &Case<'_>, expected: Expected, value: &Value) -> Checked {
    let Some(version) = case.view.custom(case.kind()).filter(|_| is_custom(case, expected)) else {
        return gantry_schema::check(Schema::builtin(), expected.schema, value);
    };
    if let Some(wrong) = version.metadata_error(value) {
        return Checked { wrong_type: Some(wrong), ..Checked::default() };
    }
    Checked { unknown: version.normalize(&mut value.clone()), ..Checked::default() }
}

/// A custom object says what it is, and it is what the path says.
pub(crate) fn claims(value: &Value, kind: &str, api_version: &str, expected: &Expected) -> Result<(), Refusal> {
    if value.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty() {
        let (body, what) = (value.to_string(), expected.kind);
        let short: String = body.chars().take(30).collect();
        let message = format!(
            "the object provided is unrecognized (must be of type {what}): Object 'Kind' is missing in '{body}' ({short} ...)"
        );
        return Err(Status::bad_request(message).into());
    }
    if api_version != expected.api_version() {
        let message = format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        );
        return Err(Status::bad_request(message).into());
    }
    if kind != expected.kind {
        let error = FieldError::invalid(&Path::new("kind"), kind, format!("must be {}", expected.kind));
        let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        return Err(refuse::invalid(expected.group, kind, name, &error));
    }
    Ok(())
}

/// Why a body of this kind and version is not what is expected.
pub(crate) fn foreign(kind: &str, api_version: &str, expected: &Expected) -> Option<String> {
    if kind == expected.kind && api_version == expected.api_version() {
        return None;
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    // wire: the words that clients know are made of the names of types inside the upstream server.
    Some(match table::by_kind(group, version, kind) {
        Some(_) => {
            let package = if expected.group.is_empty() { "core" } else { expected.group };
            let package = package.split('.').next().unwrap_or_default();
            format!("converting ({version}.{kind}) to ({package}.{}): unknown conversion", expected.kind)
        }
        None => {
            format!(
                "no kind {kind:?} is registered for version {api_version:?} in scheme \"pkg/runtime/scheme.go:111\""
            )
        }
    })
}
