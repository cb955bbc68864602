//! Versions of kinds and custom kinds, as decisions meet them: which row a request is about, objects as the version
//! that it speaks of sees them, and what a definition demands.

use gantry_kinds::custom::{Definition, Version};
use gantry_kinds::{ErrorList, KindRef, Status, table};
use gantry_schema::Schema;
use gantry_view::{Object, View};
use serde_json::{Value, json};

use crate::ask::Ask;
use crate::case::{Case, Refusal};
use crate::lens::{self, Lens, Opened, version_of};
use crate::request::{Operation, Request};

/// The same request about one version, where it was about the row that objects are kept under: controllers do not care
/// for versions. It is the version in which the object is stored, so that no webhook can keep them from their work;
/// `None` where the request is fine as it is.
pub(crate) fn settled(view: &View, request: &Request) -> Result<Option<Request>, Refusal> {
    let kind = request.target.kind;
    if !kind.is_custom() || !kind.version.is_empty() {
        return Ok(None);
    }
    let definition = view.definition(kind).ok_or_else(Status::no_such_path)?;
    let there = view.get(kind, &request.target.namespace, &request.target.name);
    let stored = there.and_then(|object| definition.version(version_of(&object.value())));
    let version = stored.or_else(|| definition.storage()).ok_or_else(Status::no_such_path)?;
    let mut request = request.clone();
    request.target.kind = version.kind;
    Ok(Some(request))
}

/// Types that ownership and patches go by.
pub(crate) fn schema<'a>(case: &Case<'a>) -> &'a Schema {
    match case.view.custom(case.kind()) {
        Some(version) => version.types(),
        None => Schema::builtin(),
    }
}

/// A kept object as the request's version sees it.
pub(crate) fn seen(case: &Case<'_>, object: &Object) -> Result<Value, Refusal> {
    look(case, case.kind(), object.value(), |why| match case.request.operation {
        Operation::Delete(_) => lens::unreadable(object, why),
        _ => Status::new(500, "", lens::not_decodable(object, why)),
    })
}

/// An object of the request's version as it is stored, and as that version sees it again afterwards; `None` where it is
/// stored as it is.
pub(crate) fn stored(case: &Case<'_>, object: &Value) -> Result<Option<(Value, Value)>, Refusal> {
    let kind = case.kind();
    let Some(definition) = case.view.definition(kind) else {
        let Some(conversion) = kind.version_of else { return Ok(None) };
        let mut stored = object.clone();
        (conversion.to_stored)(&mut stored);
        return Ok(Some((stored, object.clone())));
    };
    let refused = |why: &str| Status::new(500, "", why);
    let Some(storage) = definition.storage().filter(|storage| storage.kind != kind && !case.keeps_version) else {
        return Ok(None);
    };
    let stored = look(case, storage.kind, object.clone(), refused)?;
    let seen = look(case, kind, stored.clone(), refused)?;
    Ok(Some((stored, seen)))
}

/// An object of any version of the request's kind as another version sees it.
pub(crate) fn in_version(case: &Case<'_>, kind: KindRef, object: &Value) -> Result<Value, Refusal> {
    let mut object = object.clone();
    if case.view.definition(kind).is_none() {
        let from = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        if let Some(conversion) = table::version(kind.home(), from).and_then(|from| from.version_of) {
            (conversion.to_stored)(&mut object);
        }
    }
    look(case, kind, object, |why| Status::new(500, "", why))
}

fn look(case: &Case<'_>, kind: KindRef, mut object: Value, no: impl Fn(&str) -> Status) -> Result<Value, Refusal> {
    let Some(lens) = Lens::of(case.view, kind) else {
        if let Some(conversion) = kind.version_of {
            (conversion.from_stored)(&mut object);
        }
        return Ok(object);
    };
    match lens.open(object) {
        Opened::Seen(object) => Ok(object),
        Opened::Foreign(object) => {
            let converted = case.ask(Ask::Convert(lens.conversion(vec![object])))?;
            let converted = converted.first().cloned().unwrap_or_else(|| Err("there was no answer".to_owned()));
            Ok(lens.close(converted.map_err(|why| no(&why))?))
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
