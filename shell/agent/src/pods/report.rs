//! Telling the API how a pod is: the newest status, one request at a time, and in the end that the pod is gone.

use std::sync::Arc;

use gantry_client::{Backoff, Client, ClientError, PatchKind};
use gantry_node::pod;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::limits::API_RETRY;

/// What tells the API of one pod.
pub(super) struct Report {
    newest: watch::Sender<Option<Value>>,
    writer: Writer,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Writer {
    client: Client,
    path: String,
    uid: String,
    /// The status as the API has it.
    held: Arc<Mutex<Held>>,
}

/// A status and the revision of the pod that had it.
struct Held {
    status: Value,
    revision: u64,
}

/// What became of a write.
enum Written {
    Yes,
    Never,
    NotYet(ClientError),
}

impl Report {
    pub(super) fn start(client: Client, pod: &Pod) -> Self {
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod::namespace(pod), pod::name(pod));
        let held = Held { status: value(pod::reported(pod)), revision: revision(pod) };
        let held = Arc::new(Mutex::new(held));
        let writer = Writer { client, path, uid: pod::uid(pod).to_owned(), held };
        let (newest, changes) = watch::channel(None);
        let task = tokio::spawn(writer.clone().follow(changes));
        Report { newest, writer, task }
    }

    /// The pod's status is now this.
    pub(super) fn tell(&self, status: &PodStatus) {
        self.newest.send_replace(Some(value(status)));
    }

    /// The API has sent the pod. True if others have written its status since we did: then ours is due again.
    pub(super) fn heard(&self, pod: &Pod) -> bool {
        self.writer.held.lock().hear(value(pod::reported(pod)), revision(pod))
    }

