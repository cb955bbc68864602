//! The binary form, both ways: bodies of clients that prefer it to trees, and trees to answers.
//!
//! A body is `k8s\0` and an envelope that names the kind and holds the object. A tree that was read is what Go would
//! write of it before dropping zero values, so `prune` must follow. One table of forms serves both directions.

use serde_json::{Map, Value};

use crate::types::Schema;

mod base64;
mod decode;
mod discovery;
mod encode;
mod layout;
mod wire;

pub use discovery::group_discovery_list;
pub(crate) use layout::Layouts;
use wire::{Fields, Item, Wire};

/// What every body starts with.
const PREFIX: &[u8] = b"k8s\0";
/// Numbers of the envelope: the kind's names, the object, and two texts about it that are always empty.
const ENVELOPE_NAMES: u32 = 1;
const ENVELOPE_OBJECT: u32 = 2;
const ENVELOPE_ENCODING: u32 = 3;
const ENVELOPE_TYPE: u32 = 4;
/// Number of the metadata, of objects and of lists alike.
const METADATA: u32 = 1;
/// Number of the items of a list.
const LIST_ITEMS: u32 = 2;

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
    if let Some(known) = schema.id(type_name) {
        decode::object(schema, known, &mut tree, object)?;
    }
    for (key, number) in [("apiVersion", 1), ("kind", 2)] {
        let name = decode::text_at(names, number)?;
        if !name.is_empty() {
            tree.insert(key.to_owned(), Value::from(name));
        }
    }
    Ok(Value::Object(tree))
}

/// The body of an object of that type, which says itself what it is; `None` when there is no such type.
pub fn encode(schema: &Schema, type_name: &str, object: &Value) -> Option<Vec<u8>> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = encode_message(schema, type_name, object)?;
    Some(envelope(text("apiVersion"), text("kind"), &message))
}

/// The message of an object alone, as it stands in others.
pub fn encode_message(schema: &Schema, type_name: &str, object: &Value) -> Option<Vec<u8>> {
    let id = schema.id(type_name)?;
    let mut writer = encode::Writer::new(schema, 512);
    writer.object(id, object);
    Some(writer.finish())
}

/// A body around a message.
pub fn envelope(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut body = envelope_head(api_version, kind, message.len());
    body.extend_from_slice(message);
    body.extend_from_slice(ENVELOPE_TAIL);
    body
}

/// What of a body stands before a message of `length` bytes.
pub fn envelope_head(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let mut body = PREFIX.to_vec();
    let mut names = Vec::new();
    wire::put_bytes(1, api_version.as_bytes(), &mut names);
    wire::put_bytes(2, kind.as_bytes(), &mut names);
    wire::put_bytes(ENVELOPE_NAMES, &names, &mut body);
    wire::put_head(ENVELOPE_OBJECT, length, &mut body);
    body
}

/// What of a body stands behind the message.
pub const ENVELOPE_TAIL: &[u8] = &[(ENVELOPE_ENCODING as u8) << 3 | 2, 0, (ENVELOPE_TYPE as u8) << 3 | 2, 0];

/// The metadata of a list as it stands in the list's message.
pub fn list_metadata(schema: &Schema, metadata: &Value) -> Vec<u8> {
    first_field(schema, LIST_META, metadata)
}

/// The message of an object that is shown by its metadata alone.
pub fn only_metadata(schema: &Schema, metadata: &Value) -> Vec<u8> {
    first_field(schema, OBJECT_META, metadata)
}

fn first_field(schema: &Schema, type_name: &str, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    wire::put_bytes(METADATA, &encode_message(schema, type_name, value).unwrap_or_default(), &mut out);
    out
}

/// One item as it stands in a list's message.
pub fn list_item(message: &[u8], out: &mut Vec<u8>) {
    wire::put_bytes(LIST_ITEMS, message, out);
}

