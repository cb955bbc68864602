//! The binary form of OpenAPI 3: protobuf messages, whose field numbers are those of clients' descriptions of it.

use serde_json::Value;

use super::message::{Message, extensions, items, yaml};

/// A document of OpenAPI 3 in the binary form.
pub fn document(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &document["openapi"]);
    out.message(2, |info| {
        info.text(1, &document["info"]["title"]);
        info.text(3, &document["info"]["description"]);
        info.text(6, &document["info"]["version"]);
    });
    out.message(4, |paths| paths.named(1, &document["paths"], path_item));
    let components = &document["components"];
    if components.is_object() {
        out.message(5, |out| {
            out.message(1, |out| out.named(1, &components["schemas"], schema_or_reference));
            if components["securitySchemes"].is_object() {
                out.message(7, |out| out.named(1, &components["securitySchemes"], security_scheme));
            }
        });
    }
    out.0
}

fn security_scheme(out: &mut Message, scheme: &Value) {
    out.message(1, |out| {
        for (number, name) in [(1, "type"), (2, "description"), (3, "name"), (4, "in")] {
            out.text(number, &scheme[name]);
        }
    });
}

fn path_item(out: &mut Message, item: &Value) {
    let methods = [(4, "get"), (5, "put"), (6, "post"), (7, "delete"), (8, "options"), (9, "head"), (10, "patch")];
    for (number, method) in methods {
        if item[method].is_object() {
            out.message(number, |out| operation(out, &item[method]));
        }
    }
    for value in items(&item["parameters"]) {
        out.message(13, |out| parameter(out, value));
    }
    extensions(out, 14, item);
}

fn operation(out: &mut Message, operation: &Value) {
    out.texts(1, &operation["tags"]);
    out.text(3, &operation["description"]);
    out.text(5, &operation["operationId"]);
    for value in items(&operation["parameters"]) {
        out.message(6, |out| parameter(out, value));
    }
    let body = &operation["requestBody"];
    if body.is_object() {
        out.message(7, |out| {
            out.message(1, |out| {
                out.text(1, &body["description"]);
                out.message(2, |out| out.named(1, &body["content"], media_type));
                out.flag(3, &body["required"]);
            });
        });
    }
    out.message(8, |out| {
        out.named(2, &operation["responses"], |out, response| {
            out.message(1, |out| {
                out.text(1, &response["description"]);
                if response["content"].is_object() {
                    out.message(3, |out| out.named(1, &response["content"], media_type));
                }
            });
        });
    });
    out.flag(10, &operation["deprecated"]);
    extensions(out, 13, operation);
}

fn parameter(out: &mut Message, parameter: &Value) {
    out.message(1, |out| {
        for (number, name) in [(1, "name"), (2, "in"), (3, "description")] {
            out.text(number, &parameter[name]);
        }
        out.flag(4, &parameter["required"]);
        if parameter["schema"].is_object() {
            out.message(10, |out| schema_or_reference(out, &parameter["schema"]));
        }
    });
}

fn media_type(out: &mut Message, media_type: &Value) {
    if media_type["schema"].is_object() {
        out.message(1, |out| schema_or_reference(out, &media_type["schema"]));
    }
}

fn schema_or_reference(out: &mut Message, value: &Value) {
    if value["$ref"].is_string() {
        return out.message(2, |out| out.text(1, &value["$ref"]));
    }
    out.message(1, |out| schema(out, value));
}

fn schema(out: &mut Message, schema_of: &Value) {
    out.flag(1, &schema_of["nullable"]);
    out.text(9, &schema_of["title"]);
    for (number, name) in [(10, "multipleOf"), (11, "maximum")] {
        out.double(number, &schema_of[name]);
    }
    out.flag(12, &schema_of["exclusiveMaximum"]);
    out.double(13, &schema_of["minimum"]);
    out.flag(14, &schema_of["exclusiveMinimum"]);
    out.integer(15, &schema_of["maxLength"]);
    out.integer(16, &schema_of["minLength"]);
    out.text(17, &schema_of["pattern"]);
    out.integer(18, &schema_of["maxItems"]);
    out.integer(19, &schema_of["minItems"]);
    out.flag(20, &schema_of["uniqueItems"]);
    out.integer(21, &schema_of["maxProperties"]);
    out.integer(22, &schema_of["minProperties"]);
    out.texts(23, &schema_of["required"]);
    for value in items(&schema_of["enum"]) {
        out.message(24, |out| yaml(out, value));
    }
    out.text(25, &schema_of["type"]);
    for (number, name) in [(26, "allOf"), (27, "oneOf"), (28, "anyOf")] {
        for value in items(&schema_of[name]) {
            out.message(number, |out| schema_or_reference(out, value));
        }
    }
    if schema_of["not"].is_object() {
        out.message(29, |out| schema(out, &schema_of["not"]));
    }
    if schema_of["items"].is_object() {
        out.message(30, |out| out.message(1, |out| schema_or_reference(out, &schema_of["items"])));
    }
    if schema_of["properties"].is_object() {
        out.message(31, |out| out.named(1, &schema_of["properties"], schema_or_reference));
    }
    match &schema_of["additionalProperties"] {
        Value::Bool(any) => out.message(32, |out| out.flag(2, &Value::Bool(*any))),
        others @ Value::Object(_) => out.message(32, |out| out.message(1, |out| schema_or_reference(out, others))),
        _ => {}
    }
    if let Some(value) = schema_of.get("default") {
        out.message(33, |out| default(out, value));
    }
    out.text(34, &schema_of["description"]);
    out.text(35, &schema_of["format"]);
    extensions(out, 36, schema_of);
}

/// A default is one of three, zero or not; of lists and maps it says only that there is one.
fn default(out: &mut Message, value: &Value) {
    match value {
        Value::Number(number) => out.fixed(1, number.as_f64().unwrap_or_default()),
        Value::Bool(flag) => out.number(2, u64::from(*flag)),
        Value::String(text) => out.bytes(3, text.as_bytes()),
        _ => {}
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
    fn messages_are_upstreams_byte_for_byte() {
        let named = json!({"schema": {"$ref": "#/a"}});
        assert_eq!(of(|out| media_type(out, &named)), b"\n\x07\x12\x05\n\x03#/a");
        let list = json!({"type": "array", "items": {"allOf": [{"$ref": "#/a"}], "default": {}}, "description": "d"});
        let expected =
            b"\xca\x01\x05array\xf2\x01\x11\n\x0f\n\x0d\xd2\x01\x07\x12\x05\n\x03#/a\x8a\x02\x00\x92\x02\x01d";
        assert_eq!(of(|out| schema(out, &list)), expected);
        let text = json!({"type": "string", "default": ""});
        assert_eq!(of(|out| schema(out, &text)), b"\xca\x01\x06string\x8a\x02\x02\x1a\x00");
        let key = json!({"name": "limit", "in": "query", "schema": {"type": "integer", "uniqueItems": true}});
        let expected = b"\n\x1f\n\x05limit\x12\x05queryR\x0f\n\x0d\xa0\x01\x01\xca\x01\x07integer";
        assert_eq!(of(|out| parameter(out, &key)), expected);
    }
}
