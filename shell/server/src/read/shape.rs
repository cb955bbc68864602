//! What of an object goes on the wire: all of it, its metadata, or a row of a table. Whole objects are copied, never
//! parsed.

use gantry_kinds::{KindRef, Status};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Refusal;
use crate::negotiate::Shape;
use crate::query::Query;
use crate::read::columns;

/// `includeObject`: what a table's row carries beside its cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Object,
}

/// Writes objects of one kind in one shape.
#[derive(Clone)]
pub(crate) struct Renderer {
    pub(crate) kind: KindRef,
    pub(crate) shape: Shape,
    include: Include,
    now: Timestamp,
}

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

impl Renderer {
    /// A renderer for a request; `now` is for ages.
    pub(crate) fn new(kind: KindRef, shape: Shape, query: &Query, now: Timestamp) -> Result<Self, Refusal> {
        let include = match query.text("includeObject") {
            None | Some("Metadata") => Include::Metadata,
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            Some(_) if shape != Shape::Table => Include::Metadata,
            Some(other) => {
                let why =
                    format!("includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty");
                return Err(Box::new(Status::bad_request(format!("Unable to convert to Table as requested: {why}"))));
            }
        };
        Ok(Renderer { kind, shape, include, now })
    }

    /// Ages are told as of `now` from here on.
    pub(crate) fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Appends one item of a list.
    pub(crate) fn item(&self, object: &[u8], out: &mut Vec<u8>) {
        match self.shape {
            Shape::Whole => out.extend_from_slice(object),
            Shape::Metadata | Shape::MetadataList => partial(object, out),
            Shape::Table => self.row(object, out),
        }
    }

    /// Appends one object that stands alone. `columns`: whether a table says what its columns are.
    pub(crate) fn single(&self, object: &[u8], columns: bool, out: &mut Vec<u8>) {
        if self.shape != Shape::Table {
            return self.item(object, out);
        }
        let version = resource_version(object);
        self.open(&json!({ "resourceVersion": version }), columns, out);
        self.row(object, out);
        self.close(out);
    }

    /// Appends everything before the first item of a list.
    pub(crate) fn open(&self, metadata: &Value, columns: bool, out: &mut Vec<u8>) {
        let (kind, version) = match self.shape {
            Shape::Whole => (format!("{}List", self.kind.kind), self.kind.api_version()),
            Shape::Table => ("Table".to_owned(), "meta.k8s.io/v1".to_owned()),
            Shape::Metadata | Shape::MetadataList => {
                ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned())
            }
        };
        out.extend_from_slice(
            format!("{{\"kind\":{kind:?},\"apiVersion\":{version:?},\"metadata\":{metadata},").as_bytes(),
        );
        if self.shape == Shape::Table {
            out.extend_from_slice(b"\"columnDefinitions\":");
            out.extend_from_slice(if columns { columns::of(self.kind) } else { b"null" });
            out.extend_from_slice(b",\"rows\":[");
        } else {
            out.extend_from_slice(b"\"items\":[");
        }
    }

    /// Appends everything after the last item of a list.
    pub(crate) fn close(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"]}");
    }

    fn row(&self, object: &[u8], out: &mut Vec<u8>) {
        let value: Value = serde_json::from_slice(object).unwrap_or(Value::Null);
        let cells = Value::Array(self.kind.row(&value, self.now));
        out.extend_from_slice(format!("{{\"cells\":{cells},\"object\":").as_bytes());
        match self.include {
            Include::Nothing => out.extend_from_slice(b"null"),
            Include::Metadata => partial(object, out),
            Include::Object => out.extend_from_slice(object),
        }
        out.push(b'}');
    }
}

fn partial(object: &[u8], out: &mut Vec<u8>) {
    let metadata = serde_json::from_slice::<Probe<'_>>(object).map_or("{}", |probe| probe.metadata.get());
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":");
    out.extend_from_slice(metadata.as_bytes());
    out.push(b'}');
}

fn resource_version(object: &[u8]) -> String {
    #[derive(Deserialize, Default)]
    struct Meta {
        #[serde(rename = "resourceVersion", default)]
        version: String,
    }
    #[derive(Deserialize)]
    struct Whole {
        metadata: Meta,
    }
    serde_json::from_slice::<Whole>(object).map_or_else(|_| String::new(), |whole| whole.metadata.version)
}

#[cfg(test)]
mod tests {
    use gantry_kinds::NAMESPACE;

    use super::*;

    const OBJECT: &[u8] = br#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"a","resourceVersion":"7"},"status":{"phase":"Active"}}"#;

    fn rendered(shape: Shape, query: &str) -> Value {
        let renderer = Renderer::new(&NAMESPACE, shape, &Query::parse(Some(query)), Timestamp::UNIX_EPOCH).unwrap();
        let mut out = Vec::new();
        renderer.single(OBJECT, true, &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn metadata_is_cut_out_of_the_object() {
        let value = rendered(Shape::Metadata, "");
        let expected = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"name": "a", "resourceVersion": "7"}});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_table_has_the_kinds_columns_and_what_was_asked_beside_the_cells() {
        let table = rendered(Shape::Table, "");
        assert_eq!(table["metadata"]["resourceVersion"], "7");
        assert_eq!(
            table["rows"][0]["cells"].as_array().unwrap().len(),
            table["columnDefinitions"].as_array().unwrap().len()
        );
        assert_eq!(table["rows"][0]["cells"][1], "Active");
        assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(rendered(Shape::Table, "includeObject=None")["rows"][0]["object"], Value::Null);
        assert_eq!(rendered(Shape::Table, "includeObject=Object")["rows"][0]["object"]["kind"], "Namespace");
        let refused =
            Renderer::new(&NAMESPACE, Shape::Table, &Query::parse(Some("includeObject=Foo")), Timestamp::UNIX_EPOCH);
        assert!(refused.is_err_and(|s| s.code == 400));
    }
}
