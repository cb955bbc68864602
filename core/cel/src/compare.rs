//! Equality and order of values.
//!
//! Numbers are equal when they are the same number, whatever their types; lists of data are compared as their schema
//! says: by order, as sets, or by keys.

use std::cmp::Ordering;

use crate::declare::Merge;
use crate::deep::deeper;
use crate::error::EvalError;
use crate::value::{Key, List, Map, Object, Value};

/// Whether the values are the same.
pub(crate) fn equal<'a>(one: &Value<'a>, two: &Value<'a>) -> Result<bool, EvalError> {
    Ok(match (one, two) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::String(one), Value::String(two)) => **one == **two,
        (Value::Bytes(one), Value::Bytes(two)) => one == two,
        (Value::Timestamp(one), Value::Timestamp(two)) => one == two,
        (Value::Duration(one), Value::Duration(two)) => one == two,
        (Value::Type(one), Value::Type(two)) => one.name() == two.name(),
        (Value::Thing(one), Value::Thing(two)) => one.equals(two),
        (Value::Optional(None), Value::Optional(None)) => true,
        (Value::Optional(Some(one)), Value::Optional(Some(two))) => equal(one, two)?,
        (Value::List(one), Value::List(two)) => deeper(|| lists(one, two))?,
        (Value::Map(one), Value::Map(two)) => deeper(|| maps(one, two))?,
        (Value::Struct(one), Value::Struct(two)) => deeper(|| objects(one, two))?,
        _ => numbers(one, two) == Some(Ordering::Equal),
    })
}

/// The order of two values of types that have one.
pub(crate) fn order<'a>(one: &Value<'a>, two: &Value<'a>) -> Option<Ordering> {
    match (one, two) {
        (Value::Bool(one), Value::Bool(two)) => Some(one.cmp(two)),
        (Value::String(one), Value::String(two)) => Some((**one).cmp(two)),
        (Value::Bytes(one), Value::Bytes(two)) => Some(one.cmp(two)),
        (Value::Timestamp(one), Value::Timestamp(two)) => Some(one.cmp(two)),
        (Value::Duration(one), Value::Duration(two)) => Some(one.cmp(two)),
        _ => numbers(one, two),
    }
}

/// Whether the value is a number that is none.
pub(crate) fn is_nan(value: &Value<'_>) -> bool {
    matches!(value, Value::Double(n) if n.is_nan())
}

fn numbers(one: &Value<'_>, two: &Value<'_>) -> Option<Ordering> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => Some(one.cmp(two)),
        (Value::Uint(one), Value::Uint(two)) => Some(one.cmp(two)),
        (Value::Int(one), Value::Uint(two)) => Some(i128::from(*one).cmp(&i128::from(*two))),
        (Value::Uint(one), Value::Int(two)) => Some(i128::from(*one).cmp(&i128::from(*two))),
        (Value::Double(one), Value::Double(two)) => one.partial_cmp(two),
        (Value::Int(one), Value::Double(two)) => with_double(*one as f64, *two, i64::MIN as f64, i64::MAX as f64),
        (Value::Uint(one), Value::Double(two)) => with_double(*one as f64, *two, 0.0, u64::MAX as f64),
        (Value::Double(_), Value::Int(_) | Value::Uint(_)) => numbers(two, one).map(Ordering::reverse),
        _ => None,
    }
}

/// An integer, as the nearest number, and a number: within the integer's range they are compared as numbers.
fn with_double(one: f64, two: f64, least: f64, most: f64) -> Option<Ordering> {
    match () {
        () if two > most => Some(Ordering::Less),
        () if two < least => Some(Ordering::Greater),
        () => one.partial_cmp(&two),
    }
}

fn lists<'a>(one: &List<'a>, two: &List<'a>) -> Result<bool, EvalError> {
    if one.len() != two.len() {
        return Ok(false);
    }
    let (left, right) = (one.items()?, two.items()?);
    // wire: the list on the left says how both are compared.
    match one {
        List::Data(_, _, Merge::Set) => Ok(contains_all(&left, &right)? && contains_all(&right, &left)?),
        List::Data(_, _, Merge::Keyed(keys)) => keyed(&left, &right, keys),
        _ => {
            for (one, two) in left.iter().zip(&right) {
                if !equal(one, two)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
}

/// Whether every part is in the whole.
pub(crate) fn contains_all<'a>(whole: &[Value<'a>], parts: &[Value<'a>]) -> Result<bool, EvalError> {
    for part in parts {
        if !contains(whole, part)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the value is among those.
pub(crate) fn contains<'a>(whole: &[Value<'a>], part: &Value<'a>) -> Result<bool, EvalError> {
    for value in whole {
        if equal(part, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether both lists have the same elements by the fields that identify them.
fn keyed<'a>(one: &[Value<'a>], two: &[Value<'a>], keys: &[String]) -> Result<bool, EvalError> {
    for value in one {
        let mut found = false;
        for other in two {
            if same_keys(value, other, keys)? {
                found = equal(value, other)?;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether both elements have the same identity.
pub(crate) fn same_keys<'a>(one: &Value<'a>, two: &Value<'a>, keys: &[String]) -> Result<bool, EvalError> {
    for key in keys {
        let same = match (raw_field(one, key), raw_field(two, key)) {
            (Some(one), Some(two)) => equal(&one?, &two?)?,
            (None, None) => true,
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The field of that name in the data.
fn raw_field<'a>(value: &Value<'a>, name: &str) -> Option<Result<Value<'a>, EvalError>> {
    match value {
        Value::Struct(object) => object.field(&crate::escape::escape(name)?),
        Value::Map(map) => map.get(&Key::String(crate::value::Text::Made(name.into()))),
        _ => None,
    }
}

fn maps<'a>(one: &Map<'a>, two: &Map<'a>) -> Result<bool, EvalError> {
    if one.len() != two.len() {
        return Ok(false);
    }
    for key in one.keys() {
        let (Some(left), Some(right)) = (one.get(&key), two.get(&key)) else { return Ok(false) };
        if !equal(&left?, &right?)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn objects<'a>(one: &Object<'a>, two: &Object<'a>) -> Result<bool, EvalError> {
    let (of, other) = match (one, two) {
        (Object::Data(_, of), Object::Data(_, other)) => (*of, *other),
        (Object::Made(of, _), Object::Made(other, _)) => (&**of, &**other),
        (Object::Data(_, of), Object::Made(other, _)) => (*of, &**other),
        (Object::Made(of, _), Object::Data(_, other)) => (&**of, *other),
        _ => return Ok(false),
    };
    if of != other {
        return Ok(false);
    }
    for (name, _) in of.fields() {
        let same = match (one.field(name), two.field(name)) {
            (None, None) => true,
            (Some(one), Some(two)) => equal(&one?, &two?)?,
            _ => false,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}