/// Bytes that an item of that length takes in a list's message.
pub fn list_item_length(length: usize) -> usize {
    let mut head = Vec::new();
    wire::put_head(LIST_ITEMS, length, &mut head);
    head.len() + length
}

/// One event of a watch: its length in four bytes, its type, and the body of its object.
pub fn watch_event(kind: &str, body: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(body.len() + 8);
    wire::put_bytes(1, body, &mut raw);
    let mut event = Vec::with_capacity(raw.len() + 24);
    wire::put_bytes(1, kind.as_bytes(), &mut event);
    wire::put_bytes(2, &raw, &mut event);
    let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.append(&mut event);
    frame
}

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

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
    fn unions_of_schemas_and_named_lists_come_back() {
        let definition = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
        let properties = json!({
            "a": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
            "b": {"type": "object", "additionalProperties": false, "dependencies": {"c": ["d"], "e": {"type": "string"}}},
            "c": {"default": {"x": [1]}, "enum": ["p", 2], "minimum": 0.0},
        });
        let version = json!({
            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}},
        });
        let object = json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}, "spec": {
            "group": "g", "names": {"kind": "K", "plural": "ks"}, "scope": "Namespaced", "versions": [version]}});
        let mut read = decode(Schema::builtin(), definition, &encode(Schema::builtin(), definition, &object).unwrap());
        let read = read.as_mut().unwrap();
        crate::prune(Schema::builtin(), definition, read);
        assert_eq!(read["spec"], object["spec"]);
        let list = "io.k8s.apimachinery.pkg.apis.meta.v1.APIResourceList";
        let resources = json!([{"name": "pods", "namespaced": true, "kind": "Pod", "singularName": "pod", "verbs": ["get", "list"]}]);
        let written = encode(Schema::builtin(), list, &json!({"groupVersion": "v1", "resources": resources})).unwrap();
        assert_eq!(decode(Schema::builtin(), list, &written).unwrap()["resources"][0]["verbs"], json!(["get", "list"]));
        // A message of its own: field 4, its length, and in it field 1 for each.
        assert!(written.windows(4).any(|bytes| bytes == [4 << 3 | 2, 11, 1 << 3 | 2, 3]), "{written:?}");
    }

    #[test]
    fn numbers_are_cut_to_their_size_and_unions_add_up() {
        let port = field(1, &field(4, &[&[0x10][..], &[0xff; 9], &[0x01]].concat()));
        let service = decode(Schema::builtin(), "io.k8s.api.core.v1.Service", &body("v1", "Service", &field(2, &port)));
        assert_eq!(service.unwrap()["spec"]["ports"][0]["targetPort"], json!(-1));
        let schema = |fields: &[u8]| {
            let type_name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";
            decode(Schema::builtin(), type_name, &body("v1", "X", fields)).unwrap()["additionalProperties"].clone()
        };
        // Field 30 holds a union: in it 1 says whether there may be others, and 2 of which form.
        let union = |content: &[u8]| [&[0xf2, 0x01, content.len() as u8], content].concat();
        let (any, text, titled) = ([0x08, 1], field(2, &field(5, b"string")), field(2, &field(7, b"t")));
        assert_eq!(schema(&union(&any)), json!(true));
        assert_eq!(schema(&[union(&text), union(&any)].concat()), json!({"type": "string"}));
        assert_eq!(schema(&[union(&text), union(&titled)].concat()), json!({"type": "string", "title": "t"}));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let refused = |body: &[u8]| decode(Schema::builtin(), "io.k8s.api.core.v1.Pod", body).unwrap_err();
        assert_eq!(refused(b"x"), ProtobufError::Prefix);
        assert_eq!(refused(b"k8s\0\x0a\x7f"), ProtobufError::Malformed("unexpected end of message"));
        let wrong = body("v1", "Pod", &[0x08, 0x01]);
        assert_eq!(refused(&wrong), decode::WRONG_WIRE);
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
