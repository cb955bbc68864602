//! Values while an expression runs.
//!
//! Data stays the JSON that it is: lists, maps and objects of it are views, and a value is made of a part only when
//! it is asked for. What an expression makes is shared and never changes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::data;
use crate::declare::{Declared, Merge, Struct};
use crate::error::EvalError;
use crate::thing::Thing;
use crate::time::Instant;
use crate::types::Type;

/// A value.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer without sign.
    Uint(u64),
    /// A number.
    Double(f64),
    /// Text.
    String(Text<'a>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// An instant.
    Timestamp(Instant),
    /// A span of time, in nanoseconds.
    Duration(i64),
    /// A list.
    List(List<'a>),
    /// A map.
    Map(Map<'a>),
    /// An object with declared fields.
    Struct(Object<'a>),
    /// A value or nothing.
    Optional(Option<Arc<Value<'a>>>),
    /// A type.
    Type(Arc<Type>),
    /// What only functions know.
    Thing(Thing<'a>),
}

/// Text that belongs to the data or was made.
#[derive(Clone, Debug)]
pub enum Text<'a> {
    /// A part of the data.
    Data(&'a str),
    /// Made while running.
    Made(Arc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Text::Data(text) => text,
            Text::Made(text) => text,
        }
    }
}

/// A list.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Of the data.
    Data(&'a [Json], &'a Declared, &'a Merge),
    /// Made while running.
    Made(Arc<Vec<Value<'a>>>),
    /// One after the other.
    Joined(Arc<(List<'a>, List<'a>)>, usize),
}

/// A map.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Of the data.
    Data(&'a serde_json::Map<String, Json>, &'a Declared),
    /// Made while running.
    Made(Arc<BTreeMap<Key<'a>, Value<'a>>>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer without sign.
    Uint(u64),
    /// Text.
    String(Text<'a>),
}

/// An object with declared fields.
#[derive(Clone, Debug)]
pub enum Object<'a> {
    /// Of the data.
    Data(&'a serde_json::Map<String, Json>, &'a Struct),
    /// Made while running, fields by their names in the data.
    Made(Arc<Struct>, Arc<BTreeMap<Arc<str>, Value<'a>>>),
    /// Variables that are expressions: the activation computes each when it is asked for.
    Composed,
}

impl<'a> Value<'a> {
    /// Text that was made.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Value::String(Text::Made(text.into()))
    }
    /// A list that was made.
    pub fn list(values: Vec<Value<'a>>) -> Self {
        Value::List(List::Made(Arc::new(values)))
    }
    /// A value, where none would have been possible.
    pub fn some(value: Value<'a>) -> Self {
        Value::Optional(Some(Arc::new(value)))
    }
    /// JSON of any look.
    pub fn of(json: &'a Json) -> Self {
        data::read_any(json)
    }
    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }
    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
    /// Its type, as far as the value shows.
    pub(crate) fn type_of(&self) -> Type {
        match self {
            Value::Null => Type::Null,
            Value::Bool(_) => Type::Bool,
            Value::Int(_) => Type::Int,
            Value::Uint(_) => Type::Uint,
            Value::Double(_) => Type::Double,
            Value::String(_) => Type::String,
            Value::Bytes(_) => Type::Bytes,
            Value::Timestamp(_) => Type::Timestamp,
            Value::Duration(_) => Type::Duration,
            Value::List(_) => Type::list(Type::Dyn),
            Value::Map(_) | Value::Struct(Object::Data(..) | Object::Composed) => Type::map(Type::Dyn, Type::Dyn),
            Value::Struct(Object::Made(of, _)) => Type::Struct(of.clone()),
            Value::Optional(_) => Type::optional(Type::Dyn),
            Value::Type(_) => Type::Type(None),
            Value::Thing(thing) => Type::Opaque(thing.kind()),
        }
    }
    /// The number of characters, bytes, elements or entries; none for what has no size.
    pub(crate) fn size(&self) -> Option<usize> {
        match self {
            Value::String(text) => Some(if text.is_ascii() { text.len() } else { text.chars().count() }),
            Value::Bytes(bytes) => Some(bytes.len()),
            Value::List(list) => Some(list.len()),
            Value::Map(map) => Some(map.len()),
            _ => None,
        }
    }
    /// Whether it is what an unset field would be.
    pub(crate) fn is_zero(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Int(n) | Value::Duration(n) => *n == 0,
            Value::Uint(n) => *n == 0,
            Value::Double(n) => *n == 0.0,
            Value::String(text) => text.is_empty(),
            Value::Optional(of) => of.is_none(),
            Value::Timestamp(at) => *at == Instant::ZERO,
            Value::Bytes(_) | Value::List(_) | Value::Map(_) => self.size() == Some(0),
            Value::Struct(Object::Data(map, _)) => map.is_empty(),
            Value::Struct(Object::Made(_, fields)) => fields.is_empty(),
            Value::Struct(Object::Composed) | Value::Type(_) | Value::Thing(_) => false,
        }
    }
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            List::Data(items, ..) => items.len(),
            List::Made(items) => items.len(),
            List::Joined(_, len) => *len,
        }
    }
    pub(crate) fn get(&self, at: usize) -> Option<Result<Value<'a>, EvalError>> {
        let (mut list, mut at) = (self, at);
        loop {
            match list {
                List::Data(items, declared, _) => return items.get(at).map(|item| data::read(item, declared)),
                List::Made(items) => return items.get(at).cloned().map(Ok),
                List::Joined(both, _) => {
                    let left = both.0.len();
                    if at < left {
                        list = &both.0;
                    } else {
                        at -= left;
                        list = &both.1;
                    }
                }
            }
        }
    }
    /// The element at that place.
    pub fn at(&self, place: usize) -> Result<Value<'a>, EvalError> {
        self.get(place).unwrap_or_else(|| Err(EvalError::new(format!("index out of bounds: {place}"))))
    }
    /// All elements.
    pub(crate) fn items(&self) -> Result<Vec<Value<'a>>, EvalError> {
        let mut items = Vec::with_capacity(self.len());
        let mut left = vec![self];
        while let Some(list) = left.pop() {
            match list {
                List::Data(values, declared, _) => {
                    for value in *values {
                        items.push(data::read(value, declared)?);
                    }
                }
                List::Made(values) => items.extend(values.iter().cloned()),
                List::Joined(both, _) => left.extend([&both.1, &both.0]),
            }
        }
        Ok(items)
    }
    /// This list and then the other.
    pub(crate) fn join(self, other: List<'a>) -> List<'a> {
        if other.len() == 0 {
            return self;
        }
        if self.len() == 0 {
            return other;
        }
        let len = self.len() + other.len();
        List::Joined(Arc::new((self, other)), len)
    }
}

