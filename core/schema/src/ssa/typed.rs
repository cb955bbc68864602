//! The walks over typed values that ownership is made of: which fields a value has, what differs between two, their
//! merge, and a value without some of its fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::form::{Form, Nature, elements, fields, step};
use super::set::FieldSet;

/// The fields that an applied configuration claims.
pub(crate) fn fields_of(form: Form<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    claim(form, value, &mut Vec::new(), &mut set);
    set
}

fn claim(form: Form<'_>, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    match form.nature() {
        Nature::Leaf => set.insert(path),
        Nature::Fields => {
            for (name, inner) in fields(Some(value)).into_iter().flatten() {
                path.push(step(name));
                claim(form.field(name), inner, path, set);
                let empty = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                if empty || !form.declares(name) {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Nature::Elements => {
            for (element, inner) in elements(form, Some(value)) {
                path.push(element);
                claim(form.element(), inner, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// What changed from one value to another.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) added: FieldSet,
    pub(crate) modified: FieldSet,
    pub(crate) removed: FieldSet,
}

/// Compares two values of one form.
pub(crate) fn compare(form: Form<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    differ(form, Some(old), Some(new), &mut Vec::new(), &mut comparison);
    comparison
}

fn differ(form: Form<'_>, old: Option<&Value>, new: Option<&Value>, path: &mut Vec<String>, found: &mut Comparison) {
    let emptiness = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    let nature = form.nature();
    if nature == Nature::Leaf || (emptiness(old) && emptiness(new)) {
        match (old, new) {
            (None, Some(_)) => found.added.insert(path),
            (Some(_), None) => found.removed.insert(path),
            (Some(old), Some(new)) if old != new => found.modified.insert(path),
            _ => {}
        }
        return;
    }
    if nature == Nature::Fields {
        let (old_fields, new_fields) = (fields(old), fields(new));
        let names: BTreeSet<&String> = old_fields.into_iter().chain(new_fields).flat_map(Map::keys).collect();
        for name in names {
            path.push(step(name));
            let (a, b) = (old_fields.and_then(|f| f.get(name)), new_fields.and_then(|f| f.get(name)));
            differ(form.field(name), a, b, path, found);
            path.pop();
        }
    } else {
        let index = |value| elements(form, value).into_iter().collect::<BTreeMap<_, _>>();
        let (old_items, new_items) = (index(old), index(new));
        let steps: BTreeSet<&String> = old_items.keys().chain(new_items.keys()).collect();
        for element in steps {
            path.push(element.clone());
            let (a, b) = (old_items.get(element).copied(), new_items.get(element).copied());
            differ(form.element(), a, b, path, found);
            path.pop();
        }
    }
    match (old, new) {
        (None, _) => found.added.insert(path),
        (_, None) => found.removed.insert(path),
        _ => {}
    }
}

/// `config` laid over `live`: structs, maps and identified elements merge, leaves are replaced. The answer is null where
/// nothing is left.
pub(crate) fn merge(form: Form<'_>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let empty = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    let nature = form.nature();
    if nature == Nature::Leaf || (empty(live) && empty(config)) {
        return config.or(live).cloned().unwrap_or_default();
    }
    if nature == Nature::Elements {
        return merge_elements(form, live, config);
    }
    let mut merged = Map::new();
    for (name, inner) in fields(live).into_iter().flatten() {
        let over = fields(config).and_then(|f| f.get(name));
        merged.insert(name.clone(), merge(form.field(name), Some(inner), over));
    }
    for (name, inner) in fields(config).into_iter().flatten() {
        if !merged.contains_key(name) {
            merged.insert(name.clone(), merge(form.field(name), None, Some(inner)));
        }
    }
    Value::Object(merged)
}

/// Elements of both lists: the configuration's in its order; what only the live list has stays where it was among them.
fn merge_elements(form: Form<'_>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let (live, config) = (elements(form, live), elements(form, config));
    let live_by_step: BTreeMap<&str, &Value> = live.iter().rev().map(|(step, item)| (step.as_str(), *item)).collect();
    let in_config: BTreeSet<&str> = config.iter().map(|(step, _)| step.as_str()).collect();
    let mut merged = Vec::new();
    let mut coming = config.iter().peekable();
    let mut take = |merged: &mut Vec<Value>, until: Option<&str>| {
        // The next element of the configuration that the live list has must be `until`; else it is not its turn.
        if let Some(until) = until {
            let next = coming.clone().find(|(step, _)| live_by_step.contains_key(step.as_str()));
            if next.is_none_or(|(step, _)| step != until) {
                return;
            }
        }
        for (step, item) in coming.by_ref() {
            merged.push(merge(form.element(), live_by_step.get(step.as_str()).copied(), Some(item)));
            if until == Some(step.as_str()) {
                break;
            }
        }
    };
    for (step, item) in &live {
        if in_config.contains(step.as_str()) {
            take(&mut merged, Some(step));
        } else {
            merged.push((*item).clone());
        }
    }
    take(&mut merged, None);
    Value::Array(merged)
}

/// `value` without the members of `unwanted`; what becomes empty by that becomes null.
pub(crate) fn remove(form: Form<'_>, value: &Value, unwanted: &FieldSet) -> Value {
    let keep = |name: String, part: &Value, form: Form<'_>| {
        if unwanted.has(&name) {
            return None;
        }
        Some(match unwanted.below(&name) {
            Some(below) => remove(form, part, below),
            None => part.clone(),
        })
    };
    match (form.nature(), value) {
        (Nature::Fields, Value::Object(parts)) => {
            let kept: Map<String, Value> = parts
                .iter()
                .filter_map(|(name, part)| Some((name.clone(), keep(step(name), part, form.field(name))?)))
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Nature::Elements, Value::Array(_)) => {
            let kept: Vec<Value> = elements(form, Some(value))
                .into_iter()
                .filter_map(|(step, item)| keep(step, item, form.element()))
                .collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        _ => value.clone(),
    }
}

/// `set` with every declared field on the way to a member made a member too.
pub(crate) fn with_named_fields(form: Form<'_>, set: &FieldSet) -> FieldSet {
    set.with_named(form, &|form: Form<'_>, step: &str| form.follow(step))
}
