//! Who manages what: controller references, and how a controller comes by objects and lets them go.

use std::sync::Arc;

use gantry_kinds::tree::list_at;
use gantry_kinds::{KindRef, LabelSelector, REPLICATION_CONTROLLER};
use gantry_view::{Intent, Object, ObjectKey, View};
use serde_json::{Value, json};

use crate::write;

/// The `ownerReferences` entry by which `owner` manages an object.
pub(crate) fn reference(owner: &Object) -> Value {
    let kind = owner.key().kind;
    json!({
        "apiVersion": kind.api_version(), "kind": kind.kind, "name": owner.name(), "uid": owner.uid(),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// Whether `owner` manages `object`.
pub(crate) fn manages(owner: &Object, object: &Object) -> bool {
    object.controller().is_some_and(|c| c.uid == owner.uid())
}

/// The object of `kind` that manages `object`, if it is there.
pub(crate) fn manager<'a>(view: &'a View, kind: KindRef, object: &Object) -> Option<&'a Arc<Object>> {
    let controller = object.controller().filter(|c| c.kind == kind.kind)?;
    view.get(kind, object.namespace(), &controller.name).filter(|owner| owner.uid() == controller.uid)
}

/// The selector in `spec.selector`; one that cannot be read selects nothing.
pub(crate) fn selector(kind: KindRef, object: &Value) -> LabelSelector {
    let selector = object.pointer("/spec/selector").unwrap_or(&Value::Null);
    // wire: a ReplicationController has the labels alone.
    let labels = (kind == &REPLICATION_CONTROLLER).then(|| json!({"matchLabels": selector}));
    LabelSelector::from_value(labels.as_ref().unwrap_or(selector)).unwrap_or_else(|_| LabelSelector::nothing())
}

/// The objects that an owner manages from now on, and the intents that make it so.
pub(crate) struct Claim<'a> {
    /// What it manages, adopted ones included.
    pub(crate) owned: Vec<&'a Arc<Object>>,
    /// Adoptions and releases.
    pub(crate) intents: Vec<Intent>,
}

/// Keeps what is managed and matches, lets go what does not match any more, and adopts what matches and is nobody's.
/// An owner that is being deleted neither adopts nor releases; nothing that is being deleted is adopted.
pub(crate) fn claim<'a>(
    owner: &Object,
    selector: &LabelSelector,
    candidates: impl Iterator<Item = &'a Arc<Object>>,
) -> Claim<'a> {
    let mut claim = Claim { owned: Vec::new(), intents: Vec::new() };
    let dying = owner.header.deleted.is_some();
    for object in candidates {
        let matches = selector.matches(&object.header.labels);
        match object.controller() {
            Some(controller) if controller.uid == owner.uid() => {
                if matches {
                    claim.owned.push(object);
                } else if !dying {
                    claim.intents.push(release(owner, object));
                }
            }
            Some(_) => {}
            None if matches && !dying && object.header.deleted.is_none() => {
                claim.intents.push(adopt(owner, object));
                claim.owned.push(object);
            }
            None => {}
        }
    }
    claim
}

fn adopt(owner: &Object, object: &Object) -> Intent {
    let mut references = references(object);
    references.retain(|r| r["uid"] != owner.uid());
    references.push(reference(owner));
    replace_references(object, references)
}

fn release(owner: &Object, object: &Object) -> Intent {
    let mut references = references(object);
    references.retain(|r| r["uid"] != owner.uid());
    replace_references(object, references)
}

/// The entries of `metadata.ownerReferences`.
pub(crate) fn references(object: &Object) -> Vec<Value> {
    list_at(&object.value(), "/metadata/ownerReferences").to_vec()
}

/// Replaces `metadata.ownerReferences`.
pub(crate) fn replace_references(object: &Object, references: Vec<Value>) -> Intent {
    let references = if references.is_empty() { Value::Null } else { Value::Array(references) };
    write::patch(object, "", json!({"metadata": {"ownerReferences": references}}))
}

/// The keys of those of `kind` in the object's namespace that would adopt it.
pub(crate) fn adopters(view: &View, kind: KindRef, object: &Object) -> Vec<ObjectKey> {
    let owners = view.list(kind, Some(object.namespace()));
    let matching = owners.filter(|owner| selector(kind, &owner.value()).matches(&object.header.labels));
    matching.map(|owner| owner.key().clone()).collect()
}
