//! Trees to messages, byte for byte as upstream writes them: fields in the order of their numbers, maps in that of
//! their keys, and the zero of every field that Go holds by value.
//!
//! A message's length stands before it, so everything is written from its end to its beginning, and turned round once.

use serde_json::{Map, Value};

use super::layout::{Entry, Form, Holds, Message};
use crate::types::{Schema, TypeId};

/// What is written, last byte first.
pub(super) struct Writer<'a> {
    schema: &'a Schema,
    turned: Vec<u8>,
}

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;

type Tree = Map<String, Value>;

impl<'a> Writer<'a> {
    pub(super) fn new(schema: &'a Schema, room: usize) -> Self {
        Writer { schema, turned: Vec::with_capacity(room) }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.turned.reverse();
        self.turned
    }

    /// The message of a whole object.
    pub(super) fn object(&mut self, id: TypeId, value: &Value) {
        let none = Tree::new();
        let tree = value.as_object().unwrap_or(&none);
        self.message(self.schema.layouts.of(self.schema, id), tree);
    }

    /// Field `number`, with what `write` puts there as its length says.
    pub(super) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let end = self.turned.len();
        write(self);
        self.varint((self.turned.len() - end) as u64);
        self.tag(number, BYTES);
    }

    pub(super) fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.nested(number, |w| w.raw(bytes));
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.turned.extend(bytes.iter().rev());
    }

    fn message(&mut self, message: &Message, tree: &Tree) {
        for slot in message.slots.iter().rev() {
            match &slot.holds {
                Holds::Embedded(inner) => self.nested(slot.number, |w| w.message(inner, tree)),
                Holds::Field(entry) => self.field(slot.number, entry, tree),
            }
        }
    }

    fn field(&mut self, number: u32, entry: &Entry, tree: &Tree) {
        match tree.get(&entry.name).filter(|value| !value.is_null()) {
            Some(value) => self.value(number, &entry.form, value),
            None if entry.always => self.zero(number, &entry.form),
            None => {}
        }
    }

    fn zero(&mut self, number: u32, form: &Form) {
        match form {
            Form::Int32 | Form::Int64 | Form::Bool => self.number(number, 0),
            Form::Double => self.double(number, 0.0),
            Form::Object(_) => self.value(number, form, &Value::Null),
            Form::Quantity => self.nested(number, |w| w.bytes(1, b"0")),
            Form::IntOrString => self.int_or_string(number, &Value::from(0)),
            _ => self.bytes(number, b""),
        }
    }

    fn value(&mut self, number: u32, form: &Form, value: &Value) {
        match form {
            Form::Int32 | Form::Int64 => self.number(number, integer(value).cast_unsigned()),
            Form::Bool => self.number(number, u64::from(value.as_bool().unwrap_or_default())),
            Form::Double => self.double(number, value.as_f64().unwrap_or_default()),
            Form::String => self.bytes(number, text(value).as_bytes()),
            Form::Bytes => self.bytes(number, &super::base64::decode(text(value))),
            Form::Time | Form::MicroTime => self.time(number, text(value)),
            Form::Quantity => self.nested(number, |w| w.bytes(1, text(value).as_bytes())),
            Form::IntOrString => self.int_or_string(number, value),
            Form::Json => self.nested(number, |w| w.bytes(1, value.to_string().as_bytes())),
            Form::Empty => self.bytes(number, b""),
            Form::SchemaOrBool(id) => self.nested(number, |w| w.schema_or_bool(*id, value)),
            Form::SchemaOrArray(id) => self.nested(number, |w| w.schema_or(*id, value, &Form::Object(*id))),
            Form::SchemaOrTexts(id) => self.nested(number, |w| w.schema_or(*id, value, &Form::String)),
            Form::Texts => self.nested(number, |w| w.list(1, &Form::String, value)),
            Form::Object(id) => self.nested(number, |w| w.object(*id, value)),
            Form::List(element) => self.list(number, element, value),
            Form::Map(element) => {
                for (key, value) in value.as_object().into_iter().flatten().rev() {
                    self.nested(number, |w| w.entry(element, key, value));
                }
            }
        }
    }

    fn list(&mut self, number: u32, element: &Form, value: &Value) {
        let none = Vec::new();
        for value in value.as_array().unwrap_or(&none).iter().rev() {
            if value.is_null() && *element != Form::Json {
                self.zero(number, element);
            } else {
                self.value(number, element, value);
            }
        }
    }

    fn entry(&mut self, form: &Form, key: &str, value: &Value) {
        match form {
            // A list as a value is a message whose first field repeats.
            Form::List(element) => self.nested(2, |w| w.list(1, element, value)),
            Form::Bytes if value.is_null() => {}
            _ if value.is_null() => self.zero(2, form),
            _ => self.value(2, form, value),
        }
        self.bytes(1, key.as_bytes());
    }

    /// Seconds and nanoseconds; Go's zero time is nothing of both.
    fn time(&mut self, number: u32, text: &str) {
        let Ok(at) = text.parse::<jiff::Timestamp>() else { return self.bytes(number, b"") };
        let nanos = at.subsec_nanosecond();
        let (seconds, nanos) =
            if nanos < 0 { (at.as_second() - 1, nanos + 1_000_000_000) } else { (at.as_second(), nanos) };
        self.nested(number, |w| {
            w.number(2, i64::from(nanos).cast_unsigned());
            w.number(1, seconds.cast_unsigned());
        });
    }

    fn int_or_string(&mut self, number: u32, value: &Value) {
        self.nested(number, |w| {
            w.bytes(3, text(value).as_bytes());
            w.number(2, integer(value).cast_unsigned());
            w.number(1, u64::from(value.is_string()));
        });
    }

    /// wire: with a schema the truth value is true, as Go holds it.
    fn schema_or_bool(&mut self, id: TypeId, value: &Value) {
        if value.is_object() {
            self.nested(2, |w| w.object(id, value));
        }
        self.number(1, u64::from(value.as_bool().unwrap_or(true)));
    }

    fn schema_or(&mut self, id: TypeId, value: &Value, element: &Form) {
        if value.is_object() { self.nested(1, |w| w.object(id, value)) } else { self.list(2, element, value) }
    }

    fn double(&mut self, number: u32, value: f64) {
        self.raw(&value.to_bits().to_le_bytes());
        self.tag(number, FIXED64);
    }

    fn number(&mut self, number: u32, value: u64) {
        self.varint(value);
        self.tag(number, VARINT);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    fn varint(&mut self, mut value: u64) {
        let begin = self.turned.len();
        while value >= 0x80 {
            self.turned.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.turned.push(value as u8);
        self.turned[begin..].reverse();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whole numbers that JSON holds as others count, too.
fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64)).unwrap_or_default()
}
