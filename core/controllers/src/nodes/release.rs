//! Pods that their node has stopped by itself, as it lost touch with the servers, are deleted, so that others may
//! take their place.
//!
//! Invariant: a pod is deleted only when its node was silent for as long as it takes to be sure, by this process's
//! uptime, and when the view shows a write of ours that was made after that: a view that lags behind could be what is
//! silent. Any sign of life begins all of it anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::POD;
use gantry_kinds::fencing::{self, STOP_AFTER_DISCONNECT};
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Intent, Object, Outcome, Turn};
use serde_json::{Value, json};

use crate::pod_facts::PodFacts;
use crate::pod_garbage::disrupted;
use crate::{time, write};

const REASON: &str = "DisconnectedAndStopped";
const MESSAGE: &str = "The node has been silent for so long that it has stopped this pod by itself";
/// Time after which a mark that was written is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Pods that were marked during one silence: uid and the time in the mark.
pub(super) type Marks = BTreeMap<String, String>;

/// Releases the pods of a node that is silent for `silence`.
pub(super) fn release(node: &Object, silence: Duration, marks: &mut Marks, turn: Turn<'_>, outcome: &mut Outcome) {
    if silence < fencing::release_after(Duration::from_secs(fencing::SECONDS_MIN)) {
        return;
    }
    for pod in turn.view.by_field(&POD, "spec.nodeName", node.name()) {
        let value = pod.value();
        let Some(stop_after) = stop_after(&value) else { continue };
        let due = fencing::release_after(stop_after);
        if silence < due {
            outcome.again_in(due.saturating_sub(silence));
        } else if marks.get(pod.uid()).is_some_and(|mark| bears(&value, mark)) {
            outcome.push(write::warning(pod.key(), REASON, MESSAGE.to_owned()));
            outcome.push(delete(pod));
        } else if pod.header.deleted.is_some() || !PodFacts::of(pod).is_terminal() {
            marks.insert(pod.uid().to_owned(), time::stamp(turn.now));
            let conditions = disrupted(&value, REASON, MESSAGE, turn.now);
            outcome.push(write::patch(pod, "status", json!({"status": {"conditions": conditions}})));
            outcome.again_in(LOOK);
        }
    }
}

/// After which disconnection the node stops a pod by itself; `None` when it does not.
fn stop_after(pod: &Value) -> Option<Duration> {
    let annotation = pod.pointer("/metadata/annotations")?.get(STOP_AFTER_DISCONNECT)?;
    fencing::parse(annotation.as_str()?).ok()
}

fn bears(pod: &Value, mark: &str) -> bool {
    let ours = |condition: &&Value| condition["type"] == "DisruptionTarget" && condition["reason"] == REASON;
    let found = list_at(pod, "/status/conditions").iter().find(ours);
    found.is_some_and(|condition| str_at(condition, "/lastTransitionTime") == mark)
}

fn delete(pod: &Arc<Object>) -> Intent {
    Intent::Delete {
        key: pod.key().clone(),
        uid: pod.uid().to_owned(),
        revision: Some(pod.header.revision),
        propagation: None,
        grace_seconds: Some(0),
    }
}
