//! Versions of kinds and custom kinds, as decisions meet them: which row a request is about, objects as the version
//! that it speaks of sees them, and what a definition demands.

use gantry_kinds::custom::{Definition, Version};
use gantry_kinds::{ErrorList, KindRef, Status};
use gantry_schema::Schema;
use gantry_view::{Object, View};
use serde_json::{Value, json};

use crate::case::{Case, Refusal};
use crate::request::Request;

/// The same request about the stored version, where it was about the row that objects are kept under: controllers do
/// not care for versions. `None` where the request is fine as it is.
pub(crate) fn settled(view: &View, request: &Request) -> Result<Option<Request>, Refusal> {
    let kind = request.target.kind;
    if !kind.is_custom() || !kind.version.is_empty() {
        return Ok(None);
    }
    let storage = view.custom(kind).ok_or_else(Status::no_such_path)?;
    let mut request = request.clone();
    request.target.kind = storage.kind;
    Ok(Some(request))
}

/// Types that ownership and patches go by.
pub(crate) fn schema<'a>(case: &Case<'a>) -> &'a Schema {
    match case.view.custom(case.kind()) {
        Some(version) => version.types(),
        None => Schema::builtin(),
    }
}

/// An object that is kept as the version `kind` sees it.
pub fn present(view: &View, kind: KindRef, object: &Object) -> Value {
    let mut value = object.value();
    convert_from_stored(view, kind, &mut value);
    value
}

/// Makes a stored object what the version `kind` sees.
pub(crate) fn convert_from_stored(view: &View, kind: KindRef, value: &mut Value) {
    match view.custom(kind) {
        Some(version) => {
            value["apiVersion"] = version.kind.api_version().into();
            version.complete(value);
        }
        None => {
            if let Some(conversion) = kind.version_of {
                (conversion.from_stored)(value);
            }
        }
    }
}

/// Makes an object of the request's version what is stored.
pub(crate) fn convert_to_stored(case: &Case<'_>, value: &mut Value) {
    match case.view.definition(case.kind()).and_then(|definition| definition.storage()) {
        Some(storage) => value["apiVersion"] = storage.kind.api_version().into(),
        None => {
            if let Some(conversion) = case.kind().version_of {
                (conversion.to_stored)(value);
            }
        }
    }
}

/// All that is wrong with an object by its definition.
pub(crate) fn validate(case: &Case<'_>, object: &Value, old: Option<&Value>) -> ErrorList {
    case.view.custom(case.kind()).map(|version| version.validate(object, old)).unwrap_or_default()
}

/// Refuses new objects of a definition that is being deleted.
pub(crate) fn takes_objects(case: &Case<'_>, name: &str) -> Result<(), Refusal> {
    let terminating = case.view.definition(case.kind()).is_some_and(|definition| definition.terminating);
    if terminating {
        let why = "create not allowed while custom resource definition is terminating";
        return Err(Status::forbidden(case.kind(), name, why).into());
    }
    Ok(())
}

/// The warning that a deprecated version earns.
pub(crate) fn deprecation(case: &Case<'_>) -> Option<String> {
    case.view.custom(case.kind()).and_then(|version| version.deprecation.clone())
}

/// The key of the definition that a decision about a custom object relies on, with its revision.
pub(crate) fn guard(case: &Case<'_>) -> Option<(gantry_view::ObjectKey, u64)> {
    let definition: &Definition = case.view.definition(case.kind())?;
    let object = case.view.get(&gantry_kinds::CUSTOM_RESOURCE_DEFINITION, "", &definition.name)?;
    Some((object.key().clone(), object.header.revision))
}

/// The Scale of a custom object; `None` where its version has no such thing.
pub fn to_scale(version: &Version, object: &Value) -> Option<Value> {
    let scale = version.scale.as_ref()?;
    let at = |path: &[String]| path.iter().try_fold(object, |value, name| value.get(name));
    let mut metadata = serde_json::Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let replicas = at(&scale.spec).and_then(Value::as_i64).unwrap_or_default();
    let wanted = if replicas == 0 { json!({}) } else { json!({ "replicas": replicas }) };
    let mut status = json!({"replicas": at(&scale.status).and_then(Value::as_i64).unwrap_or_default()});
    let selector = scale.selector.as_ref().and_then(|path| at(path)).and_then(Value::as_str).unwrap_or_default();
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    Some(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": wanted, "status": status,
    }))
}

/// Puts the replicas of a Scale where the definition has them.
pub(crate) fn set_replicas(version: &Version, object: &mut Value, replicas: i64) {
    let Some(scale) = &version.scale else { return };
    let mut place = object;
    for name in &scale.spec {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[name.as_str()];
    }
    *place = replicas.into();
}
