//! Protobuf bodies to trees: what clients that prefer the binary form send.
//!
//! A body is `k8s\0` and an envelope that names the kind and holds the object. The tree is what Go would write of it
//! before dropping zero values, so `prune` must follow. Nothing is read beyond the body, and nothing nests deeper than
//! a JSON body may.

use serde_json::{Map, Number, Value};

use crate::decode::MAX_DEPTH;
use crate::scalar::format_time;
use crate::types::{Field, Schema, Shape, Type};

mod wire;

use wire::{Fields, Item, Wire};

/// What every body starts with.
const PREFIX: &[u8] = b"k8s\0";
/// Numbers of the envelope: the kind's names, the object.
const ENVELOPE_NAMES: u32 = 1;
const ENVELOPE_OBJECT: u32 = 2;

/// A body that is not what it says; the text is for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// The body does not start as it must.
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    Prefix,
    /// The bytes are no message.
    #[error("proto: {0}")]
    Malformed(&'static str),
}

/// Decodes a body that holds an object of that type. `apiVersion` and `kind` are those of the envelope.
pub fn decode(schema: &Schema, type_name: &str, body: &[u8]) -> Result<Value, ProtobufError> {
    let envelope = body.strip_prefix(PREFIX).ok_or(ProtobufError::Prefix)?;
    let (mut names, mut object): (&[u8], &[u8]) = (&[], &[]);
    for item in Fields::of(envelope) {
        match item? {
            Item { number: ENVELOPE_NAMES, wire: Wire::Bytes(bytes) } => names = bytes,
            Item { number: ENVELOPE_OBJECT, wire: Wire::Bytes(bytes) } => object = bytes,
            _ => {}
        }
    }
    let mut tree = Map::new();
    if let Some(known) = schema.get(type_name) {
        Reader { schema, depth: 0 }.message(known, &mut tree, object, None)?;
    }
    for (key, number) in [("apiVersion", 1), ("kind", 2)] {
        let name = text_at(names, number)?;
        if !name.is_empty() {
            tree.insert(key.to_owned(), Value::from(name));
        }
    }
    Ok(Value::Object(tree))
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

    /// Reads the fields of a message into `tree`. `inside`: the number of the embedded message that `bytes` is.
    fn message(
        self,
        known: &Type,
        tree: &mut Map<String, Value>,
        bytes: &[u8],
        inside: Option<u32>,
    ) -> Result<(), ProtobufError> {
        for item in Fields::of(bytes) {
            let item = item?;
            let at = |field: &Field| match (inside, field.numbers.as_slice()) {
                (None, [number]) => *number == item.number,
                (Some(outer), [first, second]) => *first == outer && *second == item.number,
                _ => false,
            };
            if let Some((name, field)) = known.fields.iter().find(|(_, field)| at(field)) {
                self.field(&field.shape, tree, name, item.wire)?;
                continue;
            }
            let embedded = |field: &Field| matches!(field.numbers[..], [first, _] if first == item.number);
            if let (None, Wire::Bytes(inner)) = (inside, &item.wire)
                && known.fields.values().any(embedded)
            {
                self.deeper()?.message(known, tree, inner, Some(item.number))?;
            }
        }
        Ok(())
    }

    /// Puts one occurrence of a field into the tree: lists grow, maps gain an entry.
    fn field(
        self,
        shape: &Shape,
        tree: &mut Map<String, Value>,
        name: &str,
        wire: Wire<'_>,
    ) -> Result<(), ProtobufError> {
        match shape {
            Shape::List(element) => {
                let mut values = Vec::new();
                self.elements(element, wire, &mut values)?;
                if let Value::Array(list) = tree.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                    list.append(&mut values);
                }
            }
            Shape::Map(value) => {
                let Wire::Bytes(entry) = wire else { return Err(WRONG_WIRE) };
                let (key, value) = self.deeper()?.entry(value, entry)?;
                if let Value::Object(map) = tree.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                    map.insert(key, value);
                }
            }
            _ => {
                let value = self.value(shape, wire)?;
                tree.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// One element of a list, or several where numbers are packed.
    fn elements(self, shape: &Shape, wire: Wire<'_>, out: &mut Vec<Value>) -> Result<(), ProtobufError> {
        if let (Shape::Int32 | Shape::Int64 | Shape::Bool, Wire::Bytes(mut packed)) = (shape, wire) {
            while !packed.is_empty() {
                let number = wire::varint(&mut packed)?;
                out.push(self.value(shape, Wire::Varint(number))?);
            }
            return Ok(());
        }
        out.push(self.value(shape, wire)?);
        Ok(())
    }

    fn entry(self, shape: &Shape, bytes: &[u8]) -> Result<(String, Value), ProtobufError> {
        let mut entry = Map::new();
        let (mut key, mut seen) = (String::new(), false);
        for item in Fields::of(bytes) {
            match item? {
                Item { number: 1, wire: Wire::Bytes(bytes) } => key = text(bytes)?,
                // A list as a value is a message whose first field repeats.
                Item { number: 2, wire: Wire::Bytes(bytes) } if matches!(shape, Shape::List(_)) => {
                    for item in Fields::of(bytes) {
                        self.field(shape, &mut entry, "value", item?.wire)?;
                    }
                }
                Item { number: 2, wire } => self.field(shape, &mut entry, "value", wire)?,
                _ => {}
            }
            seen = true;
        }
        let absent = || match shape {
            Shape::String | Shape::Bytes if seen => Value::from(""),
            Shape::Quantity => Value::from("0"),
            _ => Value::Null,
        };
        let value = entry.remove("value").unwrap_or_else(absent);
        Ok((key, value))
    }

    fn value(self, shape: &Shape, wire: Wire<'_>) -> Result<Value, ProtobufError> {
        Ok(match (shape, wire) {
            (Shape::Int32 | Shape::Int64, Wire::Varint(number)) => Value::from(number.cast_signed()),
            (Shape::Bool, Wire::Varint(number)) => Value::from(number != 0),
            (Shape::Double, Wire::Fixed64(bits)) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            (Shape::String, Wire::Bytes(bytes)) => Value::from(text(bytes)?),
            (Shape::Bytes, Wire::Bytes(bytes)) => Value::from(base64(bytes)),
            (Shape::Time, Wire::Bytes(bytes)) => time(bytes, false)?,
            (Shape::MicroTime, Wire::Bytes(bytes)) => time(bytes, true)?,
            (Shape::Quantity, Wire::Bytes(bytes)) => Value::from(text_at(bytes, 1)?),
            (Shape::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
            (Shape::Any, Wire::Bytes(bytes)) => raw_json(bytes)?,
            (Shape::Object(id), Wire::Bytes(bytes)) => {
                let mut tree = Map::new();
                self.deeper()?.message(self.schema.at(*id), &mut tree, bytes, None)?;
                Value::Object(tree)
            }
            _ => return Err(WRONG_WIRE),
        })
    }
}

const WRONG_WIRE: ProtobufError = ProtobufError::Malformed("wrong wireType");

fn text(bytes: &[u8]) -> Result<String, ProtobufError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Malformed("invalid UTF-8"))
}

