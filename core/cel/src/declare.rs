//! What data looks like: types with the names, sizes and list kinds that a schema gives.
//!
//! A declaration serves twice: the checker and the estimate of costs read it, and so does the evaluation, which
//! walks JSON by it. Parts of a schema that expressions may not see have no declaration.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::escape::escape;
use crate::limits::REQUEST_BYTES;
use crate::types::Type;

/// Names of objects are at most this long.
const NAME_LENGTH: u64 = 253;
/// `""`, and of dates and durations the shortest and longest texts with their quotes.
const STRING_BYTES: u64 = 2;
const DATE_BYTES: u64 = 12;
const TIME_BYTES: u64 = 21;
const TIME_LENGTH: u64 = 32;
const DURATION_BYTES: u64 = 3;
const DURATION_LENGTH: u64 = 32;

/// What one piece of data looks like.
#[derive(Clone, Debug)]
pub struct Declared {
    pub(crate) shape: Shape,
    /// Type that the checker sees.
    ty: Type,
    /// The most elements, entries or bytes.
    max: u64,
    /// The fewest bytes that it can have in a request.
    min_bytes: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// Whatever it is.
    Dyn,
    Bool,
    Int,
    Double,
    String,
    Bytes,
    /// RFC 3339.
    Time,
    Date,
    Duration,
    List(Arc<Declared>, Merge),
    Map(Arc<Declared>),
    Struct(Arc<Struct>),
}

/// How lists are compared and added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// By order.
    Atomic,
    /// As sets.
    Set,
    /// By the fields that identify an element.
    Keyed(Vec<String>),
}

/// An object with its fields.
#[derive(Debug)]
pub struct Struct {
    name: String,
    /// By the name that expressions use.
    fields: BTreeMap<String, Field>,
    /// Whether it has any field at all.
    open: bool,
}

/// A field of an object.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in the data.
    pub name: String,
    /// What it holds.
    pub declared: Declared,
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
impl Eq for Struct {}

impl Struct {
    /// An object type of that name, with fields by their names in the data. Names that expressions cannot say at all
    /// are left out.
    pub fn new(name: impl Into<String>, fields: impl IntoIterator<Item = (String, Declared)>) -> Self {
        let fields = fields.into_iter().filter_map(|(name, declared)| {
            let escaped = escape(&name)?;
            Some((escaped, Field { name, declared }))
        });
        Struct { name: name.into(), fields: fields.collect(), open: false }
    }
    /// An object type with whatever fields are asked of it, of any type.
    pub fn open(name: impl Into<String>) -> Self {
        Struct { name: name.into(), fields: BTreeMap::new(), open: true }
    }
    /// Its full name.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The field that expressions call that.
    pub fn field(&self, name: &str) -> Option<&Field> {
        // wire: a reserved word may also be written as it is after a dot.
        self.fields.get(name).or_else(|| self.fields.get(&escape(name).filter(|e| e.starts_with("__"))?))
    }
    /// What the field that expressions call that looks like.
    pub(crate) fn declared(&self, name: &str) -> Option<&Declared> {
        static ANYTHING: Declared = Declared::DYNAMIC;
        if self.open { Some(&ANYTHING) } else { self.field(name).map(|field| &field.declared) }
    }
    /// The name in the data of the field that expressions call that.
    pub(crate) fn data_name<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        if self.open { Some(name) } else { self.field(name).map(|field| &*field.name) }
    }
    /// Names and fields, as expressions call them.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Field)> {
        self.fields.iter().map(|(name, field)| (name.as_str(), field))
    }
}

impl Declared {
    fn scalar(shape: Shape, ty: Type, max: u64, min_bytes: u64) -> Self {
        Declared { shape, ty, max, min_bytes }
    }
    /// Anything, as a constant.
    pub(crate) const DYNAMIC: Declared = Declared { shape: Shape::Dyn, ty: Type::Dyn, max: 0, min_bytes: 1 };

