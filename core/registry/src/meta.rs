//! Reading and setting `metadata`, and the fields of it that the system owns.

use gantry_kinds::{FieldError, KindRef, Path, Status, Update};
use serde_json::{Map, Value};

use crate::case::{Case, Refusal};

/// A text in `metadata`; empty where absent.
pub(crate) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get("metadata").and_then(|meta| meta.get(key)).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata`, made where there is none.
pub(crate) fn of(object: &mut Value) -> &mut Map<String, Value> {
    map(object, "metadata")
}

/// The map under `key`, made where there is none.
pub(crate) fn map<'a>(object: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let slot = &mut object[key];
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was made a map")
}

/// The list under `key`, made where there is none.
pub(crate) fn list<'a>(fields: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let slot = fields.entry(key).or_insert(Value::Null);
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was made a list")
}

/// The texts of a list in `metadata`.
pub(crate) fn texts<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    let list = object.get("metadata").and_then(|meta| meta.get(key)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Puts the object into the namespace of the request; refuses one that says otherwise.
pub(crate) fn place(case: &Case<'_>, object: &mut Value) -> Result<(), Refusal> {
    let wanted = case.target().namespace.as_str();
    match text(object, "namespace") {
        "" if wanted.is_empty() => {}
        "" => {
            of(object).insert("namespace".to_owned(), wanted.into());
        }
        namespace if namespace == wanted => {}
        _ if !case.kind().namespaced => {
            of(object).remove("namespace");
        }
        _ => {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Status::bad_request(message).into());
        }
    }
    Ok(())
}

/// Checks that the body of an update names what the path names.
pub(crate) fn matches_path(case: &Case<'_>, object: &mut Value) -> Result<(), Refusal> {
    let wanted = case.target().name.as_str();
    match text(object, "name") {
        name if name == wanted => place(case, object),
        "" => {
            let message =
                format!("the name of the object ({wanted} based on URL) was undeterminable: name must be provided");
            Err(Status::bad_request(message).into())
        }
        name => {
            let message = format!("the name of the object ({name}) does not match the name on the URL ({wanted})");
            Err(Status::bad_request(message).into())
        }
    }
}

/// Takes away what a client may not set on a new object.
pub(crate) fn wipe(object: &mut Value) {
    let meta = of(object);
    for key in
        ["selfLink", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        meta.remove(key);
    }
}

/// What the system sets on a new object. The generation of kinds that count starts at 1.
pub(crate) fn stamp(case: &Case<'_>, object: &mut Value) {
    let (uid, now, counts) = (case.draw("uid").uid(), case.now(), case.kind().strategy.counts_generation());
    let meta = of(object);
    meta.insert("uid".to_owned(), uid.into());
    meta.insert("creationTimestamp".to_owned(), now.into());
    if counts {
        meta.insert("generation".to_owned(), 1.into());
    }
}

/// What a changed object keeps of the old one, where the client did not send it.
pub(crate) fn carry_over(new: &mut Value, old: &Value) {
    let meta = of(new);
    meta.remove("selfLink");
    for key in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if let (None | Some(Value::Null), Some(value)) = (meta.get(key), old["metadata"].get(key)) {
            meta.insert(key.to_owned(), value.clone());
        }
    }
    match old["metadata"].get("generation") {
        Some(generation) => meta.insert("generation".to_owned(), generation.clone()),
        None => meta.remove("generation"),
    };
}

/// Counts the generation up.
pub(crate) fn count_generation(new: &mut Value, old: &Value) {
    let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
    of(new).insert("generation".to_owned(), (generation + 1).into());
}

/// Compares the revision that an update was made from with the one that is stored.
pub(crate) fn check_revision(case: &Case<'_>, new: &Value, update: Update<'_>) -> Result<(), Refusal> {
    let stored = case.existing()?.header.revision;
    let given = text(new, "resourceVersion");
    let number = match given {
        "" => 0,
        given => given
            .parse::<u64>()
            .map_err(|_| Status::bad_request(format!("strconv.ParseUint: parsing {given:?}: invalid syntax")))?,
    };
    let kind = case.kind();
    if number == 0 {
        if kind.strategy.unconditional_update() || update != Update::Main {
            return Ok(());
        }
        let path = Path::new("metadata").child("resourceVersion");
        let error = FieldError::invalid(&path, 0, "must be specified for an update");
        let mut status = Status::invalid(kind, &case.target().name, &vec![error]);
        // wire: this one refusal names the resource where all others name the kind.
        status.message = status.message.replacen(subject(&status).as_str(), &kind.group_resource(), 1);
        status.kind = kind.plural.to_owned();
        return Err(status.into());
    }
    if number == stored { Ok(()) } else { Err(modified(case)) }
}

fn subject(status: &Status) -> String {
    if status.group.is_empty() { status.kind.clone() } else { format!("{}.{}", status.kind, status.group) }
}

/// 409: somebody else was faster.
pub(crate) fn modified(case: &Case<'_>) -> Refusal {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    Status::conflict(case.kind(), &case.target().name, why).into()
}

/// A PUT that names another uid than the stored object's (none where there is no object) is about another object.
pub(crate) fn check_uid(case: &Case<'_>, new: &Value) -> Result<(), Refusal> {
    let (given, stored) = (text(new, "uid"), case.stored().map_or("", |object| object.uid()));
    if given.is_empty() || given == stored {
        return Ok(());
    }
    let target = case.target();
    // wire: what would be stored is named with the prefix of the whole store.
    let mut place = if case.dry_run() { String::new() } else { "/registry".to_owned() };
    place += &place_of(target.kind);
    for part in [&target.namespace, &target.name].into_iter().filter(|part| !part.is_empty()) {
        place = format!("{place}/{part}");
    }
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {place}, ResourceVersion: 0, \
         AdditionalErrorMsg: Precondition failed: UID in precondition: {given}, UID in object meta: {stored}",
    );
    Err(Status::conflict(target.kind, &target.name, &why).into())
}

/// wire: where upstream keeps the objects of a kind, which its conflicts tell.
fn place_of(kind: KindRef) -> String {
    match (kind.group, kind.plural) {
        (group, plural) if kind.is_custom() => format!("/{group}/{plural}"),
        ("", "nodes") => "/minions".to_owned(),
        ("", "services") => "/services/specs".to_owned(),
        ("", "endpoints") => "/services/endpoints".to_owned(),
        (group @ ("apiextensions.k8s.io" | "apiregistration.k8s.io"), plural) => format!("/{group}/{plural}"),
        (_, plural) => format!("/{plural}"),
    }
}
