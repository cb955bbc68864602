//! The conditions of a deployment, with the times at which they were updated and at which they turned.

use gantry_kinds::tree::{list_at, str_at};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::time;

/// Conditions that are being changed.
pub(super) struct Conditions {
    list: Vec<Value>,
    now: Timestamp,
}

impl Conditions {
    pub(super) fn read(deployment: &Value, now: Timestamp) -> Self {
        Conditions { list: list_at(deployment, "/status/conditions").to_vec(), now }
    }

    pub(super) fn get(&self, kind: &str) -> Option<&Value> {
        self.list.iter().find(|condition| condition["type"] == kind)
    }

    /// The reason of a condition; empty where it is not there.
    pub(super) fn reason(&self, kind: &str) -> &str {
        self.get(kind).map(|condition| str_at(condition, "/reason")).unwrap_or_default()
    }

    /// Says a condition. One with the same status and reason stays as it was said first.
    pub(super) fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let same = |c: &&Value| str_at(c, "/status") == status && str_at(c, "/reason") == reason;
        if self.get(kind).filter(same).is_none() {
            self.renew(kind, status, reason, message);
        }
    }

    /// Says a condition anew, even with the same words.
    pub(super) fn renew(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let turned = time::turned(self.get(kind), status, self.now);
        self.put(json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "lastUpdateTime": time::stamp(self.now), "lastTransitionTime": turned,
        }));
    }

    /// Puts a whole condition in the place of that of its type.
    pub(super) fn put(&mut self, condition: Value) {
        let kind = str_at(&condition, "/type").to_owned();
        self.remove(&kind);
        self.list.push(condition);
    }

    pub(super) fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition["type"] != kind);
    }

    pub(super) fn list(&self) -> &[Value] {
        &self.list
    }
}
