//! What is kept as one version of its kind sees it.
//!
//! Invariants: a custom object has the defaults of the version that it is stored in, never those of the version that is
//! asked for, and no field that the version asked for does not declare. The versions of a definition differ by name
//! alone unless it names a webhook; what that must convert is handed out, and taken back by `close`.

use std::sync::Arc;

use gantry_kinds::custom::Definition;
use gantry_kinds::{Cause, KindRef, Status};
use gantry_view::{Object, View};
use serde_json::Value;

use crate::conversion::Conversion;

/// How one version of a custom kind sees what is kept.
#[derive(Clone, Debug)]
pub struct Lens {
    definition: Arc<Definition>,
    kind: KindRef,
}

/// A kept object on its way to a version.
#[derive(Clone, Debug, PartialEq)]
pub enum Opened {
    /// It is there.
    Seen(Value),
    /// A webhook must convert it; it has the defaults of its own version.
    Foreign(Value),
}

impl Lens {
    /// The lens of a version; `None` where a kind is not custom or its definition has gone.
    pub fn of(view: &View, kind: KindRef) -> Option<Self> {
        let definition = view.definition(kind)?.clone();
        definition.version(kind.version)?;
        Some(Lens { definition, kind })
    }

    /// Whether it is the same version of the same definition.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.definition, &other.definition) && self.kind == other.kind
    }

    /// The objects that one question to the webhook holds.
    pub fn conversion(&self, objects: Vec<Value>) -> Conversion {
        Conversion::new(&self.definition, self.kind.api_version(), objects)
    }

    /// Looks at an object that is kept.
    pub fn open(&self, mut kept: Value) -> Opened {
        if let Some(version) = self.definition.version(version_of(&kept)) {
            version.prune(&mut kept);
            version.complete(&mut kept);
        }
        if version_of(&kept) == self.kind.version {
            return Opened::Seen(kept);
        }
        if self.definition.webhook.is_some() {
            return Opened::Foreign(kept);
        }
        kept["apiVersion"] = self.kind.api_version().into();
        Opened::Seen(self.close(kept))
    }

    /// Takes from a converted object what its version does not declare.
    pub fn close(&self, mut converted: Value) -> Value {
        if let Some(version) = self.definition.version(self.kind.version) {
            version.prune(&mut converted);
        }
        converted
    }
}

/// A kept object of a built-in kind as the version `kind` sees it.
pub fn present(kind: KindRef, object: &Object) -> Value {
    let mut value = object.value();
    if let Some(conversion) = kind.version_of {
        (conversion.from_stored)(&mut value);
    }
    value
}

/// Name of the version that an object says it is of.
pub(crate) fn version_of(object: &Value) -> &str {
    let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    api_version.rsplit('/').next().unwrap_or_default()
}

/// What is said when a kept object could not be converted: `what` is done with it.
pub fn not_decodable(object: &Object, why: &str) -> String {
    format!("object not decodable revision={}: {why}", object.header.revision)
}

/// The refusal to read an object that could not be converted.
pub fn unreadable(object: &Object, why: &str) -> Status {
    let key = object.key();
    let place = if key.namespace.is_empty() { key.name.to_string() } else { format!("{}/{}", key.namespace, key.name) };
    let key = format!("/{}/{}/{place}", key.kind.group, key.kind.plural);
    let error = corrupt(&key, &not_decodable(object, why));
    let mut status = Status::internal(&error);
    status.causes = vec![Cause { reason: String::new(), message: error, field: String::new() }];
    status
}

/// The refusal to list objects, of which the first that could not be converted is `failed`.
pub fn unlistable(kind: KindRef, failed: &[(&Object, String)]) -> Status {
    let cause = |(object, why): &(&Object, String)| {
        let (namespace, name) = (object.namespace(), object.name());
        let place = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
        let key = format!("/registry/{}/{}/{place}", kind.group, kind.plural);
        let message = corrupt(&key, &not_decodable(object, why));
        Cause { reason: "UnexpectedServerResponse".to_owned(), message, field: key }
    };
    let causes: Vec<Cause> = failed.iter().map(cause).collect();
    let first = causes.first().map(|cause| cause.message.as_str()).unwrap_or_default();
    let more = if causes.len() > 1 { format!(" (and {} more)", causes.len() - 1) } else { String::new() };
    let resource = kind.group_resource();
    let message = format!("failed to read one or more {resource} from the storage: {first}{more}");
    let mut status = Status::new(500, "StorageReadError", message);
    (status.name, status.group, status.kind) = ("list".to_owned(), kind.group.to_owned(), kind.plural.to_owned());
    status.causes = causes;
    status
}

fn corrupt(key: &str, why: &str) -> String {
    format!("StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {why}")
}
