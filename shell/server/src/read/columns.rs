//! The columns of a kind's table as JSON, made when first asked for: some are described by the documentation of a
//! field, which is large.

use std::collections::BTreeMap;

use gantry_kinds::KindRef;
use gantry_schema::openapi::descriptions;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// By the place of the row; there are no more than rows, so what is leaked is bounded.
static MADE: Mutex<BTreeMap<usize, &'static [u8]>> = Mutex::new(BTreeMap::new());

/// `columnDefinitions` of a kind.
pub(super) fn of(kind: KindRef) -> &'static [u8] {
    let mut made = MADE.lock();
    made.entry(std::ptr::from_ref(kind).addr()).or_insert_with(|| Vec::leak(make(kind).to_string().into_bytes()))
}

fn make(kind: KindRef) -> Value {
    let documented = kind.columns.iter().map(|column| column.documents).filter(|field| !field.is_empty());
    // The name is a field of every object's metadata.
    let schema = if kind.is_custom() { gantry_kinds::CONFIG_MAP.schema } else { kind.schema };
    let texts = descriptions(schema, documented);
    let columns = kind.columns.iter().map(|column| {
        let text = texts.get(column.documents).map_or(column.description, String::as_str);
        json!({"name": column.name, "type": column.kind, "format": column.format, "description": text,
            "priority": column.priority})
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    use gantry_kinds::NAMESPACE;

    use super::*;

    #[test]
    fn columns_are_described_by_the_fields_that_they_show() {
        let columns: Value = serde_json::from_slice(of(&NAMESPACE)).unwrap();
        assert_eq!((&columns[0]["name"], &columns[0]["format"]), (&json!("Name"), &json!("name")));
        assert!(columns[0]["description"].as_str().is_some_and(|d| d.starts_with("Name must be unique")));
        assert_eq!(columns[1]["description"], "The status of the namespace");
    }
}
