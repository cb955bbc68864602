//! A small cluster for tests: a view, and intents that are carried out on it as the registry would.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::{KindRef, NAMESPACE, POD, Status};
use gantry_view::{Change, Intent, Object, ObjectKey, Outcome, Turn, View};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{Controller, QueueKey, suffix, time};

/// Turns after which something that should settle does not.
const TURNS_MAX: usize = 20_000;

/// The small cluster.
pub(crate) struct World {
    pub(crate) view: View,
    pub(crate) now: Timestamp,
    pub(crate) uptime: Duration,
    /// Reason and message of each event.
    pub(crate) events: Vec<(String, String)>,
    /// What has changed and was told to nobody yet.
    pub(crate) changes: Vec<Change>,
    seed: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        World { view: View::new(), now, uptime: Duration::ZERO, events: Vec::new(), changes: Vec::new(), seed: 0 }
    }

    pub(crate) fn turn(&mut self) -> Turn<'_> {
        self.seed += 1;
        Turn { now: self.now, uptime: self.uptime, seed: self.seed, view: &self.view }
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now = self.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        self.uptime += Duration::from_secs(seconds.unsigned_abs());
    }

    /// Puts an object in as it is, with uid, creation and generation where they are not given.
    pub(crate) fn put(&mut self, kind: KindRef, mut value: Value) -> ObjectKey {
        let revision = self.view.revision() + 1;
        let meta = &mut value["metadata"];
        for (field, fill) in [
            ("uid", json!(format!("uid-{revision}"))),
            ("creationTimestamp", json!(time::stamp(self.now))),
            ("generation", json!(1)),
        ] {
            if meta[field].is_null() {
                meta[field] = fill;
            }
        }
        self.store(kind, value)
    }

    fn store(&mut self, kind: KindRef, mut value: Value) -> ObjectKey {
        let revision = self.view.revision() + 1;
        value["metadata"]["resourceVersion"] = json!(revision.to_string());
        let object = Object::from_value(kind, &value, revision).unwrap();
        let key = object.key().clone();
        self.changes.extend(self.view.apply(key.clone(), Some(Arc::new(object)), revision));
        key
    }

    pub(crate) fn remove(&mut self, key: &ObjectKey) {
        let revision = self.view.revision() + 1;
        self.changes.extend(self.view.apply(key.clone(), None, revision));
    }

    /// Merge-patches an object without any guard.
    pub(crate) fn merge(&mut self, key: &ObjectKey, patch: Value) {
        let before = self.view.at(key).unwrap_or_else(|| panic!("{key} is not there")).value();
        let mut after = before.clone();
        merge(&mut after, &patch);
        if after["spec"] != before["spec"] {
            after["metadata"]["generation"] = json!(before["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
        }
        if after == before {
            return;
        }
        let ends = !after["metadata"]["deletionTimestamp"].is_null() && after["metadata"]["finalizers"].is_null();
        if ends && !before["metadata"]["finalizers"].is_null() {
            self.remove(key)
        } else {
            drop(self.store(key.kind, after))
        }
    }

    /// The node has ended the pods that it was told to end.
    pub(crate) fn remove_terminating_pods(&mut self) {
        let dying = self.view.list(&POD, None).filter(|pod| pod.header.deleted.is_some());
        let keys: Vec<ObjectKey> = dying.map(|pod| pod.key().clone()).collect();
        keys.iter().for_each(|key| self.remove(key));
    }

    /// One turn of one key, with its intents carried out up to the first refusal.
    pub(crate) fn run_once(&mut self, controller: &mut dyn Controller, key: &QueueKey) -> Outcome {
        let outcome = controller.reconcile(key, self.turn());
        for intent in &outcome.intents {
            if let Err(status) = self.carry_out(intent) {
                for intent in controller.refused(key, intent, &status, self.turn()).intents {
                    drop(self.carry_out(&intent));
                }
                break;
            }
        }
        outcome
    }

    /// Runs all keys until nothing changes any more.
    pub(crate) fn settle(&mut self, controllers: &mut [&mut dyn Controller]) {
        let mut queue: BTreeSet<(usize, QueueKey)> = BTreeSet::new();
        for (at, controller) in controllers.iter().enumerate() {
            queue.extend(controller.initial(&self.view).into_iter().map(|key| (at, key)));
        }
        for _ in 0..TURNS_MAX {
            let Some((at, key)) = queue.pop_first() else { return };
            self.changes.clear();
            self.run_once(controllers[at], &key);
            for change in std::mem::take(&mut self.changes) {
                for (at, controller) in controllers.iter().enumerate() {
                    let mut keys = Vec::new();
                    controller.keys(&change, &self.view, &mut keys);
                    queue.extend(keys.into_iter().map(|key| (at, key)));
                }
            }
        }
        panic!("this does not settle: {queue:?}");
    }

    /// Carries out one intent, or refuses it.
    pub(crate) fn carry_out(&mut self, intent: &Intent) -> Result<(), Box<Status>> {
        match intent {
            Intent::Create { kind, namespace, body } => self.create(kind, namespace, body.clone()),
            Intent::Patch { key, patch, .. } => {
                let object = self.guarded(key, patch["metadata"]["uid"].as_str(), revision(patch))?;
                let mut patch = patch.clone();
                let meta = patch["metadata"].as_object_mut().expect("every patch is guarded");
                meta.remove("resourceVersion");
                meta.remove("uid");
                let key = object.key().clone();
                self.merge(&key, patch);
                Ok(())
            }
            Intent::Delete { key, uid, revision, propagation, grace_seconds } => {
                let object = self.guarded(key, Some(uid), *revision)?;
                self.delete(&object, *propagation, *grace_seconds);
                Ok(())
            }
            Intent::Post { key, subresource: "finalize", body } => {
                self.guarded(key, body["metadata"]["uid"].as_str(), None)?;
                let left = body["spec"]["finalizers"].as_array().is_some_and(|left| !left.is_empty());
                if left {
                    drop(self.store(&NAMESPACE, body.clone()))
                } else {
                    self.remove(key)
                }
                Ok(())
            }
            Intent::Post { subresource, .. } => {
                Err(Box::new(Status::bad_request(format!("no subresource {subresource}"))))
            }
            Intent::Event { reason, message, .. } => {
                self.events.push(((*reason).to_owned(), message.clone()));
                Ok(())
            }
        }
    }

    fn guarded(&self, key: &ObjectKey, uid: Option<&str>, revision: Option<u64>) -> Result<Arc<Object>, Box<Status>> {
        let object = self.view.at(key).ok_or_else(|| Status::not_found(key.kind, &key.name))?;
        if uid != Some(object.uid()) || revision.is_some_and(|revision| revision != object.header.revision) {
            return Err(Box::new(Status::conflict(key.kind, &key.name, "the object has been modified")));
        }
        Ok(object.clone())
    }

    fn create(&mut self, kind: KindRef, namespace: &str, mut body: Value) -> Result<(), Box<Status>> {
        if body["metadata"]["name"].is_null() {
            let stem = body["metadata"]["generateName"].as_str().unwrap().to_owned();
            self.seed += 1;
            body["metadata"]["name"] = json!(suffix::name(&stem, self.seed, 0));
        }
        let name = body["metadata"]["name"].as_str().unwrap();
        if self.view.get(kind, namespace, name).is_some() {
            return Err(Box::new(Status::already_exists(kind, name)));
        }
        assert_eq!(body["metadata"]["namespace"].as_str().unwrap_or_default(), namespace);
        self.put(kind, body);
        Ok(())
    }

    fn delete(&mut self, object: &Object, propagation: Option<&str>, grace: Option<i64>) {
        let key = object.key();
        let mut finalizers = object.header.finalizers.clone();
        match propagation {
            Some("Foreground") => finalizers.push("foregroundDeletion".to_owned()),
            Some("Orphan") => finalizers.push("orphan".to_owned()),
            _ => {}
        }
        finalizers.dedup();
        let waits =
            key.kind == &POD && grace != Some(0) && object.field("spec.nodeName").is_some_and(|n| !n.is_empty());
        if finalizers.is_empty() && !waits && key.kind != &NAMESPACE {
            return self.remove(key);
        }
        if object.header.deleted.is_none() {
            let finalizers = if finalizers.is_empty() { Value::Null } else { json!(finalizers) };
            let deleted = time::stamp(self.now);
            self.merge(key, json!({"metadata": {"deletionTimestamp": deleted, "finalizers": finalizers}}));
        }
    }
}

fn revision(patch: &Value) -> Option<u64> {
    patch["metadata"]["resourceVersion"].as_str().map(|text| text.parse().unwrap())
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}
