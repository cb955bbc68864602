//! The garbage collector: what has no owner any more goes, and owners wait for or let go of what is theirs.
//!
//! Invariants: an object goes only when each of its owners is known to be gone: its kind is served, and no object of
//! that kind, name and place has that uid; a deletion is guarded by uid and revision, so that an owner that came
//! in between is heard; a reference to a kind that nobody serves holds for ever.

mod references;

use std::sync::Arc;

use gantry_kinds::EVENT;
use gantry_view::{Change, Intent, Object, Outcome, Turn, View};
use serde_json::{Value, json};

use self::references::{Ownership, Standing};
use crate::{Controller, QueueKey, owners, write};

/// Finalizer of an owner that goes after what it owns.
const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner that leaves behind what it owns.
const ORPHAN: &str = "orphan";

/// The controller of ownership.
pub(crate) struct Garbage;

impl Controller for Garbage {
    fn name(&self) -> &'static str {
        "generic-garbage-collector"
    }

    fn component(&self) -> &'static str {
        "garbage-collector-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        let kinds = view.stored_kinds();
        let objects = kinds.into_iter().flat_map(|kind| view.list(kind, None)).filter(|object| concerns(object));
        objects.map(|object| QueueKey::of(object.key())).collect()
    }

    fn keys(&self, change: &Change, view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &EVENT {
            return;
        }
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        if let Some(object) = after.filter(|after| concerns(after) && before.is_none_or(|b| moved(b, after))) {
            out.push(QueueKey::of(object.key()));
            if is_waiting(object) {
                out.extend(view.owned_by(object.uid()).map(|dependent| QueueKey::of(dependent.key())));
            }
        }
        let replaced = before.filter(|b| after.is_none_or(|after| after.uid() != b.uid()));
        if let Some(gone) = replaced {
            out.extend(view.owned_by(gone.uid()).map(|dependent| QueueKey::of(dependent.key())));
        }
        // Owners that wait for this one, or waited until it let go of them.
        if after.is_none_or(|after| before.is_some_and(|b| b.header.owners != after.header.owners)) {
            let owners = before.into_iter().flat_map(|b| &b.header.owners);
            let waiting = owners.filter_map(|owner| view.by_uid(&owner.uid)).filter(|owner| is_waiting(owner));
            out.extend(waiting.map(|owner| QueueKey::of(owner.key())));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let Some(object) = key.object().and_then(|key| turn.view.at(key)) else { return Outcome::nothing() };
        let mut outcome = Outcome::nothing();
        if object.header.deleted.is_none() {
            collect(object, turn.view, &mut outcome);
        } else if has(object, ORPHAN) {
            let_go(object, turn.view, &mut outcome);
        } else if has(object, FOREGROUND) {
            wait(object, turn.view, &mut outcome);
        }
        outcome
    }
}

fn has(object: &Object, finalizer: &str) -> bool {
    object.header.finalizers.iter().any(|f| f == finalizer)
}

fn is_waiting(owner: &Object) -> bool {
    owner.header.deleted.is_some() && has(owner, FOREGROUND)
}

/// Whether there is anything to collect about an object.
fn concerns(object: &Object) -> bool {
    object.key().kind != &EVENT && (!object.header.owners.is_empty() || has(object, FOREGROUND) || has(object, ORPHAN))
}

fn moved(before: &Object, after: &Object) -> bool {
    let (a, b) = (&before.header, &after.header);
    a.uid != b.uid || a.owners != b.owners || a.finalizers != b.finalizers || a.deleted != b.deleted
}

/// Deletes an object whose owners are all gone or going; takes from one that still has an owner the references to
/// those that are gone.
fn collect(object: &Arc<Object>, view: &View, outcome: &mut Outcome) {
    let Ownership { solid, waiting, gone, misplaced } = references::standing(object, view);
    for message in misplaced {
        outcome.push(write::warning(object.key(), "OwnerRefInvalidNamespace", message));
    }
    if waiting.is_empty() && gone.is_empty() {
        return;
    }
    if solid {
        let stale = |reference: &Value| gone.iter().chain(&waiting).any(|uid| reference["uid"] == uid.as_str());
        let kept = owners::references(object).into_iter().filter(|reference| !stale(reference)).collect();
        return outcome.push(owners::replace_references(object, kept));
    }
    if !waiting.is_empty() && has_dependents(object, view) {
        unblock_cycle(object, view, outcome);
        return outcome.push(delete(object, "Foreground"));
    }
    let propagation = match object {
        object if has(object, ORPHAN) => "Orphan",
        object if has(object, FOREGROUND) => "Foreground",
        _ => "Background",
    };
    outcome.push(delete(object, propagation));
}

fn has_dependents(object: &Object, view: &View) -> bool {
    view.owned_by(object.uid()).next().is_some()
}

/// Owners that wait for each other in a circle would wait for ever: a dependent that goes already stops blocking.
fn unblock_cycle(object: &Object, view: &View, outcome: &mut Outcome) {
    for dependent in view.owned_by(object.uid()).filter(|dependent| is_waiting(dependent)) {
        let mut references = owners::references(dependent);
        let mut blocking = false;
        for reference in references.iter_mut().filter(|r| r["uid"] == object.uid()) {
            blocking |= reference["blockOwnerDeletion"] == true;
            reference["blockOwnerDeletion"] = Value::from(false);
        }
        if blocking {
            outcome.push(owners::replace_references(dependent, references));
        }
    }
}

fn delete(object: &Object, propagation: &'static str) -> Intent {
    Intent::Delete {
        key: object.key().clone(),
        uid: object.uid().to_owned(),
        revision: Some(object.header.revision),
        propagation: Some(propagation),
        grace_seconds: None,
    }
}

/// Takes the references of all dependents, then the finalizer of the owner.
fn let_go(owner: &Arc<Object>, view: &View, outcome: &mut Outcome) {
    for dependent in view.owned_by(owner.uid()) {
        let references = owners::references(dependent);
        let kept = references.into_iter().filter(|reference| reference["uid"] != owner.uid()).collect();
        outcome.push(owners::replace_references(dependent, kept));
    }
    outcome.push(without_finalizer(owner, ORPHAN));
}

/// Takes the finalizer of an owner that nothing blocks any more. What blocks it is collected under its own key, so
/// that one refused deletion does not hold up the others.
fn wait(owner: &Arc<Object>, view: &View, outcome: &mut Outcome) {
    let blocks = |dependent: &Object| {
        let standing = |o: &gantry_view::Owner| o.uid == owner.uid() && o.block_owner_deletion;
        dependent
            .header
            .owners
            .iter()
            .any(|o| standing(o) && references::standing_of(o, dependent, view) == Standing::Waiting)
    };
    if !view.owned_by(owner.uid()).any(|dependent| blocks(dependent)) {
        outcome.push(without_finalizer(owner, FOREGROUND));
    }
}

fn without_finalizer(object: &Object, finalizer: &str) -> Intent {
    let kept: Vec<&String> = object.header.finalizers.iter().filter(|f| *f != finalizer).collect();
    let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
    write::patch(object, "", json!({"metadata": {"finalizers": kept}}))
}

#[cfg(test)]
mod tests;
