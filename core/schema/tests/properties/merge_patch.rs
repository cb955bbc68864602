//! Merge patch: what a patch says of each path of names, and nothing else, decides what is there afterwards.

use gantry_schema::patch::merge;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{bounded, documents, without_nulls};

/// The patch that makes `to` of `from`.
fn difference(from: &Map<String, Value>, to: &Map<String, Value>) -> Value {
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, new) in to {
        match (from.get(name), new) {
            (Some(old), new) if old == new => {}
            (Some(Value::Object(old)), Value::Object(new)) => drop(patch.insert(name.clone(), difference(old, new))),
            _ => drop(patch.insert(name.clone(), new.clone())),
        }
    }
    Value::Object(patch)
}

/// What must be at `name` of the result, by what the two sides have there.
fn expected(old: Option<&Value>, change: Option<&Value>) -> Option<Value> {
    match (old, change) {
        (old, None) => old.cloned(),
        (_, Some(Value::Null)) => None,
        (old, Some(Value::Object(changes))) => {
            let empty = Map::new();
            let fields = old.and_then(Value::as_object).unwrap_or(&empty);
            let names = fields.keys().chain(changes.keys());
            let kept = names.filter_map(|n| Some((n.clone(), expected(fields.get(n), changes.get(n))?)));
            Some(Value::Object(kept.collect()))
        }
        (_, Some(plain)) => Some(plain.clone()),
    }
}

proptest! {
    #![proptest_config(bounded(400))]

    #[test]
    fn every_path_is_decided_by_the_patch_or_left(document in documents(), patch in documents()) {
        prop_assert_eq!(Some(merge(&document, &patch).expect("merged")), expected(Some(&document), Some(&patch)));
    }

    #[test]
    fn a_patch_twice_is_a_patch_once(document in documents(), patch in documents()) {
        let once = merge(&document, &patch).expect("merged");
        prop_assert_eq!(merge(&once, &patch).expect("merged"), once);
    }

    #[test]
    fn differences_lead_from_one_document_to_the_other(from in documents(), to in documents()) {
        let (from, to) = (without_nulls(&from), without_nulls(&to));
        let patch = difference(from.as_object().expect("an object"), to.as_object().expect("an object"));
        prop_assert_eq!(merge(&from, &patch).expect("merged"), to);
    }

    #[test]
    fn an_empty_patch_changes_nothing(document in documents()) {
        prop_assert_eq!(merge(&document, &json!({})).expect("merged"), document);
    }
}
