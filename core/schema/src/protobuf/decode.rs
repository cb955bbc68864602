//! Messages to trees. Nothing is read beyond the message, and nothing nests deeper than a JSON body may.

use serde_json::{Map, Number, Value};

use super::ProtobufError;
use super::base64;
use super::layout::{Entry, Form, Holds, Message};
use super::wire::{self, Fields, Item, Wire};
use crate::decode::MAX_DEPTH;
use crate::prune;
use crate::scalar::format_time;
use crate::types::{Schema, TypeId};

type Tree = Map<String, Value>;

/// Reads an object of that type into `tree`.
pub(super) fn object(schema: &Schema, id: TypeId, tree: &mut Tree, bytes: &[u8]) -> Result<(), ProtobufError> {
    Reader { schema, depth: 0 }.message(schema.layouts.of(schema, id), tree, bytes)
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    schema: &'a Schema,
    depth: usize,
}

impl Reader<'_> {
    fn deeper(self) -> Result<Self, ProtobufError> {
        let depth = self.depth + 1;
        if depth > MAX_DEPTH { Err(ProtobufError::Malformed("nested too deep")) } else { Ok(Reader { depth, ..self }) }
    }

    /// Reads the fields of a message into `tree`; numbers that nobody knows are passed over.
    fn message(self, known: &Message, tree: &mut Tree, bytes: &[u8]) -> Result<(), ProtobufError> {
        for item in Fields::of(bytes) {
            let item = item?;
            match (known.slot(item.number), item.wire) {
                (Some(Holds::Field(entry)), wire) => self.field(entry, tree, wire)?,
                (Some(Holds::Embedded(inner)), Wire::Bytes(bytes)) => self.deeper()?.message(inner, tree, bytes)?,
                (Some(Holds::Embedded(_)), _) => return Err(WRONG_WIRE),
                (None, _) => {}
            }
        }
        Ok(())
    }

    fn field(self, entry: &Entry, tree: &mut Tree, wire: Wire<'_>) -> Result<(), ProtobufError> {
        match tree.get_mut(&entry.name) {
            Some(present) => self.occurrence(&entry.form, present, wire),
            None => {
                let mut value = Value::Null;
                self.occurrence(&entry.form, &mut value, wire)?;
                tree.insert(entry.name.clone(), value);
                Ok(())
            }
        }
    }

    /// One occurrence of a field, on top of those before: lists grow, maps gain an entry, messages are merged, and of
    /// everything else the last counts.
    fn occurrence(self, form: &Form, value: &mut Value, wire: Wire<'_>) -> Result<(), ProtobufError> {
        match (form, wire) {
            (Form::List(element), wire) => {
                if !value.is_array() {
                    *value = Value::Array(Vec::new());
                }
                let Value::Array(list) = value else { return Ok(()) };
                self.elements(element, wire, list)
            }
            (Form::Map(element), Wire::Bytes(bytes)) => {
                let (key, element) = self.deeper()?.entry(element, bytes)?;
                tree_of(value).insert(key, element);
                Ok(())
            }
            (Form::Object(id), Wire::Bytes(bytes)) => {
                let layout = self.schema.layouts.of(self.schema, *id);
                self.deeper()?.message(layout, tree_of(value), bytes)
            }
            (Form::SchemaOrBool(id) | Form::SchemaOrArray(id) | Form::SchemaOrTexts(id), Wire::Bytes(bytes)) => {
                *value = self.deeper()?.choice(form, *id, bytes, value.take())?;
                Ok(())
            }
            (form, wire) => {
                *value = self.value(form, wire)?;
                Ok(())
            }
        }
    }

    /// One element of a list, or several where numbers are packed.
    fn elements(self, form: &Form, wire: Wire<'_>, out: &mut Vec<Value>) -> Result<(), ProtobufError> {
        if let (Form::Int32 | Form::Int64 | Form::Bool, Wire::Bytes(mut packed)) = (form, wire) {
            while !packed.is_empty() {
                let number = wire::varint(&mut packed)?;
                out.push(self.value(form, Wire::Varint(number))?);
            }
            return Ok(());
        }
        if let (Form::Double, Wire::Bytes(packed)) = (form, wire) {
            let (numbers, rest) = packed.as_chunks::<8>();
            if !rest.is_empty() {
                return Err(wire::END);
            }
            for number in numbers {
                out.push(self.value(form, Wire::Fixed64(u64::from_le_bytes(*number)))?);
            }
            return Ok(());
        }
        out.push(self.value(form, wire)?);
        Ok(())
    }

    fn entry(self, form: &Form, bytes: &[u8]) -> Result<(String, Value), ProtobufError> {
        let (mut key, mut value) = (String::new(), Value::Null);
        for item in Fields::of(bytes) {
            match item? {
                Item { number: 1, wire: Wire::Bytes(bytes) } => key = text(bytes)?,
                // A list as a value is a message whose first field repeats.
                Item { number: 2, wire: Wire::Bytes(bytes) } if matches!(form, Form::List(_)) => {
                    for item in Fields::of(bytes) {
                        self.occurrence(form, &mut value, item?.wire)?;
                    }
                }
                Item { number: 2, wire } => self.occurrence(form, &mut value, wire)?,
                _ => {}
            }
        }
        if value.is_null() {
            value = match form {
                Form::String | Form::Bytes => Value::from(""),
                Form::Quantity => Value::from("0"),
                _ => Value::Null,
            };
        }
        Ok((key, value))
    }

    fn value(self, form: &Form, wire: Wire<'_>) -> Result<Value, ProtobufError> {
        Ok(match (form, wire) {
            // The wire has 64 bits for either.
            (Form::Int32, Wire::Varint(number)) => Value::from(number as i32),
            (Form::Int64, Wire::Varint(number)) => Value::from(number.cast_signed()),
            (Form::Bool, Wire::Varint(number)) => Value::from(number != 0),
            (Form::Double, Wire::Fixed64(bits)) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            (Form::String, Wire::Bytes(bytes)) => Value::from(text(bytes)?),
            (Form::Bytes, Wire::Bytes(bytes)) => Value::from(base64::encode(bytes)),
            (Form::Time, Wire::Bytes(bytes)) => time(bytes, false)?,
            (Form::MicroTime, Wire::Bytes(bytes)) => time(bytes, true)?,
            (Form::Quantity, Wire::Bytes(bytes)) => Value::from(text_at(bytes, 1)?),
            (Form::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
            (Form::Json, Wire::Bytes(bytes)) => raw_json(bytes)?,
            (Form::Empty, Wire::Bytes(_)) => Value::Object(Map::new()),
            (Form::Texts, Wire::Bytes(bytes)) => {
                let mut texts = Vec::new();
                for item in Fields::of(bytes) {
                    texts.push(self.value(&Form::String, item?.wire)?);
                }
                Value::Array(texts)
            }
            (
                Form::Object(_)
                | Form::List(_)
                | Form::Map(_)
                | Form::SchemaOrBool(_)
                | Form::SchemaOrArray(_)
                | Form::SchemaOrTexts(_),
                wire,
            ) => {
                let mut value = Value::Null;
                self.occurrence_of_message(form, &mut value, wire)?;
                value
            }
            _ => return Err(WRONG_WIRE),
        })
    }

    fn occurrence_of_message(self, form: &Form, value: &mut Value, wire: Wire<'_>) -> Result<(), ProtobufError> {
        match wire {
            Wire::Bytes(_) => self.occurrence(form, value, wire),
            _ => Err(WRONG_WIRE),
        }
    }

    /// A schema, or what may stand in its place, on top of what came before.
    fn choice(self, form: &Form, id: TypeId, bytes: &[u8], before: Value) -> Result<Value, ProtobufError> {
        let (mut schema, mut others, mut allows) = match before {
            Value::Array(others) => (None, others, false),
            Value::Bool(allows) => (None, Vec::new(), allows),
            Value::Null => (None, Vec::new(), false),
            schema => (Some(schema), Vec::new(), false),
        };
        let (schema_at, others_at) = if matches!(form, Form::SchemaOrBool(_)) { (2, 1) } else { (1, 2) };
        for item in Fields::of(bytes) {
            match item? {
                Item { number, wire } if number == schema_at => {
                    self.occurrence_of_message(&Form::Object(id), schema.get_or_insert(Value::Null), wire)?;
                }
                Item { number, wire: Wire::Varint(flag) } if number == others_at => allows = flag != 0,
                Item { number, wire } if number == others_at => {
                    let element = if matches!(form, Form::SchemaOrTexts(_)) { Form::String } else { Form::Object(id) };
                    others.push(self.value(&element, wire)?);
                }
                _ => {}
            }
        }
        let mut value = schema.unwrap_or_else(|| match form {
            Form::SchemaOrBool(_) => Value::from(allows),
            _ if others.is_empty() => Value::Null,
            _ => Value::Array(others),
        });
        self.drop_zeros(id, &mut value);
        Ok(value)
    }

    /// In JSON a schema stands here as any value does, so that nobody else drops the zeros that Go would.
    fn drop_zeros(self, id: TypeId, value: &mut Value) {
        let name = &self.schema.at(id).name;
        match value {
            Value::Array(list) => list.iter_mut().for_each(|item| prune(self.schema, name, item)),
            other => prune(self.schema, name, other),
        }
    }
}

