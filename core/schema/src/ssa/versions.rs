//! Ownership across the versions of a kind: an entry names fields of the version that its manager wrote.
//!
//! Invariants: what another version owns is compared and removed in that version; an entry of a version that is not
//! there any more goes; nothing is converted as long as all entries are of the version that is written.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde_json::Value;

use super::form::Form;
use super::managed::{Managed, strip};
use super::set::FieldSet;
use super::typed;
use crate::types::Schema;

/// The versions of the kind that is written.
pub trait Versions {
    /// Why an object could not be converted.
    type Error;
    /// Types of a version, and the name of the object's own; `None` for a version that is not there.
    fn types(&self, api_version: &str) -> Option<(&Schema, &str)>;
    /// An object as another version has it.
    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, Self::Error>;
}

/// Versions that differ by name alone, and share a type.
pub(super) struct Alike<'a>(pub(super) &'a Schema, pub(super) &'a str);

impl Versions for Alike<'_> {
    type Error = Infallible;

    fn types(&self, _api_version: &str) -> Option<(&Schema, &str)> {
        Some((self.0, self.1))
    }

    fn convert(&self, object: &Value, api_version: &str) -> Result<Value, Infallible> {
        let mut converted = object.clone();
        converted["apiVersion"] = api_version.into();
        Ok(converted)
    }
}

/// What a write did to the fields of one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    pub(super) written: FieldSet,
    pub(super) removed: FieldSet,
}

impl Effect {
    pub(super) fn of(form: Form<'_>, old: &Value, new: &Value, ignored: &FieldSet) -> Self {
        let change = typed::compare(form, old, new);
        Effect {
            written: change.added.union(change.modified).without_prefixes(ignored),
            removed: change.removed.without_prefixes(ignored),
        }
    }

    fn is_nothing(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }
}

/// One write, as every version of the kind sees it.
pub(super) struct Across<'a, V> {
    pub(super) versions: &'a V,
    /// The version that is written.
    pub(super) mine: &'a str,
    pub(super) form: Form<'a>,
}

impl<V: Versions> Across<'_, V> {
    /// What the write did, by version, for all versions that have entries. Drops the entries of versions that are gone.
    pub(super) fn effects(
        &self,
        old: &Value,
        new: &Value,
        entries: &mut Managed,
        ignored: &FieldSet,
    ) -> Result<BTreeMap<String, Effect>, V::Error> {
        let mine = Effect::of(self.form, old, new, ignored);
        entries
            .0
            .retain(|owner, _| owner.api_version == self.mine || self.versions.types(&owner.api_version).is_some());
        let mut effects = BTreeMap::new();
        for version in entries.0.keys().map(|owner| &owner.api_version).filter(|version| *version != self.mine) {
            if mine.is_nothing() || effects.contains_key(version) {
                continue;
            }
            let Some(form) = self.form_of(version) else { continue };
            let old = self.versions.convert(&strip(old), version)?;
            let new = self.versions.convert(&strip(new), version)?;
            effects.insert(version.clone(), Effect::of(form, &old, &new, ignored));
        }
        effects.insert(self.mine.to_owned(), mine);
        Ok(effects)
    }

    /// `merged` without the fields that the actor applied before (in that version), does not apply now, and nobody else
    /// owns.
    pub(super) fn drop_given_up(
        &self,
        merged: Value,
        entries: &Managed,
        version: &str,
        before: &FieldSet,
    ) -> Result<Value, V::Error> {
        let Some(form) = self.form_of(version) else { return Ok(merged) };
        let whole = self.moved(&merged, self.mine, version)?;
        let given_up = typed::with_named_fields(form, before);
        let mut at = version.to_owned();
        let mut base = whole.clone();
        let mut pruned = typed::remove(form, &whole, &given_up);
        for (owned_in, owned) in by_version(entries, version) {
            let Some(form) = self.form_of(&owned_in) else { continue };
            base = self.moved(&base, &at, &owned_in)?;
            pruned = self.moved(&pruned, &at, &owned_in)?;
            let gone = all_named(form, &base).difference(&all_named(form, &pruned));
            pruned = typed::remove(form, &base, &gone.difference(&typed::with_named_fields(form, &owned)));
            at = owned_in;
        }
        let pruned = self.moved(&pruned, &at, version)?;
        let gone = all_named(form, &whole).difference(&all_named(form, &pruned));
        let left = typed::remove(form, &whole, &gone.intersection(&given_up));
        self.moved(&left, version, self.mine)
    }

    fn form_of(&self, version: &str) -> Option<Form<'_>> {
        if version == self.mine {
            return Some(self.form);
        }
        let (schema, name) = self.versions.types(version)?;
        Form::of_type(schema, name)
    }

    fn moved(&self, object: &Value, from: &str, to: &str) -> Result<Value, V::Error> {
        if from == to { Ok(object.clone()) } else { self.versions.convert(object, to) }
    }
}

fn all_named(form: Form<'_>, value: &Value) -> FieldSet {
    typed::with_named_fields(form, &typed::fields_of(form, value))
}

/// What anybody owns, by version: `first` before all others, so that what it needs for a conversion is there.
fn by_version(entries: &Managed, first: &str) -> Vec<(String, FieldSet)> {
    let mut owned: BTreeMap<(bool, String), FieldSet> = BTreeMap::new();
    for (owner, entry) in &entries.0 {
        let all = owned.entry((owner.api_version != first, owner.api_version.clone())).or_default();
        *all = std::mem::take(all).union(entry.fields.clone());
    }
    owned.into_iter().map(|((_, version), fields)| (version, fields)).collect()
}