    /// Writes what is not yet written, then asks the API to remove the pod's object.
    pub(super) async fn finish(&self) {
        self.task.abort();
        let newest = self.newest.borrow().clone();
        if let Some(status) = newest {
            self.writer.persist(&status).await;
        }
        let body = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "preconditions": {"uid": self.writer.uid},
        });
        let mut backoff = Backoff::new(API_RETRY.1);
        while let Err(error) = self.writer.client.delete(&self.writer.path, Some(&body)).await {
            let over = error.is_not_found() || error.is_conflict();
            let pause = backoff.after(&error);
            tracing::debug!(%error, "a pod's object cannot be removed yet");
            if over && !matches!(self.writer.after_conflict(error).await, Written::NotYet(_)) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Writer {
    async fn follow(self, mut changes: watch::Receiver<Option<Value>>) {
        while changes.changed().await.is_ok() {
            let mut backoff = Backoff::new(API_RETRY.1);
            loop {
                let newest = changes.borrow_and_update().clone();
                let Some(status) = newest else { break };
                match self.write(&status).await {
                    Written::Yes => break,
                    Written::Never => return,
                    Written::NotYet(error) => tokio::time::sleep(backoff.after(&error)).await,
                }
            }
        }
    }

    /// Writes this status, however long it takes.
    async fn persist(&self, status: &Value) {
        let mut backoff = Backoff::new(API_RETRY.1);
        while let Written::NotYet(error) = self.write(status).await {
            tokio::time::sleep(backoff.after(&error)).await;
        }
    }

    async fn write(&self, status: &Value) -> Written {
        let Some(changes) = difference(&self.held.lock().status, status) else { return Written::Yes };
        let patch = json!({"metadata": {"uid": self.uid}, "status": changes});
        match self.client.patch(&format!("{}/status", self.path), PatchKind::Merge, &patch).await {
            Ok(answer) => {
                let told = answer["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok());
                self.held.lock().wrote(status, told);
                Written::Yes
            }
            Err(error) if error.is_not_found() => Written::Never,
            Err(error) if error.is_conflict() => self.after_conflict(error).await,
            Err(error) => {
                tracing::debug!(%error, path = self.path, "a pod's status is not written yet");
                Written::NotYet(error)
            }
        }
    }

    async fn after_conflict(&self, conflict: ClientError) -> Written {
        fate(&self.uid, self.client.get(&self.path).await, conflict)
    }
}

/// What a conflict means: another pod of the same name, about which there is nothing to say, or a race, after which
/// there is.
fn fate(uid: &str, found: Result<Value, ClientError>, conflict: ClientError) -> Written {
    match found {
        Ok(pod) if pod["metadata"]["uid"] == uid => Written::NotYet(conflict),
        Ok(_) => Written::Never,
        Err(error) if error.is_not_found() => Written::Never,
        Err(error) => Written::NotYet(error),
    }
}

impl Held {
    /// The API has told a status; true if it is new and somebody else's.
    fn hear(&mut self, status: Value, revision: u64) -> bool {
        if revision <= self.revision {
            return false;
        }
        let changed = self.status != status;
        *self = Held { status, revision };
        changed
    }

    /// The API has taken a status, and the pod has that revision now. What was heard meanwhile may be newer.
    fn wrote(&mut self, status: &Value, revision: Option<u64>) {
        let revision = revision.unwrap_or(self.revision);
        if revision >= self.revision {
            *self = Held { status: status.clone(), revision };
        }
    }
}

fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.as_ref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn value(status: &PodStatus) -> Value {
    serde_json::to_value(status).unwrap_or(Value::Null)
}

/// The merge patch from one status to another; `None` where they are the same.
fn difference(held: &Value, wanted: &Value) -> Option<Value> {
    let blank = Map::new();
    let (held, wanted) = (held.as_object().unwrap_or(&blank), wanted.as_object().unwrap_or(&blank));
    let changed = wanted.iter().filter(|(name, value)| held.get(*name) != Some(value));
    let mut patch: Map<_, _> = changed.map(|(name, value)| (name.clone(), value.clone())).collect();
    let dropped = held.keys().filter(|name| !wanted.contains_key(*name));
    patch.extend(dropped.map(|name| (name.clone(), Value::Null)));
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_written() {
        let check = |held: Value, wanted: Value, expected: Option<Value>| {
            assert_eq!(difference(&held, &wanted), expected);
        };
        check(json!({"a": 1}), json!({"a": 1}), None);
        check(json!({"a": 1, "b": [1]}), json!({"b": [2], "c": 3}), Some(json!({"a": null, "b": [2], "c": 3})));
        check(Value::Null, json!({"a": 1}), Some(json!({"a": 1})));
    }

    #[test]
    fn f8_a_status_that_others_have_written_is_told_again() {
        let (ours, theirs) = (json!({"phase": "Running"}), json!({"phase": "Unknown"}));
        let mut held = Held { status: json!({}), revision: 3 };
        held.wrote(&ours, Some(5));
        assert!(!held.hear(json!({}), 4), "it is older than what was written");
        assert!(!held.hear(ours.clone(), 5), "it is what was written");
        assert!(!held.hear(ours.clone(), 6), "somebody changed something else");
        assert!(held.hear(theirs.clone(), 7));
        assert!(difference(&held.status, &ours).is_some());
        held.wrote(&ours, Some(6));
        assert_eq!((held.status, held.revision), (theirs, 7), "the answer was late");
    }

    #[test]
    fn only_the_end_of_the_pod_ends_its_reports() {
        let refused = |code: u16| {
            let refused = gantry_client::Refused { code, status: Value::Null };
            ClientError::Refused(Box::new(refused))
        };
        let goes_on = |found| matches!(fate("u", found, refused(409)), Written::NotYet(_));
        assert!(goes_on(Ok(json!({"metadata": {"uid": "u"}}))), "it was a race");
        assert!(goes_on(Err(refused(503))), "nobody knows");
        assert!(!goes_on(Ok(json!({"metadata": {"uid": "v"}}))), "it is another pod");
        assert!(!goes_on(Err(refused(404))));
    }
}