fn tree_of(value: &mut Value) -> &mut Tree {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(tree) => tree,
        _ => unreachable!("made an object just now"),
    }
}

pub(super) const WRONG_WIRE: ProtobufError = ProtobufError::Malformed("wrong wireType");

fn text(bytes: &[u8]) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Malformed("invalid UTF-8"))
}

/// The text in field `number` of a message; empty when it has none.
pub(super) fn text_at(bytes: &[u8], number: u32) -> Result<String, ProtobufError> {
    let mut found = String::new();
    for item in Fields::of(bytes) {
        let item = item?;
        if let (true, Wire::Bytes(bytes)) = (item.number == number, item.wire) {
            found = text(bytes)?;
        }
    }
    Ok(found)
}

/// The first second that a time of JSON can name.
const YEAR_0: i64 = -62_167_219_200;

/// Seconds and nanoseconds; nothing of both is Go's zero time, which JSON has as null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, nanos) = (number_at(bytes, 1)?, number_at(bytes, 2)?);
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let at = jiff::Timestamp::new(seconds, nanos).ok().filter(|at| at.as_second() >= YEAR_0);
    let at = at.ok_or(ProtobufError::Malformed("time out of range"))?;
    Ok(Value::from(format_time(at, micro)))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    match number_at(bytes, 1)? {
        // The wire has 64 bits for a number of 32.
        0 => Ok(Value::from(number_at(bytes, 2)? as i32)),
        _ => Ok(Value::from(text_at(bytes, 3)?)),
    }
}

/// JSON in the first field of a message.
fn raw_json(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let raw = text_at(bytes, 1)?;
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&raw).map_err(|_| ProtobufError::Malformed("invalid JSON in a raw field"))
}

fn number_at(bytes: &[u8], number: u32) -> Result<i64, ProtobufError> {
    let mut found = 0;
    for item in Fields::of(bytes) {
        let item = item?;
        if let (true, Wire::Varint(value)) = (item.number == number, item.wire) {
            found = value.cast_signed();
        }
    }
    Ok(found)
}
