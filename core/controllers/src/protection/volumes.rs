//! Volumes stay while they are bound.

use gantry_kinds::PERSISTENT_VOLUME;
use gantry_kinds::tree::str_at;
use gantry_view::{Change, Outcome, Turn, View};

use super::hold;
use crate::{Controller, QueueKey};

const FINALIZER: &str = "kubernetes.io/pv-protection";

/// The controller that holds volumes.
pub(crate) struct Volumes;

impl Controller for Volumes {
    fn name(&self) -> &'static str {
        "pv-protection-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&PERSISTENT_VOLUME, None).map(|volume| QueueKey::of(volume.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &PERSISTENT_VOLUME {
            out.push(QueueKey::of(&change.key));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        if let Some(volume) = key.object().and_then(|key| turn.view.at(key)) {
            let is_bound = || str_at(&volume.value(), "/status/phase") == "Bound";
            outcome.intents.extend(hold(volume, FINALIZER, is_bound));
        }
        outcome
    }
}
