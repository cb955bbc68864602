//! How the owners of an object stand: there, going, or gone.

use gantry_view::{Object, Owner, View};

use super::is_waiting;

/// How one owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is there, or it cannot be known that it is not.
    Solid,
    /// It is being deleted in the foreground, and waits for its dependents.
    Waiting,
    /// It is gone.
    Gone,
}

/// How all owners of an object stand; owners by uid.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ownership {
    /// Whether one of them is there to stay.
    pub(super) solid: bool,
    pub(super) waiting: Vec<String>,
    pub(super) gone: Vec<String>,
    /// What to say of owners in another namespace.
    pub(super) misplaced: Vec<String>,
}

/// Looks at each reference of an object.
pub(super) fn standing(object: &Object, view: &View) -> Ownership {
    let mut ownership = Ownership::default();
    for owner in &object.header.owners {
        match standing_of(owner, object, view) {
            Standing::Solid => ownership.solid = true,
            Standing::Waiting => ownership.waiting.push(owner.uid.clone()),
            Standing::Gone => ownership.gone.push(owner.uid.clone()),
        }
        ownership.misplaced.extend(misplaced(owner, object, view));
    }
    ownership
}

/// An owner is what kind, name, place and uid say together: another object with that uid is not the one that is
/// meant, and a name alone is not either.
pub(super) fn standing_of(owner: &Owner, object: &Object, view: &View) -> Standing {
    let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
    let Some(kind) = view.by_kind(group, version, &owner.kind).map(|kind| kind.home()) else { return Standing::Solid };
    if kind.namespaced && object.namespace().is_empty() {
        // Where the owner should be looked for is not said.
        return Standing::Solid;
    }
    let namespace = if kind.namespaced { object.namespace() } else { "" };
    match view.get(kind, namespace, &owner.name).filter(|found| found.uid() == owner.uid) {
        Some(found) if is_waiting(found) => Standing::Waiting,
        Some(_) => Standing::Solid,
        None => Standing::Gone,
    }
}

/// An owner that exists, but where this object cannot have one.
fn misplaced(owner: &Owner, object: &Object, view: &View) -> Option<String> {
    let found = view.by_uid(&owner.uid)?;
    let elsewhere = !found.namespace().is_empty() && found.namespace() != object.namespace();
    let Owner { api_version, kind, name, uid, .. } = owner;
    let namespace = object.namespace();
    let place = if namespace.is_empty() { String::new() } else { format!("namespace: {namespace}, ") };
    elsewhere.then(|| {
        format!(
            "ownerRef [{api_version}/{kind}, {place}name: {name}, uid: {uid}] does not exist in namespace {namespace:?}"
        )
    })
}