impl<'a> Map<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Map::Data(map, _) => map.len(),
            Map::Made(map) => map.len(),
        }
    }
    pub(crate) fn get(&self, key: &Key<'a>) -> Option<Result<Value<'a>, EvalError>> {
        match (self, key) {
            (Map::Data(map, declared), Key::String(key)) => map.get(&**key).map(|value| data::read(value, declared)),
            (Map::Data(..), _) => None,
            (Map::Made(map), key) => map.get(key).cloned().map(Ok),
        }
    }
    /// The keys, in order.
    pub(crate) fn keys(&self) -> Vec<Key<'a>> {
        match self {
            Map::Data(map, _) => map.keys().map(|key| Key::String(Text::Data(key))).collect(),
            Map::Made(map) => map.keys().cloned().collect(),
        }
    }
}

impl<'a> Object<'a> {
    /// The field that expressions call that, if it is set.
    pub(crate) fn field(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
        match self {
            Object::Data(map, of) => {
                let field = of.field(name)?;
                // wire: a field that is null is not there.
                let value = map.get(&field.name).filter(|value| !value.is_null())?;
                Some(data::read(value, &field.declared))
            }
            Object::Made(of, fields) => fields.get(of.data_name(name)?).cloned().map(Ok),
            Object::Composed => None,
        }
    }
}

impl<'a> Key<'a> {
    /// The key that a value is; none if it cannot be one.
    pub(crate) fn of(value: &Value<'a>) -> Option<Key<'a>> {
        Some(match value {
            Value::Bool(b) => Key::Bool(*b),
            Value::Int(n) => Key::Int(*n),
            Value::Uint(n) => Key::Uint(*n),
            Value::String(text) => Key::String(text.clone()),
            _ => return None,
        })
    }
    /// As `of`, but a number that is whole finds the integer it is.
    pub(crate) fn to_find(value: &Value<'a>) -> Option<Key<'a>> {
        match value {
            Value::Double(n) if n.fract() == 0.0 && *n >= -9.2e18 && *n <= 9.2e18 => Some(Key::Int(*n as i64)),
            _ => Key::of(value),
        }
    }
    pub(crate) fn value(&self) -> Value<'a> {
        match self {
            Key::Bool(b) => Value::Bool(*b),
            Key::Int(n) => Value::Int(*n),
            Key::Uint(n) => Value::Uint(*n),
            Key::String(text) => Value::String(text.clone()),
        }
    }
    fn rank(&self) -> (u8, i128) {
        match self {
            Key::Bool(b) => (0, i128::from(*b)),
            Key::Int(n) => (1, i128::from(*n)),
            Key::Uint(n) => (1, i128::from(*n)),
            Key::String(_) => (2, 0),
        }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::String(one), Key::String(two)) => (**one).cmp(two),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}
impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Key<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Key<'_> {}