/// The text in field `number` of a message; empty when it has none.
fn text_at(bytes: &[u8], number: u32) -> Result<String, ProtobufError> {
    let mut found = String::new();
    for item in Fields::of(bytes) {
        let item = item?;
        if let (true, Wire::Bytes(bytes)) = (item.number == number, item.wire) {
            found = text(bytes)?;
        }
    }
    Ok(found)
}

/// Seconds and nanoseconds; nothing of both is Go's zero time, which JSON has as null.
fn time(bytes: &[u8], micro: bool) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (seconds, nanos) = (number_at(bytes, 1)?, number_at(bytes, 2)?);
    let nanos = i32::try_from(nanos).unwrap_or_default();
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|_| ProtobufError::Malformed("time out of range"))?;
    Ok(Value::from(format_time(at, micro)))
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if number_at(bytes, 1)? == 0 { Ok(Value::from(number_at(bytes, 2)?)) } else { Ok(Value::from(text_at(bytes, 3)?)) }
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

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            out.push(if at > three.len() { '=' } else { ALPHABET[sextet as usize] as char });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// Field `number` with these bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn body(version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
        let names = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
        [PREFIX.to_vec(), field(1, &names), field(2, object)].concat()
    }

    fn check(type_name: &str, object: &[u8], expected: Value) {
        let got = decode(Schema::builtin(), type_name, &body("v1", "X", object)).unwrap();
        let mut expected = expected;
        expected["apiVersion"] = json!("v1");
        expected["kind"] = json!("X");
        assert_eq!(got, expected);
    }

    #[test]
    fn fields_lists_maps_and_embedded_messages_find_their_names() {
        let data = field(2, &[field(1, b"key"), field(2, &[0xfb, 0xff])].concat());
        let time = field(8, &[0x08, 0x80, 0xa3, 0x05]);
        let metadata = field(1, &[field(1, b"s"), time].concat());
        check(
            "io.k8s.api.core.v1.Secret",
            &[metadata, data].concat(),
            json!({"metadata": {"name": "s", "creationTimestamp": "1970-01-02T00:00:00Z"}, "data": {"key": "+/8="}}),
        );
        let volume = [field(1, b"v"), field(2, &field(1, &field(1, b"/x")))].concat();
        let spec = field(2, &field(1, &volume));
        check(
            "io.k8s.api.core.v1.Pod",
            &spec,
            json!({"spec": {"volumes": [{"name": "v", "hostPath": {"path": "/x"}}]}}),
        );
    }

    #[test]
    fn numbers_and_quantities_are_read() {
        let port = [field(1, b"web"), vec![0x18, 0x50], field(4, &[0x08, 0x01, 0x1a, 0x01, b'x'])].concat();
        let spec = field(2, &field(1, &port));
        check(
            "io.k8s.api.core.v1.Service",
            &spec,
            json!({"spec": {"ports": [{"name": "web", "port": 80, "targetPort": "x"}]}}),
        );
        let capacity = field(1, &[field(1, b"cpu"), field(2, &field(1, b"100m"))].concat());
        check("io.k8s.api.core.v1.Node", &field(3, &capacity), json!({"status": {"capacity": {"cpu": "100m"}}}));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let refused = |body: &[u8]| decode(Schema::builtin(), "io.k8s.api.core.v1.Pod", body).unwrap_err();
        assert_eq!(refused(b"x"), ProtobufError::Prefix);
        assert_eq!(refused(b"k8s\0\x0a\x7f"), ProtobufError::Malformed("unexpected end of message"));
        let wrong = body("v1", "Pod", &[0x08, 0x01]);
        assert_eq!(refused(&wrong), WRONG_WIRE);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for type_name in ["io.k8s.api.core.v1.Pod", "io.k8s.api.apps.v1.Deployment"] {
                let _ = decode(Schema::builtin(), type_name, &body("v1", "X", &bytes[..bytes.len().min(120)]));
                let _ = decode(Schema::builtin(), type_name, &[PREFIX, &bytes].concat());
            }
        }
    }
}
