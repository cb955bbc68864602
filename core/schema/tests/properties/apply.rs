//! Server-side apply on config maps, against books that name for each field its value and who owns it.

use std::collections::{BTreeMap, BTreeSet};

use gantry_schema::Schema;
use gantry_schema::ssa::{Actor, ApplyError, apply, update};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::bounded;

const MAP: &str = "io.k8s.api.core.v1.ConfigMap";

/// Fields by map and key.
type Fields = BTreeMap<(&'static str, String), String>;

#[derive(Clone, Debug)]
enum Write {
    Apply { manager: &'static str, fields: Fields, force: bool },
    Update { manager: &'static str, fields: Fields },
}

/// For each field its value and its owners.
#[derive(Clone, Debug, Default, PartialEq)]
struct Books(BTreeMap<(&'static str, String), (String, BTreeSet<&'static str>)>);

impl Books {
    /// Fields that others own with another value, with whose they are.
    fn conflicts(&self, me: &str, fields: &Fields) -> BTreeSet<(&'static str, String)> {
        let other = |(field, value): &(&(&'static str, String), &String)| {
            let held = self.0.get(*field);
            held.is_some_and(|(now, owners)| now != *value && owners.iter().any(|owner| *owner != me))
        };
        fields.iter().filter(other).map(|(field, _)| field.clone()).collect()
    }

    fn apply(&mut self, me: &'static str, fields: &Fields) {
        for (_, owners) in self.0.values_mut() {
            owners.remove(me);
        }
        for (field, value) in fields {
            let (now, owners) = self.0.entry(field.clone()).or_default();
            if now != value {
                owners.clear();
                now.clone_from(value);
            }
            owners.insert(me);
        }
        self.0.retain(|_, (_, owners)| !owners.is_empty());
    }

    fn update(&mut self, me: &'static str, fields: &Fields) {
        self.0.retain(|field, _| fields.contains_key(field));
        for (field, value) in fields {
            match self.0.get_mut(field) {
                Some((now, _)) if now == value => {}
                _ => drop(self.0.insert(field.clone(), (value.clone(), BTreeSet::from([me])))),
            }
        }
    }
}

fn fields() -> impl Strategy<Value = Fields> {
    let place = (prop_oneof![Just("data"), Just("labels")], "[a-c]");
    proptest::collection::btree_map(place, "[x-z]", 0..4)
}

/// Fields that somebody always owns: a map that became empty would be owned, and conflict, as a whole.
fn kept() -> Fields {
    ["data", "labels"].into_iter().map(|place| ((place, "k".to_owned()), "x".to_owned())).collect()
}

fn writes() -> impl Strategy<Value = Write> {
    let applied = (prop_oneof![Just("a"), Just("b"), Just("c")], fields(), any::<bool>());
    let all = fields().prop_map(|fields| fields.into_iter().chain(kept()).collect::<Fields>());
    let updated = (prop_oneof![Just("u"), Just("v")], all);
    prop_oneof![
        3 => applied.prop_map(|(manager, fields, force)| Write::Apply { manager, fields, force }),
        1 => updated.prop_map(|(manager, fields)| Write::Update { manager, fields }),
    ]
}

fn object(fields: &Fields) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    for ((place, key), value) in fields {
        match *place {
            "data" => object["data"][key] = json!(value),
            _ => object["metadata"]["labels"][key] = json!(value),
        }
    }
    object
}

/// The books as the object tells them.
fn books(object: &Value) -> Books {
    let mut read = Books::default();
    for (place, map) in [("data", &object["data"]), ("labels", &object["metadata"]["labels"])] {
        for (key, value) in map.as_object().into_iter().flatten() {
            read.0.insert((place, key.clone()), (value.as_str().expect("text").to_owned(), BTreeSet::new()));
        }
    }
    for entry in object["metadata"]["managedFields"].as_array().into_iter().flatten() {
        let name =
            ["a", "b", "c", "k", "u", "v"].into_iter().find(|n| entry["manager"] == *n).expect("a known manager");
        let set = &entry["fieldsV1"];
        for (place, owned) in [("data", &set["f:data"]), ("labels", &set["f:metadata"]["f:labels"])] {
            for key in owned.as_object().into_iter().flatten().filter_map(|(key, _)| key.strip_prefix("f:")) {
                let field = read.0.get_mut(&(place, key.to_owned()));
                field.unwrap_or_else(|| panic!("{name} owns {key}, which is not there: {object}")).1.insert(name);
            }
        }
    }
    read
}

fn actor<'a>(manager: &'a str, now: &'a str) -> Actor<'a> {
    Actor { manager, subresource: "", api_version: "v1", now }
}

proptest! {
    #![proptest_config(bounded(300))]

    #[test]
    fn every_write_leaves_the_books_as_the_rules_say(all in proptest::collection::vec(writes(), 1..9)) {
        let first = kept();
        let schema = Schema::builtin();
        let mut live = apply(schema, MAP, None, &object(&first), &actor("k", "2026-01-01T00:00:00Z"), false)
            .expect("created");
        let mut model = Books::default();
        model.apply("k", &first);
        for (second, write) in all.iter().enumerate() {
            let now = format!("2026-01-01T00:01:{second:02}Z");
            match write {
                Write::Update { manager, fields } => {
                    let mut new = object(fields);
                    update(schema, MAP, Some(&live), &mut new, &actor(manager, &now));
                    model.update(manager, fields);
                    live = new;
                }
                Write::Apply { manager, fields, force } => {
                    let config = object(fields);
                    let conflicts = model.conflicts(manager, fields);
                    match apply(schema, MAP, Some(&live), &config, &actor(manager, &now), *force) {
                        Ok(applied) => {
                            prop_assert!(*force || conflicts.is_empty(), "{:?} should conflict", conflicts);
                            model.apply(manager, fields);
                            let later = actor(manager, "2027-01-01T00:00:00Z");
                            let again = apply(schema, MAP, Some(&applied), &config, &later, false).expect("no conflict");
                            prop_assert_eq!(&again, &applied, "again is nothing");
                            live = applied;
                        }
                        Err(ApplyError::Conflicts(told)) => {
                            prop_assert!(!force);
                            let named: BTreeSet<_> = told.causes.iter().map(|cause| field(&cause.field)).collect();
                            prop_assert_eq!(named, conflicts);
                        }
                        Err(other) => prop_assert!(false, "{}", other),
                    }
                }
            }
            prop_assert_eq!(books(&live), model.clone(), "after {:?}", write);
        }
    }
}

/// `.data.a` or `.metadata.labels.a`.
fn field(path: &str) -> (&'static str, String) {
    match (path.strip_prefix(".data."), path.strip_prefix(".metadata.labels.")) {
        (Some(key), _) => ("data", key.to_owned()),
        (_, Some(key)) => ("labels", key.to_owned()),
        _ => panic!("{path} is no field of this test"),
    }
}
