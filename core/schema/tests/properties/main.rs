//! Patches and apply over generated objects, against rules that are stated here anew and share nothing with the code.

mod apply;
mod json_patch;
mod merge_patch;
mod strategic;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A few cases, which PROPTEST_RNG_SEED chooses.
fn bounded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Trees of few names, so that documents and patches meet.
fn trees(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-2..3i64).prop_map(Value::from),
        "[a-c]?".prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            objects(inner).prop_map(Value::Object),
        ]
    })
}

fn objects(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("(a|b|c|~|/|~1|é)", inner, 0..4).prop_map(|map| map.into_iter().collect())
}

/// Documents: objects on top.
fn documents() -> impl Strategy<Value = Value> {
    objects(trees(3)).prop_map(Value::Object)
}

/// The tree without fields that are null; elements of lists stay.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, field)| !field.is_null())
            .map(|(name, field)| (name.clone(), without_nulls(field)))
            .collect(),
        other => other.clone(),
    }
}
