//! Aggregated discovery as messages: its types are in no table of kinds, for nobody keeps such objects.

use serde_json::Value;

use super::wire::put_bytes;
use super::{list_item, list_metadata, only_metadata};
use crate::types::Schema;

/// The message of an `APIGroupDiscoveryList`.
pub fn group_discovery_list(schema: &Schema, list: &Value) -> Vec<u8> {
    let mut out = list_metadata(schema, &list["metadata"]);
    for group in items(&list["items"]) {
        let mut message = only_metadata(schema, &group["metadata"]);
        for version in items(&group["versions"]) {
            put_bytes(2, &version_message(version), &mut message);
        }
        list_item(&message, &mut out);
    }
    out
}

fn version_message(version: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(1, &version["version"], &mut out);
    for resource in items(&version["resources"]) {
        put_bytes(2, &resource_message(resource), &mut out);
    }
    text(3, &version["freshness"], &mut out);
    out
}

fn resource_message(resource: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text(1, &resource["resource"], &mut out);
    kind(&resource["responseKind"], &mut out);
    text(3, &resource["scope"], &mut out);
    text(4, &resource["singularResource"], &mut out);
    for (number, name) in [(5, "verbs"), (6, "shortNames"), (7, "categories")] {
        items(&resource[name]).for_each(|word| text(number, word, &mut out));
    }
    for subresource in items(&resource["subresources"]) {
        let mut message = Vec::new();
        text(1, &subresource["subresource"], &mut message);
        kind(&subresource["responseKind"], &mut message);
        items(&subresource["verbs"]).for_each(|word| text(4, word, &mut message));
        put_bytes(8, &message, &mut out);
    }
    out
}

fn kind(kind: &Value, out: &mut Vec<u8>) {
    if !kind.is_object() {
        return;
    }
    let mut message = Vec::new();
    for (number, name) in [(1, "group"), (2, "version"), (3, "kind")] {
        text(number, &kind[name], &mut message);
    }
    put_bytes(2, &message, out);
}

fn text(number: u32, value: &Value, out: &mut Vec<u8>) {
    put_bytes(number, value.as_str().unwrap_or_default().as_bytes(), out);
}

fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or(&[][..], Vec::as_slice).iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_upstreams_byte_for_byte() {
        let resource = json!({"resource": "bindings", "responseKind": {"group": "", "version": "", "kind": "Binding"},
            "scope": "Namespaced", "singularResource": "binding", "verbs": ["create"]});
        let expected =
            b"\x0a\x08bindings\x12\x0d\x0a\x00\x12\x00\x1a\x07Binding\x1a\x0aNamespaced\"\x07binding*\x06create";
        assert_eq!(resource_message(&resource), expected);
        let version = json!({"version": "v1", "freshness": "Stale"});
        let list = json!({"metadata": {}, "items": [{"metadata": {"name": "g"}, "versions": [version]}]});
        let group = b"\x0a\x11\x0a\x01g\x12\x00\x1a\x00\"\x00*\x002\x008\x00B\x00\x12\x0b\x0a\x02v1\x1a\x05Stale";
        let list = group_discovery_list(Schema::builtin(), &list);
        assert!(list.ends_with(group), "{list:?}");
        assert_eq!(list[..8], *b"\x0a\x06\x0a\x00\x12\x00\x1a\x00");
    }
}
