//! Objects in the binary form: which message an object is, by what it says of itself.

use gantry_kinds::KindRef;
use gantry_schema::{Schema, protobuf};
use serde_json::Value;

/// How the form is called.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// How a stream of events in it is called.
pub(crate) const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// The body of an answer; `None` when objects of that kind have no binary form.
pub(crate) fn body(object: &Value) -> Option<Vec<u8>> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    Some(protobuf::envelope(api_version, kind, &message(api_version, kind, object)?))
}

/// An item of a list of that kind, or its metadata alone.
pub(crate) fn item(kind: KindRef, only_metadata: bool, object: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(object).unwrap_or_default();
    if only_metadata {
        return protobuf::only_metadata(Schema::builtin(), &value["metadata"]);
    }
    protobuf::encode_message(Schema::builtin(), kind.schema, &value).unwrap_or_default()
}

fn message(api_version: &str, kind: &str, object: &Value) -> Option<Vec<u8>> {
    let schema = Schema::builtin();
    match (api_version, kind) {
        ("meta.k8s.io/v1", "PartialObjectMetadata") => Some(protobuf::only_metadata(schema, &object["metadata"])),
        ("meta.k8s.io/v1", "PartialObjectMetadataList") => {
            let mut list = protobuf::list_metadata(schema, &object["metadata"]);
            for item in object["items"].as_array().into_iter().flatten() {
                protobuf::list_item(&protobuf::only_metadata(schema, &item["metadata"]), &mut list);
            }
            Some(list)
        }
        (_, "APIGroupDiscoveryList") => Some(protobuf::group_discovery_list(schema, object)),
        // wire: documents about the API say no version.
        ("", _) => protobuf::encode_message(schema, &schema.of_kind("v1", kind)?.name, object),
        _ => protobuf::encode_message(schema, &schema.of_kind(api_version, kind)?.name, object),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_a_message_is_written_and_all_else_is_not() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}});
        let body = body(&namespace).expect("a message");
        let name = "io.k8s.api.core.v1.Namespace";
        let read = protobuf::decode(Schema::builtin(), name, &body).expect("a namespace");
        assert_eq!(read["metadata"]["name"], "a");
        let partial =
            json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "a"}});
        let read = protobuf::decode(Schema::builtin(), name, &super::body(&partial).expect("a message"));
        assert_eq!(read.expect("metadata")["metadata"]["name"], "a");
        assert!(super::body(&json!({"kind": "APIVersions", "versions": ["v1"]})).is_some());
        assert_eq!(super::body(&json!({"apiVersion": "g.io/v1", "kind": "Foo"})), None);
    }
}
