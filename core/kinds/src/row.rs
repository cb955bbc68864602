//! What one row of the kind table says.

use std::cmp::Ordering;
use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::KindRef;
use crate::field::ErrorList;

/// One built-in kind: its names on the wire, what it can be asked, and its strategy.
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version inside the group, such as `v1`.
    pub version: &'static str,
    /// Kind in camel case, such as `Deployment`.
    pub kind: &'static str,
    /// Plural lower-case resource name, the one in paths and RBAC rules.
    pub plural: &'static str,
    /// Singular lower-case name.
    pub singular: &'static str,
    /// The kind that objects are stored as, where that is another version of this one.
    pub version_of: Option<&'static Conversion>,
    /// Short names for clients, such as `deploy`.
    pub short_names: &'static [&'static str],
    /// Categories, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Verbs of the resource itself, alphabetical as discovery prints them. A kind with `create` alone is a
    /// review that is answered and never stored.
    pub verbs: &'static [&'static str],
    /// Subresources, such as `status` and `scale`.
    pub subresources: &'static [Subresource],
    /// Name of the type in the schema tables, such as `io.k8s.api.apps.v1.Deployment`.
    pub schema: &'static str,
    /// Defaulting, validation and what may change.
    pub strategy: &'static dyn Strategy,
    /// Columns of the server-printed table, in order.
    pub columns: &'static [Column],
    /// The cells of one object's row, as many as `columns`; `now` is for ages.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// Field selectors beyond `metadata.name` and `metadata.namespace`: path and how to read it.
    pub selectable: &'static [Selectable],
}

/// How a version of a kind becomes the one that is stored, and back. Both ways are pure, take the object with its
/// `apiVersion` and `kind`, and give it those of the other version.
pub struct Conversion {
    /// The kind that is stored.
    pub stored: KindRef,
    /// From this version to the stored one.
    pub to_stored: fn(&mut Value),
    /// From the stored version to this one.
    pub from_stored: fn(&mut Value),
}

/// A field that selectors may name: its path, and how to read it from an object. Reading looks only at fields that
/// some path of the same row names, and at what is below them.
pub type Selectable = (&'static str, fn(&Value) -> String);

impl Kind {
    /// `group/version`, or `version` for the core group, as in `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
    /// `plural.group`, or `plural` for the core group, as error messages name it.
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
    /// Whether objects of this kind are kept (a review is not).
    pub fn stored(&self) -> bool {
        self.verbs.contains(&"get")
    }
    /// The kind that objects of this one are kept as: itself, or the stored version.
    pub fn home(&'static self) -> KindRef {
        self.version_of.map_or(self, |conversion| conversion.stored)
    }
    /// Whether a CustomResourceDefinition made this kind.
    pub fn is_custom(&self) -> bool {
        self.strategy.is_custom()
    }
    /// Whether a field selector may name this path.
    pub fn supports_field(&self, path: &str) -> bool {
        self.selectable.iter().any(|(name, _)| *name == path)
            || self.strategy.selectable().contains(&path)
            || path == "metadata.name"
            || (self.namespaced && path == "metadata.namespace")
    }
    /// The cells of an object's row.
    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.strategy.cells(object, now).unwrap_or_else(|| (self.cells)(object, now))
    }
    /// The value of a selectable field of an object.
    pub fn field(&self, object: &Value, path: &str) -> Option<String> {
        match path {
            "metadata.name" | "metadata.namespace" => {
                Some(crate::tree::text(object, &format!("/{}", path.replace('.', "/"))))
            }
            _ => match self.selectable.iter().find(|(name, _)| *name == path) {
                Some((_, read)) => Some(read(object)),
                None => self.strategy.field(object, path),
            },
        }
    }
    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }
    fn identity(&self) -> (&'static str, &'static str, &'static str) {
        (self.group, self.plural, self.version)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other) || self.identity() == other.identity()
    }
}
impl Eq for Kind {}
impl PartialOrd for Kind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Kind {
    fn cmp(&self, other: &Self) -> Ordering {
        if std::ptr::eq(self, other) { Ordering::Equal } else { self.identity().cmp(&other.identity()) }
    }
}
impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.api_version(), self.kind)
    }
}

/// A subresource row, as discovery prints it.
pub struct Subresource {
    /// Name after the slash, such as `scale`.
    pub name: &'static str,
    /// Group and version of the kind when it is not the parent's, such as `("autoscaling", "v1")`.
    pub group_version: Option<(&'static str, &'static str)>,
    /// Kind of the body, such as `Scale`.
    pub kind: &'static str,
    /// Name of the body's type in the schema tables; empty where there is no JSON body.
    pub schema: &'static str,
    /// Verbs, alphabetical.
    pub verbs: &'static [&'static str],
}

