//! JSON patch: each operation as an edit at a place of the tree, where a place is a list of steps and never a text.

use gantry_schema::patch;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{bounded, documents, trees};

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Name(String),
    At(usize),
}

/// All places of a tree but its root.
fn places(value: &Value, here: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut below = |step: Step, child: &Value| {
        here.push(step);
        found.push(here.clone());
        places(child, here, found);
        here.pop();
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, child)| below(Step::Name(name.clone()), child)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, child)| below(Step::At(at), child)),
        _ => {}
    }
}

fn all_places(value: &Value) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    places(value, &mut Vec::new(), &mut found);
    found
}

fn pointer(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        text.push('/');
        match step {
            Step::Name(name) => name.chars().for_each(|c| match c {
                '~' => text.push_str("~0"),
                '/' => text.push_str("~1"),
                other => text.push(other),
            }),
            Step::At(at) => text.push_str(&at.to_string()),
        }
    }
    text
}

fn at<'a>(value: &'a Value, place: &[Step]) -> &'a Value {
    place.iter().fold(value, |value, step| match step {
        Step::Name(name) => &value[name],
        Step::At(at) => &value[*at],
    })
}

fn edit(value: &mut Value, place: &[Step], change: &mut dyn FnMut(&mut Value, &Step)) {
    match place {
        [] => {}
        [last] => change(value, last),
        [Step::Name(name), rest @ ..] => edit(&mut value[name.as_str()], rest, change),
        [Step::At(at), rest @ ..] => edit(&mut value[*at], rest, change),
    }
}

fn add(document: &mut Value, place: &[Step], new: &Value) {
    edit(document, place, &mut |holder, last| match (holder, last) {
        (Value::Object(fields), Step::Name(name)) => drop(fields.insert(name.clone(), new.clone())),
        (Value::Array(items), Step::At(at)) => items.insert(*at, new.clone()),
        (holder, last) => panic!("{last:?} in {holder}"),
    });
}

fn replace(document: &mut Value, place: &[Step], new: &Value) {
    edit(document, place, &mut |holder, last| match last {
        Step::Name(name) => holder[name.as_str()] = new.clone(),
        Step::At(at) => holder[*at] = new.clone(),
    });
}

fn remove(document: &mut Value, place: &[Step]) {
    edit(document, place, &mut |holder, last| match (holder, last) {
        (Value::Object(fields), Step::Name(name)) => drop(fields.remove(name)),
        (Value::Array(items), Step::At(at)) => drop(items.remove(*at)),
        (holder, last) => panic!("{last:?} in {holder}"),
    });
}

/// The operations that make `to` of `from`, one for each place that differs.
fn differences(from: &Value, to: &Value, here: &mut Vec<Step>, operations: &mut Vec<Value>) {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        if from != to {
            operations.push(json!({"op": "replace", "path": pointer(here), "value": to}));
        }
        return;
    };
    for name in old.keys().chain(new.keys()) {
        here.push(Step::Name(name.clone()));
        match (old.get(name), new.get(name)) {
            (Some(_), None) if !operations.iter().any(|o| o["path"] == pointer(here)) => {
                operations.push(json!({"op": "remove", "path": pointer(here)}));
            }
            (None, Some(value)) => operations.push(json!({"op": "add", "path": pointer(here), "value": value})),
            (Some(a), Some(b)) if !operations.iter().any(|o| o["path"] == pointer(here)) => {
                differences(a, b, here, operations);
            }
            _ => {}
        }
        here.pop();
    }
}

proptest! {
    #![proptest_config(bounded(400))]

    #[test]
    fn single_operations_are_edits_at_their_place(
        document in documents(), value in trees(2), which in any::<Index>(), other in any::<Index>(), op in 0..5u8,
    ) {
        let all = all_places(&document);
        prop_assume!(!all.is_empty());
        let (place, source) = (&all[which.index(all.len())], &all[other.index(all.len())]);
        let mut expected = document.clone();
        let operation = match op {
            0 => {
                add(&mut expected, place, &value);
                json!({"op": "add", "path": pointer(place), "value": value})
            }
            1 => {
                replace(&mut expected, place, &value);
                json!({"op": "replace", "path": pointer(place), "value": value})
            }
            2 => {
                remove(&mut expected, place);
                json!({"op": "remove", "path": pointer(place)})
            }
            3 => {
                let copied = at(&document, source).clone();
                add(&mut expected, place, &copied);
                json!({"op": "copy", "from": pointer(source), "path": pointer(place)})
            }
            _ => json!({"op": "test", "path": pointer(place), "value": at(&document, place)}),
        };
        prop_assert_eq!(patch::json(&document, &json!([operation])).expect("it fits"), expected);
    }

    #[test]
    fn what_is_tested_must_be_there(document in documents(), value in trees(2), which in any::<Index>()) {
        let all = all_places(&document);
        prop_assume!(!all.is_empty());
        let place = &all[which.index(all.len())];
        let operations = json!([{"op": "test", "path": pointer(place), "value": value}]);
        match patch::json(&document, &operations) {
            Ok(same) => prop_assert!(at(&document, place) == &value && same == document),
            Err(refused) => prop_assert!(at(&document, place) != &value && refused.code == 422),
        }
    }

    #[test]
    fn a_move_is_a_removal_and_an_addition(document in documents(), which in any::<Index>(), name in "[x-z]") {
        let all = all_places(&document);
        prop_assume!(!all.is_empty());
        let source = &all[which.index(all.len())];
        let target = [Step::Name(name)];
        let mut expected = document.clone();
        let moved = at(&document, source).clone();
        remove(&mut expected, source);
        add(&mut expected, &target, &moved);
        let operations = json!([{"op": "move", "from": pointer(source), "path": pointer(&target)}]);
        prop_assert_eq!(patch::json(&document, &operations).expect("it fits"), expected);
    }

    #[test]
    fn differences_lead_from_one_document_to_the_other(from in documents(), to in documents()) {
        let mut operations = Vec::new();
        differences(&from, &to, &mut Vec::new(), &mut operations);
        prop_assert_eq!(patch::json(&from, &Value::from(operations)).expect("it fits"), to);
    }

    #[test]
    fn one_operation_that_does_not_fit_refuses_all(document in documents(), name in "[x-z]") {
        let operations = json!([
            {"op": "add", "path": "/new", "value": 1},
            {"op": "remove", "path": format!("/{name}")},
        ]);
        prop_assert_eq!(patch::json(&document, &operations).expect_err("there is no such field").code, 422);
    }
}

#[test]
fn patches_have_at_most_ten_thousand_operations() {
    let patch_of = |count: usize| Value::from(vec![json!({"op": "add", "path": "/a", "value": 1}); count]);
    assert_eq!(patch::json(&json!({}), &patch_of(10_000)).expect("allowed"), json!({"a": 1}));
    assert_eq!(patch::json(&json!({}), &patch_of(10_001)).expect_err("refused").code, 413);
}
