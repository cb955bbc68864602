//! Server-side apply and field ownership: what `metadata.managedFields` says after every kind of write.
//!
//! `apply` merges a configuration into the live object and answers with conflicts when it would change what another
//! manager owns; `update` keeps the books for all other writes. Both give the same entries as upstream: an entry's time
//! moves only when its manager changed something, empty entries vanish, system fields have no owner.

mod form;
mod last_applied;
mod managed;
#[cfg(test)]
mod properties;
mod set;
mod typed;
mod validate;
mod versions;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::check::check;
use crate::patch::PatchError;
use crate::prune::prune;
use crate::types::Schema;
use form::Form;
use managed::{Entry, Managed, Owner, is_reset, strip};
use set::FieldSet;
use versions::{Across, Alike, Effect};

pub use versions::Versions;

/// Who writes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// Name of the field manager.
    pub manager: &'a str,
    /// Subresource that is written; empty for the object itself.
    pub subresource: &'a str,
    /// `apiVersion` of the object.
    pub api_version: &'a str,
    /// The time, RFC 3339 with whole seconds in UTC; empty to write none (as for `scale`).
    pub now: &'a str,
}

/// One field that another manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConflictCause {
    /// `conflict with "m" using apps/v1`.
    pub message: String,
    /// `.spec.replicas`.
    pub field: String,
}

/// Why an apply without force is refused: 409, each cause with the reason `FieldManagerConflict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts {
    /// The whole message.
    pub message: String,
    /// One for each field and manager.
    pub causes: Vec<ConflictCause>,
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Other managers own what would change.
    #[error("{}", .0.message)]
    Conflicts(Conflicts),
    /// The configuration is not a value of its type.
    #[error(transparent)]
    Refused(#[from] PatchError),
}

/// Why a write could not be booked, where other versions had a word in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure<E> {
    /// It is refused.
    Apply(ApplyError),
    /// An object could not be converted to the version of a manager.
    Conversion(E),
}

impl<E> From<ApplyError> for Failure<E> {
    fn from(error: ApplyError) -> Self {
        Failure::Apply(error)
    }
}

impl<E> From<PatchError> for Failure<E> {
    fn from(error: PatchError) -> Self {
        Failure::Apply(error.into())
    }
}

/// As `apply_across`, for a kind whose versions differ by name alone.
pub fn apply(
    schema: &Schema,
    type_name: &str,
    live: Option<&Value>,
    config: &Value,
    actor: &Actor<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    match apply_across(&Alike(schema, type_name), live, config, actor, force) {
        Ok(applied) => Ok(applied),
        Err(Failure::Apply(error)) => Err(error),
        Err(Failure::Conversion(never)) => match never {},
    }
}

