//! VolumeAttributesClasses stay while a claim or a volume has one, or is on its way to it.

use gantry_kinds::tree::str_at;
use gantry_kinds::{PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, VOLUME_ATTRIBUTES_CLASS};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};

use super::hold;
use crate::{Controller, QueueKey};

const FINALIZER: &str = "kubernetes.io/vac-protection";
/// Where claims and volumes name a class.
const NAMED_AT: [&str; 3] = [
    "/spec/volumeAttributesClassName",
    "/status/currentVolumeAttributesClassName",
    "/status/modifyVolumeStatus/targetVolumeAttributesClassName",
];

/// The controller that holds classes of volumes' attributes.
pub(crate) struct AttributesClasses;

impl Controller for AttributesClasses {
    fn name(&self) -> &'static str {
        "volumeattributesclass-protection-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&VOLUME_ATTRIBUTES_CLASS, None).map(|class| QueueKey::of(class.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &VOLUME_ATTRIBUTES_CLASS {
            out.push(QueueKey::of(&change.key));
        } else if [&PERSISTENT_VOLUME, &PERSISTENT_VOLUME_CLAIM].contains(&change.key.kind) {
            let named = change.before.iter().flat_map(|before| classes_of(before));
            out.extend(named.map(|name| QueueKey::Object(ObjectKey::new(&VOLUME_ATTRIBUTES_CLASS, "", &name))));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        if let Some(class) = key.object().and_then(|key| turn.view.at(key)) {
            outcome.intents.extend(hold(class, FINALIZER, || is_used(class.name(), turn.view)));
        }
        outcome
    }
}

fn classes_of(object: &Object) -> Vec<String> {
    let value = object.value();
    NAMED_AT.iter().map(|at| str_at(&value, at)).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn is_used(class: &str, view: &View) -> bool {
    let mut users = view.list(&PERSISTENT_VOLUME_CLAIM, None).chain(view.list(&PERSISTENT_VOLUME, None));
    users.any(|user| classes_of(user).iter().any(|name| name == class))
}
