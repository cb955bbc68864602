//! Protobuf messages of documents, as they are written.
//!
//! Values of any shape, such as vendor extensions, are YAML texts in them; JSON is YAML.

use serde_json::{Map, Value};

/// Vendor extensions.
pub(super) fn extensions(out: &mut Message, number: u32, value: &Value) {
    let extensions = value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    for (name, value) in extensions {
        out.message(number, |out| {
            out.bytes(1, name.as_bytes());
            out.message(2, |out| yaml(out, value));
        });
    }
}

/// Any value.
pub(super) fn yaml(out: &mut Message, value: &Value) {
    let text = match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_alphabetic()) => format!("{text}\n"),
        value => format!("{value}\n"),
    };
    out.bytes(2, text.as_bytes());
}

/// The elements of a list; none of anything else.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A message that is being written.
#[derive(Default)]
pub(super) struct Message(pub Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, number: u32, wire: u32) {
        self.varint(u64::from(number << 3 | wire));
    }

    pub(super) fn bytes(&mut self, number: u32, content: &[u8]) {
        self.tag(number, 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
    }

    pub(super) fn text(&mut self, number: u32, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(number, text.as_bytes());
        }
    }

    pub(super) fn texts(&mut self, number: u32, values: &Value) {
        for value in items(values).filter_map(Value::as_str) {
            self.bytes(number, value.as_bytes());
        }
    }

    /// A number, zero or not.
    pub(super) fn number(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.varint(value);
    }

    /// A double, zero or not.
    pub(super) fn fixed(&mut self, number: u32, value: f64) {
        self.tag(number, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn flag(&mut self, number: u32, value: &Value) {
        if value.as_bool() == Some(true) {
            self.number(number, 1);
        }
    }

    pub(super) fn integer(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_i64().filter(|value| *value != 0) {
            self.number(number, value as u64);
        }
    }

    pub(super) fn double(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_f64().filter(|value| *value != 0.0) {
            self.fixed(number, value);
        }
    }

    pub(super) fn message(&mut self, number: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }

    /// An entry of a name and a value for each field of an object.
    pub(super) fn named(&mut self, number: u32, object: &Value, mut write: impl FnMut(&mut Message, &Value)) {
        let none = Map::new();
        for (name, value) in object.as_object().unwrap_or(&none) {
            self.message(number, |entry| {
                entry.bytes(1, name.as_bytes());
                entry.message(2, |out| write(out, value));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(write: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut out = Message::default();
        write(&mut out);
        out.0
    }

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(of(|out| out.bytes(1, b"ab")), [0x0a, 2, b'a', b'b']);
        assert_eq!(of(|out| out.bytes(2, &[0; 300]))[..3], [0x12, 0xac, 0x02]);
    }
}
