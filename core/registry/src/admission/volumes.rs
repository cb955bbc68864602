//! Volumes, claims and their classes are held while somebody uses them, and grow only where their class allows it.

use gantry_kinds::kinds::persistent_volume_claim::class;
use gantry_kinds::quantity::Quantity;
use gantry_kinds::tree::str_at;
use gantry_kinds::{
    KindRef, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS, Update, VOLUME_ATTRIBUTES_CLASS,
};
use serde_json::Value;

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// By which finalizer objects of a kind are held while they are used.
const HOLDS: [(KindRef, &str); 3] = [
    (&PERSISTENT_VOLUME_CLAIM, "kubernetes.io/pvc-protection"),
    (&PERSISTENT_VOLUME, "kubernetes.io/pv-protection"),
    (&VOLUME_ATTRIBUTES_CLASS, "kubernetes.io/vac-protection"),
];

/// Has a new object held.
pub(crate) fn protect(case: &Case<'_>, object: &mut Value) {
    let Some((_, finalizer)) = HOLDS.iter().find(|(kind, _)| *kind == case.kind()) else { return };
    if !meta::texts(object, "finalizers").contains(finalizer) {
        meta::list(meta::of(object), "finalizers").push((*finalizer).into());
    }
}

/// Refuses that a bound claim asks for more than before, unless its class lets volumes grow.
pub(crate) fn grow(case: &Case<'_>, new: &Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    if case.kind() != &PERSISTENT_VOLUME_CLAIM || way != Update::Main || str_at(old, "/status/phase") != "Bound" {
        return Ok(());
    }
    let asked = |claim: &Value| Quantity::parse(str_at(claim, "/spec/resources/requests/storage")).ok();
    let grows = asked(new).zip(asked(old)).is_some_and(|(new, old)| new > old);
    if !grows || (class(new) == class(old) && lets_grow(case, class(new))) {
        return Ok(());
    }
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
               support resize";
    Err(forbidden(case, old, why))
}

fn lets_grow(case: &Case<'_>, class: &str) -> bool {
    let class = case.view.get(&STORAGE_CLASS, "", class);
    class.is_some_and(|class| class.value().get("allowVolumeExpansion") == Some(&Value::Bool(true)))
}
