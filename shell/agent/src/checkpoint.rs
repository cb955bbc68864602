//! What the node was last told, on disk: enough to go on, and to start again, while no server answers.
//!
//! Invariants: a file is whole or absent (written beside, synced, renamed) and readable to root alone; it is written
//! when its contents have changed, and no more often than a small share of the time allows; one that would grow
//! beyond its bound is removed instead, so that nothing stale takes its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gantry_client::Event;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::error::AgentError;
use crate::limits::{AWAY_AFTER, CHECKPOINT_BYTES, CHECKPOINT_PAUSE, CHECKPOINT_SHARE};

/// The layout of the files.
const FORMAT: u64 = 1;

/// The folder of all that the node was told.
#[derive(Clone)]
pub(crate) struct Checkpoint {
    folder: PathBuf,
    /// Whether any server has told anything since this process began.
    heard: Arc<AtomicBool>,
    begun: Instant,
}

impl Checkpoint {
    pub(crate) fn open(folder: PathBuf) -> Result<Self, AgentError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(AgentError::at("create", &folder))?;
        Ok(Checkpoint { folder, heard: Arc::default(), begun: Instant::now() })
    }

    /// The collection of that name, empty until something is taken into it.
    pub(crate) fn collection(&self, name: &str) -> Collection {
        Collection {
            path: self.folder.join(format!("{name}.json")),
            objects: BTreeMap::new(),
            bytes: 0,
            dirty: false,
            save_at: Instant::now(),
            saving: None,
        }
    }

    /// A server has told something.
    pub(crate) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// When to begin with what was last known, as long as no server says anything.
    pub(crate) fn away_at(&self) -> Instant {
        let since = if self.heard.load(Ordering::Relaxed) { Instant::now() } else { self.begun };
        since + AWAY_AFTER
    }

    /// Removes all files of a prefix but these.
    pub(crate) fn forget_others(&self, prefixes: &[&str], names: &BTreeSet<String>) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let Some(name) = file.strip_suffix(".json") else { continue };
            if prefixes.iter().any(|prefix| name.starts_with(prefix)) && !names.contains(name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Objects by namespace and name.
type Id = (String, String);

/// One collection as it was last told, and its file.
pub(crate) struct Collection {
    path: PathBuf,
    objects: BTreeMap<Id, Vec<u8>>,
    bytes: usize,
    dirty: bool,
    save_at: Instant,
    /// The write that is under way.
    saving: Option<JoinHandle<Duration>>,
}

impl Collection {
    /// What the file holds; `None` where there is none that can be read.
    pub(crate) fn load(&self) -> Option<Vec<Value>> {
        load(&self.path)
    }

    /// Takes note of what a server has told.
    pub(crate) fn take(&mut self, event: &Event) {
        match event {
            Event::Restarted(objects) => {
                let fresh: BTreeMap<_, _> = objects.iter().map(|object| (id(object), bare(object))).collect();
                if self.objects != fresh || !self.path.exists() {
                    self.bytes = fresh.values().map(Vec::len).sum();
                    self.objects = fresh;
                    self.dirty = true;
                }
            }
            Event::Applied(object) => {
                let bytes = bare(object);
                let length = bytes.len();
                let before = self.objects.insert(id(object), bytes);
                self.bytes = self.bytes + length - before.as_ref().map_or(0, Vec::len);
                self.dirty |= before.as_ref() != self.objects.get(&id(object));
            }
            Event::Deleted(object) => {
                if let Some(gone) = self.objects.remove(&id(object)) {
                    self.bytes -= gone.len();
                    self.dirty = true;
                }
            }
        }
    }

    /// When something is to be written, if at all.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.dirty.then_some(self.save_at)
    }

    /// Writes what has changed. Cut off in the middle, it goes on by itself and nothing is lost.
    pub(crate) async fn save(&mut self) {
        if let Some(saving) = &mut self.saving {
            let took = saving.await.unwrap_or_default();
            self.saving = None;
            self.save_at = Instant::now() + CHECKPOINT_PAUSE.max(took * CHECKPOINT_SHARE);
            return;
        }
        self.dirty = false;
        self.save_at = Instant::now() + CHECKPOINT_PAUSE;
        let path = self.path.clone();
        if self.bytes > CHECKPOINT_BYTES {
            tracing::warn!(path = %path.display(), bytes = self.bytes, "too much to keep for a time without servers");
            let _ = fs::remove_file(path);
            return;
        }
        let mut text = json!({"format": FORMAT, "objects": self.objects.len()}).to_string().into_bytes();
        for object in self.objects.values() {
            text.push(b'\n');
            text.extend_from_slice(object);
        }
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let begun = std::time::Instant::now();
            if let Err(error) = write_private(&path, &text) {
                tracing::warn!(%error, "what the cluster says is not kept for a time without servers");
            }
            begun.elapsed()
        }));
    }
}

