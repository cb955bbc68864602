//! The cluster: one view, fed by the store, and the loop that turns requests into commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gantry_kinds::{KindRef, Status};
use gantry_registry::{Context, Decision, Request, Settings, Write, decide};
use gantry_store::{Batch, Commit, KeyChange, Store, StoreError, Txn};
use gantry_view::{Change, Object, ObjectKey, View};
use jiff::Timestamp;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use serde_json::Value;
use tokio::sync::{broadcast, watch};

use crate::feed::{Feed, History, WatchFrom};
use crate::limits::{COMMIT_ATTEMPTS, FEED_CHANGES, VIEW_WAIT};
use crate::metrics::Metrics;
use crate::{compact, keys};

/// The answer to a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status code, 200 or 201.
    pub code: u16,
    /// The body, resourceVersion included.
    pub body: Value,
    /// Texts for `Warning` headers.
    pub warnings: Vec<String>,
}

/// Why a cluster could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store could not be read.
    #[error("reading the store")]
    Read(#[source] StoreError),
    /// The store holds something that is not an object.
    #[error("the store holds {key}, which cannot be read: {why}")]
    Malformed {
        /// The store's key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

struct State {
    view: View,
    history: History,
}

/// All objects, how they change, and who is told.
pub struct Cluster {
    store: Arc<dyn Store>,
    settings: Settings,
    state: RwLock<State>,
    live: broadcast::Sender<Arc<Change>>,
    reached: watch::Sender<u64>,
    seed: AtomicU64,
    metrics: Metrics,
}

impl Cluster {
    /// Reads all objects from `store` and follows it from then on. `seed` starts the sequence from which uids and
    /// name suffixes are drawn, and must differ from start to start. Must be called inside a tokio runtime.
    pub async fn open(store: Arc<dyn Store>, settings: Settings, seed: u64) -> Result<Arc<Self>, OpenError> {
        let range = store.range(Bytes::from_static(keys::PREFIX)).await.map_err(OpenError::Read)?;
        let mut view = View::new();
        for entry in &range.entries {
            let Some(key) = keys::decode(&entry.key, find_kind) else { continue };
            let object = Object::parse(key.kind, &entry.value, entry.revision).map_err(|e| OpenError::Malformed {
                key: String::from_utf8_lossy(&entry.key).into_owned(),
                why: e.to_string(),
            })?;
            view.apply(key, Some(Arc::new(object)), entry.revision);
        }
        view.advance(range.revision);
        let follow = store.watch(range.revision).map_err(OpenError::Read)?;
        let cluster = Arc::new(Cluster {
            store,
            settings,
            state: RwLock::new(State { view, history: History::starting_at(range.revision) }),
            live: broadcast::channel(FEED_CHANGES).0,
            reached: watch::channel(range.revision).0,
            seed: AtomicU64::new(seed),
            metrics: Metrics::default(),
        });
        tokio::spawn(follow_store(Arc::downgrade(&cluster), follow));
        tokio::spawn(compact::keep_compacting(Arc::downgrade(&cluster.store)));
        Ok(cluster)
    }

    /// The view, for a short synchronous look; never hold it over an await.
    pub fn view(&self) -> MappedRwLockReadGuard<'_, View> {
        RwLockReadGuard::map(self.state.read(), |state| &state.view)
    }

    /// What the registry goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counters of the one path.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// A number that no earlier call returned, and that nobody can guess from earlier ones.
    pub fn next_seed(&self) -> u64 {
        // splitmix64: a bijection of a counter, so no two calls meet.
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A feed of changes. 410 `Expired` when `from` is older than what is in memory.
    pub fn watch(&self, from: WatchFrom) -> Result<Feed, Box<Status>> {
        let state = self.state.read();
        let after = match from {
            WatchFrom::Now => state.view.revision(),
            WatchFrom::After(revision) => revision,
        };
        let floor = state.history.floor();
        state
            .history
            .feed(after, self.live.subscribe())
            .ok_or_else(|| Box::new(Status::expired(format!("too old resource version: {after} ({floor})"))))
    }

    /// Reads the view and starts a feed at exactly that revision.
    pub fn watch_snapshot<R>(&self, read: impl FnOnce(&View) -> R) -> (R, Feed) {
        let state = self.state.read();
        let feed = state.history.feed(state.view.revision(), self.live.subscribe());
        (read(&state.view), feed.expect("the view is never behind the history"))
    }

    /// Waits until the view has reached `revision`; 504 when it does not within half a minute.
    pub async fn wait_for(&self, revision: u64) -> Result<(), Box<Status>> {
        let mut reached = self.reached.subscribe();
        let wait = reached.wait_for(|now| *now >= revision);
        match tokio::time::timeout(VIEW_WAIT, wait).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Box::new(Status::new(504, "Timeout", "the server did not see its own write in time"))),
        }
    }

    /// Decides a write, commits it and answers once the view shows it. A commit that somebody else beat is
    /// decided anew; what then conflicts for the client is the registry's word.
    pub async fn execute(&self, request: Request) -> Result<Reply, Box<Status>> {
        for _ in 0..COMMIT_ATTEMPTS {
            let decision = {
                let context = Context { now: Timestamp::now(), seed: self.next_seed(), settings: &self.settings };
                decide(&self.state.read().view, &request, &context)
            };
            let (writes, guards, mut reply) = match decision {
                Decision::Refuse(status) => {
                    Metrics::count(&self.metrics.refusals);
                    return Err(status);
                }
                Decision::Reply { reply, code, warnings } => return Ok(Reply { code, body: reply, warnings }),
                Decision::Commit { writes, guards, reply, code, warnings } => {
                    (writes, guards, Reply { code, body: reply, warnings })
                }
            };
            match self.store.commit(transaction(&writes, &guards)).await {
                Ok(Commit::Done(at)) => {
                    Metrics::count(&self.metrics.commits);
                    self.wait_for(at).await?;
                    stamp(&mut reply.body, at);
                    return Ok(reply);
                }
                Ok(Commit::Conflict { revision, .. }) => {
                    Metrics::count(&self.metrics.conflicts);
                    self.wait_for(revision).await?;
                }
                Err(error) => return Err(Box::new(store_status(&error))),
            }
        }
        Err(Box::new(conflict_after_all(&request)))
    }

    fn apply(&self, batch: &Batch) {
        let parsed: Vec<_> = batch.changes.iter().filter_map(|change| parse(change, batch.revision)).collect();
        let mut state = self.state.write();
        for (key, object) in parsed {
            if let Some(change) = state.view.apply(key, object, batch.revision) {
                Metrics::count(&self.metrics.changes);
                let change = Arc::new(change);
                state.history.push(change.clone());
                // Nobody listening is fine.
                let _ = self.live.send(change);
            }
        }
        state.view.advance(batch.revision);
        drop(state);
        self.reached.send_replace(batch.revision);
    }
}