/// Applies `config` as `actor`. `live` is the stored object, `None` when apply creates it.
///
/// The answer is the merged object, pruned, with its entries, before defaulting.
pub fn apply_across<V: Versions>(
    versions: &V,
    live: Option<&Value>,
    config: &Value,
    actor: &Actor<'_>,
    force: bool,
) -> Result<Value, Failure<V::Error>> {
    let Some((schema, type_name)) = versions.types(actor.api_version) else { return Ok(config.clone()) };
    let Some(form) = Form::of_type(schema, type_name) else { return Ok(config.clone()) };
    let across = Across { versions, mine: actor.api_version, form };
    let bare = bare_live(schema, type_name, live);
    let config = &strip(config);
    refuse_invalid(form, config, actor)?;
    let me = owner("Apply", actor);
    let mut entries = live.map(Managed::of).unwrap_or_default();
    if let Some(object) = live
        && entries.0.is_empty()
    {
        entries = before_first_apply(schema, type_name, object, actor);
    }
    let previous = entries.take_applied(&me);
    let ignored = ignored_fields(actor.subresource);
    let claimed = typed::fields_of(form, config).without_prefixes(ignored);
    let since = previous.as_ref().map(|(_, entry)| entry.time.clone()).unwrap_or_default();
    entries.0.insert(me.clone(), Entry { fields: claimed, time: since });

    let merged = typed::merge(form, Some(&bare), Some(config));
    let merged = match &previous {
        Some((version, before)) if !before.fields.is_empty() => {
            across.drop_given_up(merged, &entries, version, &before.fields).map_err(Failure::Conversion)?
        }
        _ => merged,
    };
    let tolerated = if force { None } else { Some(last_applied::tolerated(live, config, actor, form)) };
    let effects = across.effects(&bare, &merged, &mut entries, ignored).map_err(Failure::Conversion)?;
    settle(&effects, &mut entries, &me, tolerated.as_ref()).map_err(ApplyError::Conflicts)?;

    let changed = merged != bare;
    let mut result = merged;
    refuse_misfit(schema, type_name, &result, actor)?;
    prune(schema, type_name, &mut result);
    last_applied::refresh(live, config, actor, &mut result);
    if let Some(entry) = entries.0.get_mut(&me) {
        entry.fields.subtract(system_fields());
        if changed {
            actor.now.clone_into(&mut entry.time);
        }
        if entry.fields.is_empty() {
            entries.0.remove(&me);
        }
    }
    if let Some(object) = live.filter(|_| result == bare)
        && Managed::of(object).same_fields(&entries)
    {
        return Ok(object.clone());
    }
    entries.write(&mut result);
    Ok(result)
}

/// Lays a part of an object over it, as an apply would, without asking who manages what. Lists, maps and structs that
/// have one owner as a whole may not be in it.
pub fn overlay(schema: &Schema, type_name: &str, live: &Value, part: &Value) -> Result<Value, String> {
    let Some(form) = Form::of_type(schema, type_name) else { return Err("no corresponding type".to_owned()) };
    if let Some(wrong) = validate::validate(form, part).first() {
        return Err(format!("failed to convert patch object to typed object: {wrong}"));
    }
    let wholes = validate::wholes(form, part);
    if !wholes.is_empty() {
        let wholes = wholes.join(", ");
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {wholes}"));
    }
    Ok(typed::merge(form, Some(live), Some(part)))
}

/// As `update_across`, for a kind whose versions differ by name alone.
pub fn update(schema: &Schema, type_name: &str, live: Option<&Value>, new: &mut Value, actor: &Actor<'_>) {
    let Ok(()) = update_across(&Alike(schema, type_name), live, new, actor);
}

/// Keeps the books of a create (`live` is `None`), an update or a patch other than apply: sets `new`'s managedFields. When
/// an object cannot be converted to the version of a manager, there are none.
pub fn update_across<V: Versions>(
    versions: &V,
    live: Option<&Value>,
    new: &mut Value,
    actor: &Actor<'_>,
) -> Result<(), V::Error> {
    let Some((schema, type_name)) = versions.types(actor.api_version) else { return Ok(()) };
    let Some(form) = Form::of_type(schema, type_name) else { return Ok(()) };
    let given = if actor.subresource.is_empty() { Managed::of(new) } else { Managed::default() };
    let reset = actor.subresource.is_empty() && is_reset(new);
    let mut entries = match live {
        _ if reset => Managed::default(),
        Some(object) if given.0.is_empty() => Managed::of(object),
        _ => given,
    };
    let untracked = entries.0.is_empty() && live.is_some();
    managed::remove(new);
    match live {
        _ if untracked => {}
        // Nobody owns the entries themselves, so it does not matter that the old object has some.
        Some(old) => {
            let ignored = ignored_fields(actor.subresource);
            let effects =
                Across { versions, mine: actor.api_version, form }.effects(old, new, &mut entries, ignored)?;
            record(&effects, &mut entries, actor);
        }
        None => {
            let effect = Effect::of(form, &bare_live(schema, type_name, None), new, ignored_fields(actor.subresource));
            record(&BTreeMap::from([(actor.api_version.to_owned(), effect)]), &mut entries, actor);
        }
    }
    entries.write(new);
    Ok(())
}

