//! Claims stay while a pod on a node names them.

use gantry_kinds::tree::{list_at, str_at};
use gantry_kinds::{PERSISTENT_VOLUME_CLAIM, POD};
use gantry_view::{Change, Object, ObjectKey, Outcome, Turn, View};

use super::hold;
use crate::{Controller, QueueKey};

const FINALIZER: &str = "kubernetes.io/pvc-protection";

/// The controller that holds claims.
pub(crate) struct Claims;

impl Controller for Claims {
    fn name(&self) -> &'static str {
        "pvc-protection-controller"
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        view.list(&PERSISTENT_VOLUME_CLAIM, None).map(|claim| QueueKey::of(claim.key())).collect()
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        if change.key.kind == &PERSISTENT_VOLUME_CLAIM {
            out.push(QueueKey::of(&change.key));
        } else if change.key.kind == &POD && change.after.is_none() {
            let names = claims_of(change.object()).into_iter();
            let key = |name: String| ObjectKey::new(&PERSISTENT_VOLUME_CLAIM, &change.key.namespace, &name);
            out.extend(names.map(|name| QueueKey::Object(key(name))));
        }
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        if let Some(claim) = key.object().and_then(|key| turn.view.at(key)) {
            outcome.intents.extend(hold(claim, FINALIZER, || is_used(claim, turn.view)));
        }
        outcome
    }
}

/// The claims that a pod names, those of its own volumes among them.
fn claims_of(pod: &Object) -> Vec<String> {
    let value = pod.value();
    let claim = |volume: &serde_json::Value| match str_at(volume, "/persistentVolumeClaim/claimName") {
        "" if volume.get("ephemeral").is_some_and(|own| !own.is_null()) => {
            Some(format!("{}-{}", pod.name(), str_at(volume, "/name")))
        }
        "" => None,
        name => Some(name.to_owned()),
    };
    list_at(&value, "/spec/volumes").iter().filter_map(claim).collect()
}

fn is_used(claim: &Object, view: &View) -> bool {
    let pods = view.list(&POD, Some(claim.namespace()));
    let mut placed = pods.filter(|pod| pod.field("spec.nodeName").is_some_and(|node| !node.is_empty()));
    placed.any(|pod| claims_of(pod).iter().any(|name| name == claim.name()))
}
