//! Events about pods and the node: written one after the other, repeats counted into one.

use std::collections::HashMap;

use gantry_client::{Client, PatchKind};
use gantry_node::{Notice, pod};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::limits::{EVENTS, EVENTS_KNOWN};

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

async fn write(client: Client, node: String, mut entries: mpsc::Receiver<Entry>) {
    let mut known: HashMap<Key, (String, u64)> = HashMap::new();
    while let Some(entry) = entries.recv().await {
        if known.len() >= EVENTS_KNOWN {
            known.clear();
        }
        let subject = format!("{}{}", entry.about["uid"], entry.about["fieldPath"]);
        let key = (subject, entry.reason, entry.message.clone());
        let repeated = known.get_mut(&key);
        let path = format!("/api/v1/namespaces/{}/events", entry.namespace);
        if let Some((name, count)) = repeated {
            *count += 1;
            let patch = json!({"count": count, "lastTimestamp": seconds(entry.at)});
            let answer = client.patch(&format!("{path}/{name}"), PatchKind::Strategic, &patch).await;
            match answer {
                Err(error) if error.is_not_found() => drop(known.remove(&key)),
                _ => continue,
            }
        }
        let name = format!("{}.{:x}", entry.name, entry.at.as_nanosecond());
        if let Err(error) = client.create(&path, &body(&entry, &name, &node)).await {
            tracing::debug!(%error, "an event was not written");
            continue;
        }
        known.insert(key, (name, 1));
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
