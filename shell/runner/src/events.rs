//! Writes Events, and counts repeats of one into the same object.

use std::collections::{BTreeMap, VecDeque};

use gantry_cluster::{Cluster, Epoch};
use gantry_kinds::EVENT;
use gantry_registry::{Body, Operation, Options, PatchKind, Request, Target, User};
use gantry_view::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::failpoints::failpoint;
use crate::limits::{EVENT_MESSAGE_MAX, EVENT_WINDOW, EVENTS_REMEMBERED};

/// What makes two events the same: uid of the object, type, reason and message.
type Sameness = (String, &'static str, &'static str, String);

#[derive(Clone)]
struct Seen {
    namespace: String,
    name: String,
    count: u64,
    last: Timestamp,
}

#[derive(Default)]
struct Memory {
    seen: BTreeMap<Sameness, Seen>,
    order: VecDeque<Sameness>,
}

/// The events of one component.
pub(crate) struct Recorder {
    component: &'static str,
    epoch: Epoch,
    memory: Mutex<Memory>,
}

impl Recorder {
    pub(crate) fn new(component: &'static str, epoch: Epoch) -> Self {
        Recorder { component, epoch, memory: Mutex::default() }
    }

    /// Says what happened to `about`. An event that cannot be written is dropped with a line in the log, as events
    /// must never hold up what they tell of.
    pub(crate) async fn record(
        &self,
        cluster: &Cluster,
        user: &User,
        about: &ObjectKey,
        kind: &'static str,
        reason: &'static str,
        message: &str,
    ) {
        let now = cluster.now();
        let message = cut(message);
        let (uid, revision) =
            cluster.view().at(about).map(|o| (o.uid().to_owned(), o.header.revision)).unwrap_or_default();
        let sameness = (if uid.is_empty() { about.to_string() } else { uid.clone() }, kind, reason, message.to_owned());
        let repeat = self.repeat(&sameness, now);
        let (target, operation) = match repeat {
            Some(seen) => {
                let patch = json!({"count": seen.count, "lastTimestamp": seconds(now)});
                (target(&seen.namespace, &seen.name), Operation::Patch(PatchKind::Merge, Body::from(patch)))
            }
            None => {
                // Named by the time, so that a list of events is in their order.
                let name = format!("{}.{:x}", about.name, now.as_nanosecond());
                let body = self.event(about, &uid, revision, &name, (kind, reason, message), now);
                let namespace = namespace_of(about).to_owned();
                self.remember(sameness, Seen { namespace: namespace.clone(), name, count: 1, last: now });
                (target(&namespace, ""), Operation::Create(Body::from(body)))
            }
        };
        let options = Options { field_manager: self.component.to_owned(), ..Options::default() };
        let request = Request { user: user.clone(), target, operation, options };
        failpoint!("runner::before_event");
        if let Err(status) = cluster.execute_as_leader(request, self.epoch).await {
            tracing::debug!(%about, reason, %status, "an event was not written");
        }
        failpoint!("runner::after_event");
    }

    fn repeat(&self, sameness: &Sameness, now: Timestamp) -> Option<Seen> {
        let mut memory = self.memory.lock();
        let seen = memory.seen.get_mut(sameness)?;
        let window = SignedDuration::try_from(EVENT_WINDOW).unwrap_or(SignedDuration::MAX);
        if now.duration_since(seen.last) > window {
            memory.seen.remove(sameness);
            return None;
        }
        seen.count += 1;
        seen.last = now;
        Some(seen.clone())
    }

    fn remember(&self, sameness: Sameness, seen: Seen) {
        let mut memory = self.memory.lock();
        memory.seen.insert(sameness.clone(), seen);
        memory.order.push_back(sameness);
        while memory.order.len() > EVENTS_REMEMBERED {
            if let Some(oldest) = memory.order.pop_front() {
                memory.seen.remove(&oldest);
            }
        }
    }

    fn event(
        &self,
        about: &ObjectKey,
        uid: &str,
        revision: u64,
        name: &str,
        (kind, reason, message): (&str, &str, &str),
        now: Timestamp,
    ) -> Value {
        let mut involved = json!({
            "apiVersion": about.kind.api_version(), "kind": about.kind.kind, "name": &*about.name, "uid": uid,
            "resourceVersion": revision.to_string(),
        });
        if !about.namespace.is_empty() {
            involved["namespace"] = Value::from(&*about.namespace);
        }
        json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"name": name, "namespace": namespace_of(about)},
            "involvedObject": involved, "type": kind, "reason": reason, "message": message,
            "source": {"component": self.component}, "reportingComponent": self.component,
            "firstTimestamp": seconds(now), "lastTimestamp": seconds(now), "count": 1,
        })
    }
}

/// Events about cluster-scoped objects live in `default`.
fn namespace_of(about: &ObjectKey) -> &str {
    if about.namespace.is_empty() { "default" } else { &about.namespace }
}

fn target(namespace: &str, name: &str) -> Target {
    Target { kind: &EVENT, namespace: namespace.to_owned(), name: name.to_owned(), subresource: String::new() }
}

fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(EVENT_MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
