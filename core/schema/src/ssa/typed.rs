//! The walks over typed values that ownership is made of: which fields a value has, what differs between two, their
//! merge, and a value without some of its fields.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::form::{Form, Nature, elements, fields, step};
use super::set::{FieldSet, Node};

/// The fields that an applied configuration claims.
pub(crate) fn fields_of(form: Form<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    claim(form, value, &mut Vec::new(), &mut set);
    set
}

fn claim(form: Form<'_>, value: &Value, path: &mut Vec<String>, set: &mut FieldSet) {
    let form = form.seen(&[Some(value)]);
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
    let Change { added, modified, removed } = differ(form, Some(old), Some(new));
    Comparison { added: added.below, modified: modified.below, removed: removed.below }
}

/// What changed at a place and below it.
#[derive(Default)]
struct Change {
    added: Node,
    modified: Node,
    removed: Node,
}

impl Change {
    /// Takes in what changed at the end of a step.
    fn note(&mut self, step: impl Fn() -> String, below: Change) {
        let sides = [(&mut self.added, below.added), (&mut self.modified, below.modified)];
        for (mine, theirs) in sides.into_iter().chain([(&mut self.removed, below.removed)]) {
            if theirs.member || !theirs.below.is_empty() {
                mine.below.put(step(), theirs);
            }
        }
    }
}

fn differ(form: Form<'_>, old: Option<&Value>, new: Option<&Value>) -> Change {
    let emptiness = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    let mut change = Change::default();
    let deduced = form;
    let form = form.seen(&[old, new]);
    let nature = form.nature();
    if let (Some(before), Some(after)) = (old, new)
        && deduced.nature() != nature
        && before.is_object() != after.is_object()
    {
        // What was a map is none any more, or the other way round: all of the one goes, all of the other comes.
        let (gone, come) = (differ(deduced, old, None), differ(deduced, None, new));
        return Change { added: come.added, modified: Node::default(), removed: gone.removed };
    }
    if nature == Nature::Leaf || (emptiness(old) && emptiness(new)) {
        match (old, new) {
            (None, Some(_)) => change.added.member = true,
            (Some(_), None) => change.removed.member = true,
            (Some(old), Some(new)) => change.modified.member = old != new,
            _ => {}
        }
        return change;
    }
    if nature == Nature::Fields {
        let named = |value| fields(value).into_iter().flatten().map(|(name, inner)| (name.as_str(), inner));
        for (name, old, new) in pairs(named(old), named(new)) {
            change.note(|| step(name), differ(form.field(name), old, new));
        }
    } else {
        let index = |value| elements(form, value).into_iter().collect::<BTreeMap<_, _>>();
        for (element, old, new) in pairs(index(old), index(new)) {
            change.note(|| element.clone(), differ(form.element(), old, new));
        }
    }
    match (old, new) {
        (None, _) => change.added.member = true,
        (_, None) => change.removed.member = true,
        _ => {}
    }
    change
}

/// Two sides that each come in the order of their keys, side by side.
fn pairs<'v, K: Ord>(
    old: impl IntoIterator<Item = (K, &'v Value)>,
    new: impl IntoIterator<Item = (K, &'v Value)>,
) -> impl Iterator<Item = (K, Option<&'v Value>, Option<&'v Value>)> {
    let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
    std::iter::from_fn(move || {
        let order = match (old.peek(), new.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        match order {
            Ordering::Less => old.next().map(|(key, value)| (key, Some(value), None)),
            Ordering::Greater => new.next().map(|(key, value)| (key, None, Some(value))),
            Ordering::Equal => old.next().zip(new.next()).map(|((key, old), (_, new))| (key, Some(old), Some(new))),
        }
    })
}

/// `config` laid over `live`: structs, maps and identified elements merge, leaves are replaced. The answer is null where
/// nothing is left.
pub(crate) fn merge(form: Form<'_>, live: Option<&Value>, config: Option<&Value>) -> Value {
    let empty = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => true,
    };
    let form = form.seen(&[live, config]);
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
    let form = form.seen(&[Some(value)]);
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
                .filter_map(|(step, item)| Some((item, keep(step, item, form.element())?)))
                // wire: an element that has lost everything is still one, and becomes the zero of its struct.
                .map(|(item, kept)| if item.is_object() && kept.is_null() { Value::Object(Map::new()) } else { kept })
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
