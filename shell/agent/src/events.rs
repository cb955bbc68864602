//! Events about pods and the node: written one after the other, repeats counted into one, none written twice.

use std::collections::HashMap;

use gantry_client::{Backoff, Client, ClientError, PatchKind};
use gantry_node::{Notice, pod};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::limits::{API_RETRY, EVENT_TRIES, EVENTS, EVENTS_KNOWN};

/// What writes events.
#[derive(Clone)]
pub(crate) struct Events {
    queue: mpsc::Sender<Entry>,
}

struct Entry {
    about: Value,
    namespace: String,
    name: String,
    warning: bool,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

type Key = (String, &'static str, String);

impl Events {
    /// Starts writing for a node.
    pub(crate) fn start(client: Client, node: String) -> Self {
        let (queue, entries) = mpsc::channel(EVENTS);
        tokio::spawn(write(client, node, entries));
        Events { queue }
    }

    /// Something about a pod.
    pub(crate) fn pod(&self, pod: &Pod, notice: &Notice) {
        let mut about = json!({
            "apiVersion": "v1", "kind": "Pod", "namespace": pod::namespace(pod), "name": pod::name(pod),
            "uid": pod::uid(pod), "resourceVersion": pod.metadata.resource_version,
        });
        if let Some(container) = &notice.container {
            let role = pod::container(pod, container).map(|(role, _)| role);
            let list = if role == Some(pod::Role::Main) { "containers" } else { "initContainers" };
            about["fieldPath"] = json!(format!("spec.{list}{{{container}}}"));
        }
        self.push(Entry {
            about,
            namespace: pod::namespace(pod).to_owned(),
            name: pod::name(pod).to_owned(),
            warning: notice.warning,
            reason: notice.reason,
            message: notice.message.clone(),
            at: Timestamp::now(),
        });
    }

    /// Something about the node itself.
    pub(crate) fn node(&self, name: &str, uid: &str, reason: &'static str, message: String) {
        let about = json!({"kind": "Node", "name": name, "uid": uid});
        let namespace = "default".to_owned();
        let name = name.to_owned();
        self.push(Entry { about, namespace, name, warning: false, reason, message, at: Timestamp::now() });
    }

    fn push(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            tracing::debug!("too many events are waiting; one is dropped");
        }
    }
}

/// What became of an event.
enum Written {
    /// It is there, under this name.
    Anew(String),
    /// One that was there is counted.
    Counted,
    /// It cannot be written.
    Refused,
}

async fn write(client: Client, node: String, mut entries: mpsc::Receiver<Entry>) {
    let mut known: HashMap<Key, (String, u64)> = HashMap::new();
    while let Some(entry) = entries.recv().await {
        if known.len() >= EVENTS_KNOWN {
            known.clear();
        }
        let subject = format!("{}{}", entry.about["uid"], entry.about["fieldPath"]);
        let key = (subject, entry.reason, entry.message.clone());
        let before = known.get(&key).map(|(name, count)| (name.clone(), count + 1));
        match write_one(&client, &node, &entry, before.clone()).await {
            Written::Anew(name) => drop(known.insert(key, (name, 1))),
            Written::Counted => drop(before.map(|counted| known.insert(key, counted))),
            Written::Refused => drop(known.remove(&key)),
        }
    }
}

/// Writes one event once: what may have been written is written again under the same name, or with the same count.
/// While no server answers it waits, and those behind it.
async fn write_one(client: &Client, node: &str, entry: &Entry, before: Option<(String, u64)>) -> Written {
    let path = format!("/api/v1/namespaces/{}/events", entry.namespace);
    let mut backoff = Backoff::new(API_RETRY.1);
    let mut counted = before;
    let name = format!("{}.{:x}", entry.name, entry.at.as_nanosecond());
    let mut tries = 0;
    loop {
        let answer = match &counted {
            Some((name, count)) => {
                let patch = json!({"count": count, "lastTimestamp": seconds(entry.at)});
                client.patch(&format!("{path}/{name}"), PatchKind::Strategic, &patch).await
            }
            None => client.create(&path, &body(entry, &name, node)).await,
        };
        let error = match answer {
            Ok(_) if counted.is_some() => return Written::Counted,
            Ok(_) => return Written::Anew(name),
            Err(error) => error,
        };
        tracing::debug!(%error, "an event is not written");
        match error {
            error if error.is_not_found() && counted.is_some() => counted = None,
            // An attempt before this one has written it.
            error if error.is_conflict() && tries > 0 => return Written::Anew(name),
            error @ ClientError::Connect { .. } => tokio::time::sleep(backoff.after(&error)).await,
            error if error.is_transient() && tries < EVENT_TRIES => {
                tries += 1;
                backoff.pause().await;
            }
            _ => return Written::Refused,
        }
    }
}

/// Times of events have no fractions.
fn seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn body(entry: &Entry, name: &str, node: &str) -> Value {
    let at = seconds(entry.at);
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": name, "namespace": entry.namespace},
        "involvedObject": entry.about,
        "type": if entry.warning { "Warning" } else { "Normal" },
        "reason": entry.reason, "message": entry.message,
        "source": {"component": "kubelet", "host": node},
        "reportingComponent": "kubelet", "reportingInstance": node,
        "firstTimestamp": at, "lastTimestamp": at, "count": 1,
    })
}
