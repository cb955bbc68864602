//! The form itself: types, their fields, and what is known of each.
//!
//! A `Schema` is built once and never changes; a `TypeId` is only good for the schema that gave it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::protobuf::Layouts;
use crate::table;

/// Index of a type in its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeId(pub(crate) usize);

/// All types that are known together.
#[derive(Debug, Default)]
pub struct Schema {
    pub(crate) types: Vec<Type>,
    pub(crate) by_name: BTreeMap<String, TypeId>,
    /// The types are those of structural schemas, which have no Go types behind them.
    pub(crate) structural: bool,
    /// Types by `apiVersion kind`.
    pub(crate) by_kind: BTreeMap<String, TypeId>,
    /// How the types are written in the binary form.
    pub(crate) layouts: Layouts,
}

/// A struct: a name and its fields.
#[derive(Debug)]
pub struct Type {
    /// Full name, such as `io.k8s.api.apps.v1.Deployment`.
    pub name: String,
    /// Whether its fields have one owner together (`x-kubernetes-map-type: atomic`).
    pub atomic: bool,
    /// Whether it may have fields that nobody declared.
    pub open: bool,
    /// The kinds that this type is the body of.
    pub kinds: Vec<GroupVersionKind>,
    /// Fields by JSON name.
    pub fields: BTreeMap<String, Field>,
}

/// Group, version and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind.
    pub kind: String,
}

/// What a field may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    String,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Floating-point number.
    Double,
    /// Truth value.
    Bool,
    /// Base64 text.
    Bytes,
    /// RFC 3339 with seconds.
    Time,
    /// RFC 3339 with microseconds.
    MicroTime,
    /// Resource quantity.
    Quantity,
    /// Integer or text.
    IntOrString,
    /// Any JSON.
    Any,
    /// Any JSON, of which objects are merged field by field.
    Deduced,
    /// A struct.
    Object(TypeId),
    /// A list.
    List(Box<Shape>),
    /// A map from text.
    Map(Box<Shape>),
}

/// How lists and maps are merged and owned by server-side apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Topology {
    /// Nothing said: lists are atomic, maps and structs granular.
    #[default]
    Unsaid,
    /// One owner for the whole.
    Atomic,
    /// A set of scalars.
    Set,
    /// A list of structs that these fields identify.
    Keyed(Vec<String>),
}

/// How strategic merge patches treat a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatchRule {
    /// Lists are merged, not replaced.
    pub merge: bool,
    /// `$retainKeys` is understood.
    pub retain_keys: bool,
    /// What identifies an element; empty for scalars.
    pub key: String,
}

/// What a round trip writes for a field's zero value.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Zero {
    /// Nothing.
    #[default]
    Drop,
    /// The zero itself, when it was given.
    Keep,
    /// This, even when nothing was given.
    Always(Value),
}

/// One field of a struct.
#[derive(Debug)]
pub struct Field {
    /// What it may hold.
    pub shape: Shape,
    /// Protobuf number; two where the field sits in an embedded message.
    pub numbers: Vec<u32>,
    /// Whether the published schema requires it.
    pub required: bool,
    /// Ownership and merging under server-side apply.
    pub topology: Topology,
    /// Strategic merge.
    pub patch: PatchRule,
    /// Go's name for the type, as error texts print it.
    pub go: String,
    /// Go's name for the type of an element.
    pub go_element: String,
    /// The embedded Go struct that the field is in, as error texts print it; mostly empty.
    pub embedded: String,
    /// What its zero value becomes.
    pub zero: Zero,
    /// The published default.
    pub default: Option<Value>,
    /// The published values, where only some texts are meant.
    pub values: Vec<String>,
}

static BUILTIN: LazyLock<Schema> = LazyLock::new(|| table::parse(include_str!("../data/types.tsv")));

impl Schema {
    /// The types of the built-in kinds.
    pub fn builtin() -> &'static Schema {
        &BUILTIN
    }
    /// The type of that full name.
    pub fn get(&self, type_name: &str) -> Option<&Type> {
        self.id(type_name).map(|id| self.at(id))
    }
    /// The index of the type of that full name.
    pub fn id(&self, type_name: &str) -> Option<TypeId> {
        self.by_name.get(type_name).copied()
    }
    /// The type of an object that says what it is.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> Option<&Type> {
        self.by_kind.get(&format!("{api_version} {kind}")).map(|id| self.at(*id))
    }
    /// The type of that index.
    pub fn at(&self, id: TypeId) -> &Type {
        &self.types[id.0]
    }
    /// All types, by name.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.by_name.values().map(|id| self.at(*id))
    }
}

impl Type {
    /// The name without its package.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or(&self.name)
    }
}
