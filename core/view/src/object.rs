//! One stored object: its canonical JSON and the few facts that indexes and lists need.

use std::any::Any;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use gantry_kinds::KindRef;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::parse;

/// Kind, namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectKey {
    /// Row of the kind table.
    pub kind: KindRef,
    /// Namespace; empty where the kind is cluster-scoped.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// A key from its parts.
    pub fn new(kind: KindRef, namespace: &str, name: &str) -> Self {
        ObjectKey { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{}/{}", self.kind.plural, self.name)
        } else {
            write!(f, "{}/{}/{}", self.kind.plural, self.namespace, self.name)
        }
    }
}

/// One entry of `metadata.ownerReferences`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Uid of the owner: what ownership really means.
    pub uid: String,
    /// Whether this owner manages the object.
    #[serde(default)]
    pub controller: bool,
    /// Whether the owner's foreground deletion waits for the object.
    #[serde(default)]
    pub block_owner_deletion: bool,
}

/// The parsed facts of an object.
#[derive(Clone, Debug)]
pub struct Header {
    /// Kind, namespace and name.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
    /// Revision of the last write; `metadata.resourceVersion` as a number.
    pub revision: u64,
    /// `metadata.generation`; 0 where the kind does not count.
    pub generation: i64,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.ownerReferences`.
    pub owners: Vec<Owner>,
    /// `metadata.finalizers`.
    pub finalizers: Vec<String>,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// `metadata.deletionTimestamp`: set once the object is being deleted.
    pub deleted: Option<Timestamp>,
    /// Values of the kind's selectable fields, in the order of the row.
    pub fields: Vec<String>,
    /// Further index terms, for `View::by_term`.
    pub terms: Vec<String>,
}

/// Stored bytes that are not an object.
#[derive(Debug)]
pub struct Malformed {
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a stored object: {}", self.why)
    }
}
impl std::error::Error for Malformed {}

/// An immutable object at one revision.
pub struct Object {
    /// The parsed facts.
    pub header: Header,
    json: Bytes,
    derived: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.header.key, self.header.revision)
    }
}

impl Object {
    /// Takes the JSON of an object as the store keeps it, with `revision` as its resourceVersion: the text gets
    /// `metadata.resourceVersion` set. Errors when the bytes are not an object with metadata.
    pub fn parse(kind: KindRef, json: &[u8], revision: u64) -> Result<Self, Malformed> {
        let (header, json) = parse::read(kind, json, revision, true)?;
        Ok(Object { header, json: Bytes::from(json), derived: OnceLock::new() })
    }

    /// An object from a parsed tree that carries its resourceVersion already.
    pub fn from_value(kind: KindRef, value: &Value, revision: u64) -> Result<Self, Malformed> {
        let json = serde_json::to_vec(value).map_err(|e| Malformed { why: e.to_string() })?;
        let (header, json) = parse::read(kind, &json, revision, false)?;
        Ok(Object { header, json: Bytes::from(json), derived: OnceLock::new() })
    }

    /// The canonical JSON, resourceVersion included.
    pub fn json(&self) -> &Bytes {
        &self.json
    }
    /// The object as a tree.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.json).unwrap_or(Value::Null)
    }
    /// The object as a typed structure; unknown fields are dropped, so never write one back whole.
    pub fn typed<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        // Most objects hold no null where a value is required, and need no tree.
        let read = serde_json::from_slice(&self.json).or_else(|_| gantry_kinds::typed::decode(&self.value()));
        read.map_err(|e| Malformed { why: e.to_string() })
    }
    /// What `make` makes of this object, made once and kept as long as the object. An object keeps one such value:
    /// `None` when it holds one of another type. For what hot decisions read again and again, such as rules of roles.
    pub fn derived<T: Any + Send + Sync>(&self, make: fn(&Object) -> T) -> Option<&T> {
        self.derived.get_or_init(|| Box::new(make(self))).downcast_ref()
    }
    /// Kind, namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.header.key
    }
    /// Name.
    pub fn name(&self) -> &str {
        &self.header.key.name
    }
    /// Namespace; empty where cluster-scoped.
    pub fn namespace(&self) -> &str {
        &self.header.key.namespace
    }
    /// `metadata.uid`.
    pub fn uid(&self) -> &str {
        &self.header.uid
    }
    /// Value of a selectable field, `metadata.name` and `metadata.namespace` included; `None` where the kind has no such.
    pub fn field(&self, path: &str) -> Option<&str> {
        match path {
            "metadata.name" => Some(self.name()),
            "metadata.namespace" => Some(self.namespace()),
            _ => {
                let at = self.header.key.kind.selectable.iter().position(|(name, _)| *name == path)?;
                self.header.fields.get(at).map(String::as_str)
            }
        }
    }
    /// The same for any kind, custom ones included, whose fields are read from the whole object each time.
    pub fn selected(&self, path: &str) -> Option<String> {
        let kind = self.header.key.kind;
        let listed = self.field(path).map(str::to_owned);
        listed.or_else(|| kind.is_custom().then(|| kind.field(&self.value(), path)).flatten())
    }
    /// The owner that manages this object, if any.
    pub fn controller(&self) -> Option<&Owner> {
        self.header.owners.iter().find(|o| o.controller)
    }
    /// Orders by namespace, then name.
    pub fn cmp_key(&self, other: &Self) -> Ordering {
        self.header.key.cmp(&other.header.key)
    }
}