/// Reads a file of objects.
pub(crate) fn load(path: &Path) -> Option<Vec<Value>> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines();
    let head: Value = serde_json::from_str(lines.next()?).ok()?;
    let objects: Result<Vec<Value>, _> = lines.map(serde_json::from_str).collect();
    let whole = |objects: &Vec<Value>| head["format"] == FORMAT && head["objects"] == objects.len();
    let read = objects.ok().filter(whole);
    if read.is_none() {
        tracing::warn!(path = %path.display(), "what was last known cannot be read");
    }
    read
}

/// Replaces a file as a whole; only its owner may read it.
pub(crate) fn write_private(path: &Path, text: &[u8]) -> Result<(), AgentError> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    };
    written().map_err(AgentError::at("write", path))
}

fn id(object: &Value) -> Id {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (field("namespace"), field("name"))
}

/// An object without what only its writers care for.
fn bare(object: &Value) -> Vec<u8> {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn object(name: &str, value: u32) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "managedFields": [1]}, "value": value})
    }

    async fn saved(collection: &mut Collection) -> Vec<(Value, Value)> {
        collection.save().await;
        collection.save().await;
        let read = collection.load().expect("a file");
        read.iter().map(|object| (object["metadata"]["name"].clone(), object["value"].clone())).collect()
    }

    #[tokio::test]
    async fn f11_what_was_last_told_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(folder.path().join("known")).unwrap();
        let mut pods = checkpoint.collection("pods");
        assert!(pods.load().is_none() && pods.due().is_none());
        pods.take(&Event::Restarted(Vec::new()));
        assert!(pods.due().is_some(), "that nothing is there is worth knowing");
        pods.take(&Event::Applied(object("a", 1)));
        pods.take(&Event::Applied(object("b", 1)));
        assert_eq!(saved(&mut pods).await, [(json!("a"), json!(1)), (json!("b"), json!(1))]);
        assert!(pods.load().unwrap()[0]["metadata"]["managedFields"].is_null());
        let mode = fs::metadata(&pods.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        pods.take(&Event::Applied(object("a", 1)));
        pods.take(&Event::Restarted(vec![object("a", 1), object("b", 1)]));
        assert!(pods.due().is_none(), "nothing has changed");
        pods.take(&Event::Deleted(object("a", 1)));
        pods.take(&Event::Applied(object("b", 2)));
        assert_eq!(saved(&mut pods).await, [(json!("b"), json!(2))]);
        assert_eq!(checkpoint.collection("pods").load(), pods.load(), "another process reads the same");
    }

    #[tokio::test]
    async fn f11_what_is_damaged_or_too_large_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(folder.path().to_owned()).unwrap();
        let mut maps = checkpoint.collection("configmap_n_a");
        maps.take(&Event::Restarted(vec![object("a", 1), object("b", 1)]));
        saved(&mut maps).await;
        let text = fs::read_to_string(&maps.path).unwrap();
        let (cut, _) = text.rsplit_once('\n').unwrap();
        for damaged in [cut, &text[..text.len() - 3], "", "{}"] {
            fs::write(&maps.path, damaged).unwrap();
            assert!(maps.load().is_none(), "{damaged:?}");
        }
        let mut large = object("a", 2);
        large["data"] = json!("x".repeat(CHECKPOINT_BYTES));
        maps.take(&Event::Applied(large));
        maps.save().await;
        assert!(!maps.path.exists());
        for name in ["configmap_n_b", "configmap_n_c", "pods"] {
            write_private(&checkpoint.collection(name).path, b"x").unwrap();
        }
        checkpoint.forget_others(&["configmap_"], &["configmap_n_b".to_owned()].into());
        let left = ["configmap_n_b", "configmap_n_c", "pods"].map(|name| checkpoint.collection(name).path.exists());
        assert_eq!(left, [true, false, true]);
    }
}