/// Books a change to the actor, and takes from the others what changed.
fn record(effects: &BTreeMap<String, Effect>, entries: &mut Managed, actor: &Actor<'_>) {
    let me = owner("Update", actor);
    for (owner, entry) in &mut entries.0 {
        if let Some(effect) = effects.get(&owner.api_version) {
            entry.fields.subtract(&effect.written);
            entry.fields.subtract(&effect.removed);
        }
    }
    let mut mine = effects.get(actor.api_version).map(|effect| effect.written.clone()).unwrap_or_default();
    mine.subtract(system_fields());
    if !mine.is_empty() {
        let entry = entries.0.entry(me).or_default();
        entry.fields = std::mem::take(&mut entry.fields).union(mine);
        actor.now.clone_into(&mut entry.time);
    }
    entries.0.retain(|_, entry| !entry.fields.is_empty());
    entries.cap();
}

/// The entries of an object that nobody has kept books for: everything belongs to one manager.
fn before_first_apply(schema: &Schema, type_name: &str, object: &Value, actor: &Actor<'_>) -> Managed {
    let mut entries = Managed::default();
    if let Some(form) = Form::of_type(schema, type_name) {
        let before = Actor { manager: "before-first-apply", ..*actor };
        let ignored = ignored_fields(actor.subresource);
        let effect = Effect::of(form, &bare_live(schema, type_name, None), &strip(object), ignored);
        record(&BTreeMap::from([(actor.api_version.to_owned(), effect)]), &mut entries, &before);
    }
    entries
}

/// The live object without entries; for a new object what Go writes for an empty one.
fn bare_live(schema: &Schema, type_name: &str, live: Option<&Value>) -> Value {
    live.map(strip).unwrap_or_else(|| {
        let mut empty = json!({});
        prune(schema, type_name, &mut empty);
        empty
    })
}

fn owner(operation: &str, actor: &Actor<'_>) -> Owner {
    Owner {
        operation: operation.to_owned(),
        manager: if actor.manager.is_empty() { "unknown".to_owned() } else { actor.manager.to_owned() },
        api_version: actor.api_version.to_owned(),
        subresource: actor.subresource.to_owned(),
    }
}

/// Fields that have no owner.
fn system_fields() -> &'static FieldSet {
    static FIELDS: LazyLock<FieldSet> = LazyLock::new(|| {
        let fields = json!({
            "f:apiVersion": {}, "f:kind": {},
            "f:metadata": {
                ".": {}, "f:name": {}, "f:namespace": {}, "f:creationTimestamp": {}, "f:selfLink": {}, "f:uid": {},
                "f:clusterName": {}, "f:generation": {}, "f:managedFields": {}, "f:resourceVersion": {},
            },
        });
        FieldSet::from_value(&fields).unwrap_or_default()
    });
    &FIELDS
}

/// Fields that a write through this (sub)resource does not reach, so that it cannot own them.
fn ignored_fields(subresource: &str) -> &'static FieldSet {
    static NONE: LazyLock<FieldSet> = LazyLock::new(FieldSet::default);
    static BY_MAIN: LazyLock<FieldSet> =
        LazyLock::new(|| FieldSet::from_value(&json!({"f:status": {}})).unwrap_or_default());
    static BY_STATUS: LazyLock<FieldSet> = LazyLock::new(|| {
        let fields = json!({"f:spec": {}, "f:metadata": {"f:deletionTimestamp": {}, "f:ownerReferences": {}}});
        FieldSet::from_value(&fields).unwrap_or_default()
    });
    match subresource {
        "" => &BY_MAIN,
        "status" => &BY_STATUS,
        _ => &NONE,
    }
}

