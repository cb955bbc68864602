//! Values as JSON, and whether objects that were made are named by where they stand.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map as JsonMap, Value as Json};

use crate::deep::deeper;
use crate::error::EvalError;
use crate::library::convert::{quoted, shown};
use crate::value::{Key, Object, Value};

impl Value<'_> {
    /// The value as JSON; an error for what JSON cannot say.
    pub fn to_json(&self) -> Result<Json, EvalError> {
        Ok(match self {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Int(n) => Json::from(*n),
            Value::Uint(n) => Json::from(*n),
            Value::Double(n) => Json::from(*n),
            Value::String(text) => Json::from(&**text),
            Value::Bytes(bytes) => Json::from(STANDARD.encode(bytes)),
            Value::Timestamp(_) | Value::Duration(_) => Json::from(shown(self)),
            Value::List(list) => {
                let items = list.items()?;
                Json::Array(deeper(|| items.iter().map(Value::to_json).collect::<Result<_, _>>())?)
            }
            Value::Map(map) => {
                let mut out = JsonMap::new();
                for key in map.keys() {
                    let value = map.get(&key).ok_or_else(|| EvalError::no_such_key(&key))??;
                    let Key::String(name) = key else {
                        let name = quoted(&key.to_string());
                        return Err(EvalError::new(format!("map key {name} is not of type string")));
                    };
                    out.insert(name.to_string(), deeper(|| value.to_json())?);
                }
                Json::Object(out)
            }
            Value::Struct(Object::Data(data, _)) => Json::Object((*data).clone()),
            Value::Struct(Object::Made(_, fields)) => {
                let mut out = JsonMap::new();
                for (name, value) in fields.iter() {
                    out.insert(name.to_string(), deeper(|| value.to_json())?);
                }
                Json::Object(out)
            }
            Value::Struct(Object::Composed) | Value::Optional(_) | Value::Type(_) | Value::Thing(_) => {
                return Err(EvalError::new(format!("unsupported conversion of {} to JSON", self.type_of().name())));
            }
        })
    }

    /// What is wrong with the names of the objects in it: each must be named by the path that leads to it from the
    /// outermost.
    pub fn misnamed(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Value::Struct(Object::Made(of, _)) = self {
            misnamed(self, of.name(), &mut found);
        }
        found
    }
}

fn misnamed(value: &Value<'_>, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Struct(Object::Made(of, fields)) => {
            if of.name() != path {
                found.push(format!(
                    "unexpected type name {}, expected {}, which matches field name path from root Object type",
                    quoted(of.name()),
                    quoted(path)
                ));
            }
            for (name, value) in fields.iter() {
                deeper(|| misnamed(value, &format!("{path}.{name}"), found));
            }
        }
        Value::List(list) => {
            let items = list.items().unwrap_or_default();
            items.iter().for_each(|item| deeper(|| misnamed(item, path, found)));
        }
        Value::Map(map) => {
            for value in map.keys().iter().filter_map(|key| map.get(key)?.ok()) {
                deeper(|| misnamed(&value, path, found));
            }
        }
        _ => {}
    }
}
