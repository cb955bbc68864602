//! The binary form of OpenAPI 2: protobuf messages, whose field numbers are those of clients' descriptions of it.
//!
//! Values of any shape, such as vendor extensions, are YAML texts in it; JSON is YAML.

use serde_json::{Map, Value};

/// The whole document.
pub(super) fn document(swagger: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &swagger["swagger"]);
    out.message(2, |info| {
        info.text(1, &swagger["info"]["title"]);
        info.text(2, &swagger["info"]["version"]);
    });
    out.message(8, |paths| paths.named(2, &swagger["paths"], path_item));
    out.message(9, |definitions| definitions.named(1, &swagger["definitions"], schema));
    for requirement in items(&swagger["security"]) {
        out.message(12, |security| security.named(1, requirement, |_, _| ()));
    }
    out.message(13, |definitions| {
        definitions.named(1, &swagger["securityDefinitions"], |definition, value| {
            definition.message(2, |key| {
                for (number, name) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
                    key.text(number, &value[name]);
                }
            });
        });
    });
    out.0
}

fn path_item(out: &mut Message, item: &Value) {
    let methods = [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];
    for (number, method) in methods {
        if item[method].is_object() {
            out.message(number, |out| operation(out, &item[method]));
        }
    }
    for value in items(&item["parameters"]) {
        out.message(9, |out| parameter(out, value));
    }
}

fn operation(out: &mut Message, operation: &Value) {
    out.texts(1, &operation["tags"]);
    out.text(3, &operation["description"]);
    out.text(5, &operation["operationId"]);
    out.texts(6, &operation["produces"]);
    out.texts(7, &operation["consumes"]);
    for value in items(&operation["parameters"]) {
        out.message(8, |out| parameter(out, value));
    }
    out.message(9, |out| {
        out.named(1, &operation["responses"], |out, response| {
            out.message(1, |out| {
                out.text(1, &response["description"]);
                if response["schema"].is_object() {
                    out.message(2, |out| out.message(1, |out| schema(out, &response["schema"])));
                }
            });
        });
    });
    out.texts(10, &operation["schemes"]);
    extensions(out, 13, operation);
}

/// A parameter; those in the path have no field for empty values, so that some of their numbers are one less.
fn parameter(out: &mut Message, parameter: &Value) {
    out.message(1, |out| {
        if parameter["in"] == "body" {
            return out.message(1, |out| {
                out.text(2, &parameter["name"]);
                out.text(3, &parameter["in"]);
                out.flag(4, &parameter["required"]);
                out.message(5, |out| schema(out, &parameter["schema"]));
            });
        }
        let (place, less) = if parameter["in"] == "path" { (4, 1) } else { (3, 0) };
        out.message(2, |out| {
            out.message(place, |out| {
                out.flag(1, &parameter["required"]);
                out.text(2, &parameter["in"]);
                out.text(3, &parameter["description"]);
                out.text(4, &parameter["name"]);
                out.text(6 - less, &parameter["type"]);
                out.flag(20 - less, &parameter["uniqueItems"]);
            });
        });
    });
}

fn schema(out: &mut Message, schema_of: &Value) {
    for (number, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description")] {
        out.text(number, &schema_of[name]);
    }
    for (number, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        out.double(number, &schema_of[name]);
    }
    out.flag(8, &schema_of["exclusiveMaximum"]);
    out.flag(10, &schema_of["exclusiveMinimum"]);
    out.integer(11, &schema_of["maxLength"]);
    out.integer(12, &schema_of["minLength"]);
    out.text(13, &schema_of["pattern"]);
    out.integer(14, &schema_of["maxItems"]);
    out.integer(15, &schema_of["minItems"]);
    out.flag(16, &schema_of["uniqueItems"]);
    out.integer(17, &schema_of["maxProperties"]);
    out.integer(18, &schema_of["minProperties"]);
    out.texts(19, &schema_of["required"]);
    for value in items(&schema_of["enum"]) {
        out.message(20, |out| yaml(out, value));
    }
    match &schema_of["additionalProperties"] {
        Value::Bool(any) => out.message(21, |out| out.flag(2, &Value::Bool(*any))),
        Value::Object(_) => {
            out.message(21, |out| out.message(1, |out| schema(out, &schema_of["additionalProperties"])));
        }
        _ => {}
    }
    if schema_of["type"].is_string() {
        out.message(22, |out| out.text(1, &schema_of["type"]));
    }
    if schema_of["items"].is_object() {
        out.message(23, |out| out.message(1, |out| schema(out, &schema_of["items"])));
    }
    if schema_of["properties"].is_object() {
        out.message(25, |out| out.named(1, &schema_of["properties"], schema));
    }
    extensions(out, 31, schema_of);
}

fn extensions(out: &mut Message, number: u32, value: &Value) {
    let extensions = value.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
    for (name, value) in extensions {
        out.message(number, |out| {
            out.bytes(1, name.as_bytes());
            out.message(2, |out| yaml(out, value));
        });
    }
}

fn yaml(out: &mut Message, value: &Value) {
    let text = match value {
        Value::String(text) if text.bytes().all(|b| b.is_ascii_alphabetic()) => format!("{text}\n"),
        value => format!("{value}\n"),
    };
    out.bytes(2, text.as_bytes());
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A message that is being written.
#[derive(Default)]
struct Message(Vec<u8>);

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

    fn bytes(&mut self, number: u32, content: &[u8]) {
        self.tag(number, 2);
        self.varint(content.len() as u64);
        self.0.extend_from_slice(content);
    }

    fn text(&mut self, number: u32, value: &Value) {
        if let Some(text) = value.as_str().filter(|text| !text.is_empty()) {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u32, values: &Value) {
        for value in items(values).filter_map(Value::as_str) {
            self.bytes(number, value.as_bytes());
        }
    }

    fn flag(&mut self, number: u32, value: &Value) {
        if value.as_bool() == Some(true) {
            self.tag(number, 0);
            self.varint(1);
        }
    }

    fn integer(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_i64().filter(|value| *value != 0) {
            self.tag(number, 0);
            self.varint(value as u64);
        }
    }

    fn double(&mut self, number: u32, value: &Value) {
        if let Some(value) = value.as_f64().filter(|value| *value != 0.0) {
            self.tag(number, 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn message(&mut self, number: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(number, &inner.0);
    }

    /// An entry of a name and a value for each field of an object.
    fn named(&mut self, number: u32, object: &Value, mut write: impl FnMut(&mut Message, &Value)) {
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
    use serde_json::json;

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

    #[test]
    fn messages_are_upstreams_byte_for_byte() {
        let property = json!({"format": "int32", "description": "Port", "type": "integer"});
        assert_eq!(of(|out| schema(out, &property)), b"\x12\x05int32\"\x04Port\xb2\x01\x09\n\x07integer");
        let list = json!({"type": "array", "items": {"$ref": "#/definitions/A"}});
        assert_eq!(of(|out| schema(out, &list)), b"\xb2\x01\x07\n\x05array\xba\x01\x13\n\x11\n\x0f#/definitions/A");
        let name = json!({"name": "name", "in": "path", "required": true, "type": "string", "uniqueItems": true});
        let expected = b"\n\x1d\x12\x1b\"\x19\x08\x01\x12\x04path\"\x04name*\x06string\x98\x01\x01";
        assert_eq!(of(|out| parameter(out, &name)), expected);
        let extended = json!({"x-kubernetes-list-type": "map"});
        assert_eq!(of(|out| schema(out, &extended)), b"\xfa\x01 \n\x16x-kubernetes-list-type\x12\x06\x12\x04map\n");
    }
}