/// Takes from the other managers what changed. With `tolerated` (no force), what they own and it does not hold are
/// conflicts.
fn settle(
    effects: &BTreeMap<String, Effect>,
    entries: &mut Managed,
    me: &Owner,
    tolerated: Option<&FieldSet>,
) -> Result<(), Conflicts> {
    let mut contested = BTreeMap::new();
    for (other, entry) in entries.0.iter().filter(|(other, _)| *other != me) {
        let Some(effect) = effects.get(&other.api_version) else { continue };
        let both = entry.fields.intersection(&effect.written);
        if !both.is_empty() {
            contested.insert(other.clone(), both);
        }
    }
    if let Some(tolerated) = tolerated {
        let conflicts: BTreeMap<Owner, FieldSet> = contested
            .iter()
            .map(|(other, both)| (other.clone(), both.difference(tolerated)))
            .filter(|(_, both)| !both.is_empty())
            .collect();
        if !conflicts.is_empty() {
            return Err(conflicts_of(&conflicts));
        }
    }
    for (other, entry) in &mut entries.0 {
        if other != me {
            if let Some(both) = contested.get(other) {
                entry.fields.subtract(both);
            }
            if let Some(effect) = effects.get(&other.api_version) {
                entry.fields.subtract(&effect.removed);
            }
        }
    }
    entries.0.retain(|_, entry| !entry.fields.is_empty());
    Ok(())
}

fn conflicts_of(conflicts: &BTreeMap<Owner, FieldSet>) -> Conflicts {
    let mut causes = Vec::new();
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (other, fields) in conflicts {
        let mut name = format!("{:?}", other.manager);
        if !other.subresource.is_empty() {
            name.push_str(&format!(" with subresource {:?}", other.subresource));
        }
        if other.operation == "Update" {
            name.push_str(&format!(" using {}", other.api_version));
        }
        for field in fields.paths() {
            causes.push(ConflictCause { message: format!("conflict with {name}"), field: field.clone() });
            groups.entry(name.clone()).or_default().push(field);
        }
    }
    let message = if let [one] = causes.as_slice() {
        format!("Apply failed with 1 conflict: {}: {}", one.message, one.field)
    } else {
        let lines: Vec<String> =
            groups.iter().map(|(name, fields)| format!("conflicts with {name}:\n- {}", fields.join("\n- "))).collect();
        format!("Apply failed with {} conflicts: {}", causes.len(), lines.join("\n"))
    };
    Conflicts { message, causes }
}

/// `namespace/name; group/version, Kind=K`, as upstream's texts name an object.
fn object_name(config: &Value, actor: &Actor<'_>) -> String {
    let text = |path: &str| config.pointer(path).and_then(Value::as_str).unwrap_or_default();
    format!(
        "{}/{}; {}, Kind={}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        group_version(actor.api_version),
        text("/kind")
    )
}

fn group_version(api_version: &str) -> String {
    if api_version.contains('/') { api_version.to_owned() } else { format!("/{api_version}") }
}

fn refuse_invalid(form: Form<'_>, config: &Value, actor: &Actor<'_>) -> Result<(), PatchError> {
    let errors = validate::validate(form, config);
    let list = match errors.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let text = format!("failed to create typed patch object ({}): {list}", object_name(config, actor));
    Err(PatchError::bad_request(text))
}

fn refuse_misfit(schema: &Schema, type_name: &str, merged: &Value, actor: &Actor<'_>) -> Result<(), PatchError> {
    let Some(wrong) = check(schema, type_name, merged).wrong_type else { return Ok(()) };
    let kind = merged["kind"].as_str().unwrap_or_default();
    let text = format!(
        "failed to convert new object ({}) to proper version: unable to convert unstructured object to {}, Kind={kind}: {wrong}",
        object_name(merged, actor),
        group_version(actor.api_version),
    );
    Err(PatchError::bad_request(text))
}
