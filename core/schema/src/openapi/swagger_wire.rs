//! The binary form of OpenAPI 2: protobuf messages, whose field numbers are those of clients' descriptions of it.

use serde_json::Value;

use super::message::{Message, extensions, items, yaml};

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