/// One column of a server-printed table.
pub struct Column {
    /// Heading, such as `Ready`.
    pub name: &'static str,
    /// `string`, `integer`, `date`...
    pub kind: &'static str,
    /// OpenAPI format; `name` marks the name column.
    pub format: &'static str,
    /// What the column says; empty where it says what a field of the schema does.
    pub description: &'static str,
    /// The field whose documentation describes the column, such as `io.k8s.api.core.v1.PodStatus.podIP`; empty
    /// where `description` says it.
    pub documents: &'static str,
    /// 0 for the ordinary output, 1 for `-o wide`.
    pub priority: i32,
}

impl Column {
    /// A string column described by its own words.
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Column { name, kind: "string", format: "", description, documents: "", priority: 0 }
    }
    /// A string column that shows a field of the schema and is described by that field's documentation.
    pub const fn field(name: &'static str, documents: &'static str) -> Self {
        Column { name, kind: "string", format: "", description: "", documents, priority: 0 }
    }
    /// The same column as an integer.
    pub const fn integer(self) -> Self {
        Column { kind: "integer", ..self }
    }
    /// The same column for `-o wide` alone.
    pub const fn wide(self) -> Self {
        Column { priority: 1, ..self }
    }
}

/// Verbs of an ordinary stored kind.
pub const STORED_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
/// Verbs of a subresource that shows and changes a part of the object.
pub const STATUS_VERBS: &[&str] = &["get", "patch", "update"];

/// Which way an object is being changed: the main resource or one of its subresources.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update<'a> {
    /// The object itself: status is kept from the old one.
    Main,
    /// `status` or another subresource whose body is the whole object.
    Sub(&'a str),
}

/// How objects of a kind come to be and change. All functions are pure; the defaults suit a kind without
/// a spec, such as ConfigMap. The registry does metadata (name, uid, times, generation); a strategy does the rest.
pub trait Strategy: Sync {
    /// Fills in upstream's defaults, in place. Runs on every decoded body, before validation.
    fn default(&self, _object: &mut Value) {}
    /// Fills in the times that upstream's defaults set to `now`, right after `default`.
    fn default_times(&self, _object: &mut Value, _now: &str) {}
    /// Drops what a creator may not set (status), and sets what follows from the spec.
    fn prepare_create(&self, _object: &mut Value) {}
    /// Makes `new` what the update may make of it: for `Main` the old status is put back, for
    /// `Sub("status")` everything but status (and metadata that status may change) comes from `old`.
    fn prepare_update(&self, _new: &mut Value, _old: &Value, _update: Update<'_>) {}
    /// Sets the times of what an update changed, where the kind leaves them to the server. Runs after
    /// `prepare_update`; `now` is as objects carry times.
    fn stamp_update(&self, _new: &mut Value, _old: &Value, _now: &str) {}
    /// Checks a new object; metadata has been checked before.
    fn validate(&self, _object: &Value) -> ErrorList {
        ErrorList::new()
    }
    /// Checks a change, immutable fields included; metadata has been checked before.
    fn validate_update(&self, _new: &Value, _old: &Value, _update: Update<'_>) -> ErrorList {
        ErrorList::new()
    }
    /// What every answer about the kind warns of, where the kind is one to leave behind.
    fn deprecation(&self) -> Option<&'static str> {
        None
    }
    /// Texts for `Warning` headers.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }
    /// Checks a name, or with `prefix` a `generateName`, whose trailing dash does not count. Returns upstream's
    /// messages.
    fn check_name(&self, name: &str, prefix: bool) -> Vec<String>;
    /// Whether `metadata.generation` counts changes of the spec.
    fn counts_generation(&self) -> bool {
        false
    }
    /// Whether this change counts, where `counts_generation`: by default any change of the spec.
    fn bumps_generation(&self, new: &Value, old: &Value, _update: Update<'_>) -> bool {
        new.get("spec") != old.get("spec")
    }
    /// Whether an update may create the object (Lease, Event and the like).
    fn create_on_update(&self) -> bool {
        false
    }
    /// Whether an update without a resourceVersion is taken as it comes.
    fn unconditional_update(&self) -> bool {
        true
    }
    /// The cells of an object's row, where the row's own function does not say them.
    fn cells(&self, _object: &Value, _now: Timestamp) -> Option<Vec<Value>> {
        None
    }
    /// The value of a selectable field that the row does not list.
    fn field(&self, _object: &Value, _path: &str) -> Option<String> {
        None
    }
    /// The selectable fields that the row does not list.
    fn selectable(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Whether the kind's rules are those of its CustomResourceDefinition.
    fn is_custom(&self) -> bool {
        false
    }
    /// Seconds of grace that a delete gives when the client names none; `None`: deleted at once.
    /// `asked` is the client's wish. Pod: `terminationGracePeriodSeconds`, 0 where it never ran.
    fn grace_seconds(&self, _object: &Value, _asked: Option<i64>) -> Option<i64> {
        None
    }
}

/// The strategy of kinds that have nothing of their own: names are DNS subdomains.
pub struct NoStrategy;

impl Strategy for NoStrategy {
    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        crate::names::dns_subdomain(crate::names::stem(name, prefix))
    }
}