    /// Anything.
    pub fn dynamic() -> Self {
        Self::DYNAMIC
    }
    /// What the caller makes a value of that type for.
    pub fn of_type(ty: Type) -> Self {
        Self::scalar(Shape::Dyn, ty, 0, 1)
    }
    /// A truth value.
    pub fn bool() -> Self {
        Self::scalar(Shape::Bool, Type::Bool, 0, 4)
    }
    /// An integer.
    pub fn int() -> Self {
        Self::scalar(Shape::Int, Type::Int, 0, 1)
    }
    /// A number.
    pub fn double() -> Self {
        Self::scalar(Shape::Double, Type::Double, 0, 1)
    }
    /// Text of so many bytes at most.
    pub fn string(max: Option<u64>) -> Self {
        Self::scalar(Shape::String, Type::String, max.unwrap_or(REQUEST_BYTES - 2), STRING_BYTES)
    }
    /// Bytes, base64 in the data.
    pub fn bytes(max: Option<u64>) -> Self {
        Self::scalar(Shape::Bytes, Type::Bytes, max.unwrap_or(REQUEST_BYTES - 2), STRING_BYTES)
    }
    /// An instant, RFC 3339 in the data.
    pub fn time() -> Self {
        Self::scalar(Shape::Time, Type::Timestamp, TIME_LENGTH, TIME_BYTES)
    }
    /// A date.
    pub fn date() -> Self {
        Self::scalar(Shape::Date, Type::Timestamp, DATE_BYTES, DATE_BYTES)
    }
    /// A span of time.
    pub fn duration() -> Self {
        Self::scalar(Shape::Duration, Type::Duration, DURATION_LENGTH, DURATION_BYTES)
    }
    /// A list of those.
    pub fn list(of: Declared, max: Option<u64>) -> Self {
        Self::list_merged(of, max, Merge::Atomic)
    }
    fn list_merged(of: Declared, max: Option<u64>, merge: Merge) -> Self {
        let max = max.unwrap_or((REQUEST_BYTES - 2) / (of.min_bytes + 1));
        Declared { ty: Type::list(of.ty.clone()), shape: Shape::List(Arc::new(of), merge), max, min_bytes: 2 }
    }
    /// A map of those.
    pub fn map(of: Declared, max: Option<u64>) -> Self {
        let max = max.unwrap_or((REQUEST_BYTES - 2) / (of.min_bytes + 6));
        Declared { ty: Type::map(Type::String, of.ty.clone()), shape: Shape::Map(Arc::new(of)), max, min_bytes: 2 }
    }
    /// An object.
    pub fn object(of: Struct) -> Self {
        Self::object_of(Arc::new(of), 2)
    }
    fn object_of(of: Arc<Struct>, min_bytes: u64) -> Self {
        Declared { ty: Type::Struct(of.clone()), shape: Shape::Struct(of), max: 0, min_bytes }
    }
    /// The type that expressions see.
    pub fn ty(&self) -> &Type {
        &self.ty
    }
    /// The most elements, entries or bytes.
    pub fn max_elements(&self) -> u64 {
        self.max
    }
    /// How often something that looks like this can be in one request: what an estimate is multiplied by where the
    /// schema sets no bound.
    pub fn max_cardinality(&self) -> u64 {
        REQUEST_BYTES / (self.min_bytes + 1)
    }
    /// What a path of names, `@items`, `@keys` and `@values` leads to.
    pub(crate) fn at(&self, step: &str) -> Option<&Declared> {
        match (&self.shape, step) {
            (Shape::List(of, _), "@items" | "@values") | (Shape::Map(of), "@items" | "@values") => Some(of),
            (Shape::Map(_), "@keys") => Some(&KEY),
            (Shape::Struct(of), name) => of.fields.get(name).map(|field| &field.declared),
            _ => None,
        }
    }
    /// What data of an OpenAPI schema looks like to expressions, if they may see it. `root` says that it is a whole
    /// object with kind and metadata; `name` is what its type is called.
    pub fn from_openapi(schema: &Value, root: bool, name: &str) -> Option<Self> {
        from_openapi(schema, root, name, crate::limits::DEPTH)
    }
}

/// Keys have no bound of their own.
static KEY: Declared = Declared { shape: Shape::String, ty: Type::String, max: 0, min_bytes: STRING_BYTES };

fn number(schema: &Value, keyword: &str) -> Option<u64> {
    let value = schema.get(keyword)?;
    value.as_u64().or_else(|| value.as_i64().map(|_| 0))
}

fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool).unwrap_or(false)
}

fn from_openapi(schema: &Value, root: bool, name: &str, depth: usize) -> Option<Declared> {
    let depth = depth.checked_sub(1)?;
    if flag(schema, "x-kubernetes-int-or-string") {
        let max = number(schema, "maxLength").map_or(REQUEST_BYTES - 2, |length| length * 4);
        return Some(Declared { max, ..Declared::dynamic() });
    }
    let kind = if root { "object" } else { schema.get("type").and_then(Value::as_str)? };
    match kind {
        "array" => {
            let items = schema.get("items")?;
            let of = from_openapi(items, is_root(items), &format!("{name}.@idx"), depth)?;
            Some(Declared::list_merged(of, number(schema, "maxItems"), merge(schema)))
        }
        "object" => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => {
                let of = from_openapi(values, is_root(values), &format!("{name}.@elem"), depth)?;
                Some(Declared::map(of, number(schema, "maxProperties")))
            }
            _ => Some(object(schema, root, name, depth)),
        },
        "string" => Some(string(schema)),
        "boolean" => Some(Declared::bool()),
        "number" => Some(Declared::double()),
        "integer" => Some(Declared::int()),
        _ => None,
    }
}

fn is_root(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-embedded-resource")
}

fn merge(schema: &Value) -> Merge {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => Merge::Set,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            Merge::Keyed(keys.into_iter().flatten().filter_map(|k| k.as_str().map(str::to_owned)).collect())
        }
        _ => Merge::Atomic,
    }
}

fn object(schema: &Value, root: bool, name: &str, depth: usize) -> Declared {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let required =
        |name: &str| schema.get("required").and_then(Value::as_array).is_some_and(|all| all.iter().any(|r| r == name));
    let mut fields = BTreeMap::new();
    let mut min_bytes = 2;
    for (property, schema) in properties {
        if root && is_identity(property) {
            continue;
        }
        let Some(declared) = from_openapi(schema, is_root(schema), &format!("{name}.{property}"), depth) else {
            continue;
        };
        if required(property) && schema.get("default").is_none() {
            min_bytes += property.len() as u64 + declared.min_bytes + 4;
        }
        fields.insert(property.clone(), declared);
    }
    if root {
        for (property, declared) in identity(properties, name) {
            if required(property) {
                min_bytes += property.len() as u64 + declared.min_bytes + 4;
            }
            fields.insert(property.to_owned(), declared);
        }
    }
    Declared::object_of(Arc::new(Struct::new(name, fields)), min_bytes)
}

fn is_identity(property: &str) -> bool {
    matches!(property, "kind" | "apiVersion" | "metadata")
}

/// What every whole object has, whatever its schema says.
fn identity(properties: &Map<String, Value>, name: &str) -> [(&'static str, Declared); 3] {
    let metadata = properties.get("metadata").and_then(|m| m.get("properties"));
    let limited = |property: &str, limit: u64| {
        let own = metadata.and_then(|m| m.get(property)).and_then(|schema| number(schema, "maxLength"));
        Declared::string(Some(own.map_or(limit, |own| own.min(limit)) * 4))
    };
    let names = [
        ("name".to_owned(), limited("name", NAME_LENGTH)),
        ("generateName".to_owned(), limited("generateName", NAME_LENGTH - 1)),
    ];
    let metadata = Declared::object(Struct::new(format!("{name}.metadata"), names));
    [("kind", Declared::string(None)), ("apiVersion", Declared::string(None)), ("metadata", metadata)]
}

fn string(schema: &Value) -> Declared {
    let length = number(schema, "maxLength");
    match schema.get("format").and_then(Value::as_str) {
        Some("byte") => Declared::bytes(length),
        Some("duration") => Declared::duration(),
        Some("date") => Declared::date(),
        Some("date-time") => Declared::time(),
        _ => {
            let values = schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty());
            let longest = |values: &Vec<Value>| values.iter().filter_map(Value::as_str).map(str::len).max();
            let listed = values.map(|values| longest(values).unwrap_or(0) as u64);
            Declared::string(length.map(|characters| characters * 4).or(listed))
        }
    }
}
