//! From what a mutation evaluates to, to the object that it makes.

use gantry_cel::{List, Value as Computed};
use gantry_kinds::policies::PatchType;
use gantry_kinds::{Cause, Status};
use gantry_schema::patch::{Misfit, operate};
use gantry_schema::ssa;
use serde_json::{Map, Value};

use crate::admission::attributes::Attributes;
use crate::body;
use crate::case::{Case, Refusal};
use crate::custom;

/// Why a mutation makes no object.
pub(super) enum Failure {
    /// An error of the policy: `failurePolicy` says what it means.
    Policy(String),
    /// The request ends here.
    Request(Refusal),
}

/// The object that a mutation makes of `object`.
pub(super) fn apply(
    case: &Case<'_>,
    request: &Attributes<'_>,
    patch: PatchType,
    object: &Value,
    said: &Computed<'_>,
) -> Result<Value, Failure> {
    let changed = match patch {
        PatchType::ApplyConfiguration => configured(case, request, object, said)?,
        PatchType::JsonPatch => operated(object, said)?,
    };
    complete(case, request, changed).map_err(Failure::Request)
}

fn configured(
    case: &Case<'_>,
    request: &Attributes<'_>,
    object: &Value,
    said: &Computed<'_>,
) -> Result<Value, Failure> {
    let misnamed = said.misnamed();
    if !misnamed.is_empty() {
        return Err(Failure::Policy(format!("type mismatch: {}", misnamed.join(", "))));
    }
    let mut part = said.to_json().map_err(|error| Failure::Policy(error.to_string()))?;
    zero(&mut part);
    for key in ["apiVersion", "kind"] {
        part[key] = object[key].clone();
    }
    let own = request.body.is_object_of(request.kind);
    let schema = if own { custom::schema(case) } else { gantry_schema::Schema::builtin() };
    let (group, version, kind) = request.body.group_version_kind();
    if !own && kind != "Scale" {
        let why = format!("no corresponding type for {group}/{version}, Kind={kind}");
        let why = format!("error applying patch: failed to convert patch object to typed object: {why}");
        return Err(Failure::Policy(why));
    }
    ssa::overlay(schema, request.body.schema(), object, &part)
        .map_err(|why| Failure::Policy(format!("error applying patch: {why}")))
}

/// wire: a null arrives as the number of the only value that its type has.
fn zero(value: &mut Value) {
    match value {
        Value::Null => *value = 0.into(),
        Value::Array(items) => items.iter_mut().for_each(zero),
        Value::Object(fields) => fields.values_mut().for_each(zero),
        _ => {}
    }
}

fn operated(object: &Value, said: &Computed<'_>) -> Result<Value, Failure> {
    let wrong = |why: String| Failure::Policy(why);
    let Computed::List(list) = said else {
        return Err(wrong("type mismatch: JSONPatchType.expression should evaluate to array".to_owned()));
    };
    let operations = operations(list).map_err(wrong)?;
    match operate(object, &operations) {
        Ok(changed) => Ok(changed),
        // A patch that does not pass its own test changes nothing.
        Err(Misfit::Test) => Ok(object.clone()),
        Err(Misfit::Other(why)) => Err(wrong(format!("JSON Patch: {why}"))),
    }
}

fn operations(list: &List<'_>) -> Result<Vec<Value>, String> {
    let Value::Array(made) = Computed::List(list.clone()).to_json().map_err(|error| error.to_string())? else {
        return Ok(Vec::new());
    };
    let whole = |operation: Value| match operation {
        Value::Object(mut fields) => {
            let empty = |fields: &Map<String, Value>| fields.get("path").is_none();
            if empty(&fields) {
                fields.insert("path".to_owned(), "".into());
            }
            Value::Object(fields)
        }
        other => other,
    };
    Ok(made.into_iter().map(whole).collect())
}

/// Checks what a patch made as a client's object would be, and fills in defaults.
fn complete(case: &Case<'_>, request: &Attributes<'_>, mut object: Value) -> Result<Value, Refusal> {
    let checked = body::check(case, request.body, &object);
    if let Some(why) = checked.wrong_type.clone().or_else(|| checked.strict_error(&[])) {
        let mut status = Status::internal(&why);
        status.causes = vec![Cause { reason: String::new(), message: why, field: String::new() }];
        return Err(status.into());
    }
    body::normalize(case, request.body, &mut object);
    Ok(object)
}