/// Kinds by group and plural: the table's, and those that the registry keeps for itself.
fn find_kind(group: &str, plural: &str) -> Option<KindRef> {
    gantry_registry::stored_kinds().find(|k| k.group == group && k.plural == plural)
}

fn parse(change: &KeyChange, revision: u64) -> Option<(ObjectKey, Option<Arc<Object>>)> {
    let key = keys::decode(&change.key, find_kind)?;
    let Some(value) = &change.value else { return Some((key, None)) };
    match Object::parse(key.kind, value, revision) {
        Ok(object) => Some((key, Some(Arc::new(object)))),
        Err(error) => {
            tracing::error!(%key, %error, "a committed object cannot be read");
            None
        }
    }
}

async fn follow_store(cluster: std::sync::Weak<Cluster>, mut follow: gantry_store::Watch) {
    loop {
        match follow.next().await {
            Ok(batch) => {
                let Some(cluster) = cluster.upgrade() else { return };
                cluster.apply(&batch);
            }
            Err(error) => {
                tracing::error!(%error, "the view no longer follows the store");
                return;
            }
        }
    }
}

fn transaction(writes: &[Write], guards: &[(ObjectKey, u64)]) -> Txn {
    let compare = writes.iter().map(|w| (&w.key, w.expect)).chain(guards.iter().map(|(key, at)| (key, *at)));
    Txn {
        compare: compare.map(|(key, at)| (keys::encode(key), at)).collect(),
        writes: writes.iter().map(|w| (keys::encode(&w.key), w.json.clone())).collect(),
        durable: writes.iter().any(|w| !may_be_lost(w.key.kind)),
    }
}

/// Leases and events may be acknowledged before they are on disk; nothing else may.
fn may_be_lost(kind: KindRef) -> bool {
    matches!((kind.group, kind.plural), ("coordination.k8s.io", "leases") | ("" | "events.k8s.io", "events"))
}

fn stamp(body: &mut Value, revision: u64) {
    let is_status = body.get("kind").and_then(Value::as_str) == Some("Status");
    if let (false, Some(meta)) = (is_status, body.get_mut("metadata").and_then(Value::as_object_mut)) {
        meta.insert("resourceVersion".to_owned(), Value::String(revision.to_string()));
    }
}

fn store_status(error: &StoreError) -> Status {
    match error {
        StoreError::Full { .. } => Status::new(507, "InsufficientStorage", error.to_string()),
        _ => Status::internal(error),
    }
}

fn conflict_after_all(request: &Request) -> Status {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    Status::conflict(request.target.kind, &request.target.name, why)
}
