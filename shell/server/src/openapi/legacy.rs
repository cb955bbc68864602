//! The old description of the API (OpenAPI 2, in its binary form), as far as clients still use it: kubectl looks there
//! whether `fieldValidation` and `dryRun` are understood before it sends a `List`.

use bytes::Bytes;
use gantry_kinds::{Kind, table};

/// The media type as clients ask for it.
pub(crate) const ACCEPTED: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
/// The media type as it is answered.
pub(crate) const ANSWERED: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Query parameters of a PATCH, and their types.
const PARAMETERS: [(&str, &str); 4] =
    [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];

/// The document: the PATCH of every kind that has one.
pub(crate) fn document() -> Bytes {
    let info = [bytes(1, b"Kubernetes"), bytes(2, b"1.37")].concat();
    let patched = table::ALL.iter().filter(|kind| kind.verbs.contains(&"patch"));
    let paths: Vec<u8> = patched
        .flat_map(|kind| bytes(2, &[bytes(1, path_of(kind).as_bytes()), bytes(2, &item(kind))].concat()))
        .collect();
    Bytes::from([bytes(1, b"2.0"), bytes(2, &info), bytes(8, &paths)].concat())
}

fn path_of(kind: &Kind) -> String {
    let root = if kind.group.is_empty() { "/api" } else { "/apis" };
    let namespace = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    format!("{root}/{}{namespace}/{}/{{name}}", kind.api_version(), kind.plural)
}

/// A path with its PATCH.
fn item(kind: &Kind) -> Vec<u8> {
    let names = format!("group: {:?}\nkind: {}\nversion: {}\n", kind.group, kind.kind, kind.version);
    let mut operation = Vec::new();
    for (name, value_type) in PARAMETERS {
        let query = [bytes(2, b"query"), bytes(4, name.as_bytes()), bytes(6, value_type.as_bytes())].concat();
        operation.extend(bytes(8, &bytes(1, &bytes(2, &bytes(3, &query)))));
    }
    operation.extend(extension("x-kubernetes-action", "patch\n"));
    operation.extend(extension("x-kubernetes-group-version-kind", &names));
    bytes(8, &operation)
}

/// A vendor extension, whose value is YAML.
fn extension(name: &str, yaml: &str) -> Vec<u8> {
    bytes(13, &[bytes(1, name.as_bytes()), bytes(2, &bytes(2, yaml.as_bytes()))].concat())
}

/// Field `number` of a message, with its length.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        assert_eq!(bytes(1, b"ab"), [0x0a, 2, b'a', b'b']);
        assert_eq!(bytes(2, &[0; 300])[..3], [0x12, 0xac, 0x02]);
    }

    #[test]
    fn every_kind_that_can_be_patched_is_there() {
        let text = String::from_utf8_lossy(&document()).into_owned();
        for wanted in [
            "/api/v1/namespaces/{name}",
            "/apis/apps/v1/namespaces/{namespace}/deployments/{name}",
            "group: \"\"\nkind: Namespace\nversion: v1\n",
            "fieldValidation",
        ] {
            assert!(text.contains(wanted), "{wanted}");
        }
    }
}
