//! JSON as values, by what is declared of it.

use base64::engine::general_purpose::STANDARD;
use base64::{DecodeError, Engine};
use serde_json::Value as Json;

use crate::declare::{Declared, Merge, Shape};
use crate::error::EvalError;
use crate::time;
use crate::value::{List, Map, Object, Text, Value};

static DYNAMIC: Declared = Declared::DYNAMIC;

/// JSON of any look.
pub(crate) fn read_any(json: &Json) -> Value<'_> {
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(n), _) => Value::Int(n),
            (None, Some(n)) => Value::Uint(n),
            (None, None) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Text::Data(text)),
        Json::Array(items) => Value::List(List::Data(items, &DYNAMIC, &Merge::Atomic)),
        Json::Object(map) => Value::Map(Map::Data(map, &DYNAMIC)),
    }
}

/// JSON that should look as declared.
pub(crate) fn read<'a>(json: &'a Json, declared: &'a Declared) -> Result<Value<'a>, EvalError> {
    let value = match (&declared.shape, json) {
        (_, Json::Null) => Value::Null,
        (Shape::Dyn, json) => read_any(json),
        (Shape::Bool, Json::Bool(b)) => Value::Bool(*b),
        (Shape::Int, Json::Number(n)) => match n.as_i64() {
            Some(n) => Value::Int(n),
            None => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        (Shape::Double, Json::Number(n)) => Value::Double(n.as_f64().unwrap_or(f64::NAN)),
        (Shape::String, Json::String(text)) => Value::String(Text::Data(text)),
        (Shape::Bytes, Json::String(text)) => {
            let wrong = |error| {
                let at = match error {
                    DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
                    DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
                };
                EvalError::new(format!("Invalid byte formatted string {text}: illegal base64 data at input byte {at}"))
            };
            Value::Bytes(STANDARD.decode(text).map_err(wrong)?.into())
        }
        (Shape::Time, Json::String(text)) => {
            let at = time::parse_timestamp(text);
            Value::Timestamp(at.ok_or_else(|| EvalError::new(format!("Invalid date-time formatted string {text}")))?)
        }
        (Shape::Date, Json::String(text)) => {
            let at = time::parse_date(text);
            Value::Timestamp(at.ok_or_else(|| EvalError::new(format!("Invalid date formatted string {text}")))?)
        }
        (Shape::Duration, Json::String(text)) => {
            let span = time::parse_duration(text);
            Value::Duration(span.ok_or_else(|| EvalError::new(format!("Invalid duration formatted string {text}")))?)
        }
        (Shape::List(of, merge), Json::Array(items)) => Value::List(List::Data(items, of, merge)),
        (Shape::Map(of), Json::Object(map)) => Value::Map(Map::Data(map, of)),
        (Shape::Struct(of), Json::Object(map)) => Value::Struct(Object::Data(map, of)),
        _ => return Err(EvalError::new("invalid data, expected a value of another type")),
    };
    Ok(value)
}
