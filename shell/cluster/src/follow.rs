//! How the view follows the store: read once, then every commit in order; read anew when the store's log was cut.

use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use gantry_kinds::KindRef;
use gantry_store::{Batch, Entry, KeyChange, Store, StoreError, Watch};
use gantry_view::{Object, ObjectKey, View};
use tokio::time::sleep;

use crate::cluster::{Cluster, OpenError};
use crate::election::Leadership;
use crate::failpoints::failpoint;
use crate::feed::History;
use crate::keys;
use crate::limits::{PARSE_SHARE, REREAD_PAUSE};
use crate::metrics::Metrics;
use crate::topics::Topics;

/// What readers see, and what they are told of it.
pub(crate) struct State {
    pub(crate) view: View,
    pub(crate) history: History,
    pub(crate) live: Arc<Topics>,
}

/// Reads everything at one revision.
pub(crate) async fn read(store: &dyn Store) -> Result<(State, Leadership), OpenError> {
    let range = store.range(Bytes::from_static(keys::EVERYTHING)).await.map_err(OpenError::Read)?;
    let mut objects = Vec::with_capacity(range.entries.len());
    let mut leadership = Leadership::default();
    for (entry, found) in parse_all(range.entries) {
        match found? {
            Some(object) => objects.push(object),
            None => {
                let change = KeyChange { key: entry.key, value: Some(entry.value) };
                leadership.note(&change, entry.revision);
            }
        }
    }
    let view = View::load(objects, range.revision);
    Ok((State { view, history: History::starting_at(range.revision), live: Arc::default() }, leadership))
}

/// What an entry of the store is; `None` for what is no object.
type Found = Result<Option<Arc<Object>>, OpenError>;

/// Parses entries, many of them on all cores; in their order.
fn parse_all(entries: Vec<Entry>) -> impl Iterator<Item = (Entry, Found)> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = entries.len().div_ceil(cores).max(PARSE_SHARE);
    let found: Vec<Vec<Found>> = std::thread::scope(|scope| {
        let mut shares = entries.chunks(share);
        let own = shares.next();
        let others: Vec<_> = shares.map(|share| scope.spawn(|| share.iter().map(find).collect())).collect();
        let own = own.map(|share| share.iter().map(find).collect());
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        own.into_iter().chain(others).collect()
    });
    entries.into_iter().zip(found.into_iter().flatten())
}

fn find(entry: &Entry) -> Found {
    let Some(key) = keys::decode(&entry.key, find_kind) else { return Ok(None) };
    match Object::parse(key.kind, &entry.value, entry.revision) {
        Ok(object) => Ok(Some(Arc::new(object))),
        Err(error) => {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            Err(OpenError::Malformed { key, why: error.to_string() })
        }
    }
}

/// Kinds by group and plural: the table's, and those that the registry keeps for itself.
fn find_kind(group: &str, plural: &str) -> Option<KindRef> {
    gantry_registry::stored_kinds().find(|k| k.group == group && k.plural == plural)
}

/// Applies commit after commit, until the cluster is gone or the store has ended.
pub(crate) async fn follow(cluster: Weak<Cluster>, mut watch: Watch) {
    loop {
        match watch.next().await {
            Ok(batch) => {
                let Some(cluster) = cluster.upgrade() else { return };
                cluster.apply(&batch);
            }
            Err(StoreError::Compacted { requested, compacted }) => {
                tracing::warn!(requested, compacted, "the view fell behind the store's log; it is read anew");
                match reread(&cluster).await {
                    Some(anew) => watch = anew,
                    None => return,
                }
            }
            Err(error) => {
                match error {
                    StoreError::Closed => tracing::debug!("the store was closed"),
                    _ => tracing::error!(%error, "the view no longer follows the store"),
                }
                if let Some(cluster) = cluster.upgrade() {
                    cluster.end(error);
                }
                return;
            }
        }
    }
}

/// Replaces the view by what the store holds now, and ends all feeds: what happened in between is not known.
async fn reread(cluster: &Weak<Cluster>) -> Option<Watch> {
    loop {
        let cluster = cluster.upgrade()?;
        let result = match read(&**cluster.store()).await {
            Ok((state, leadership)) => {
                let revision = state.view.revision();
                let watch = cluster.store().watch(revision);
                *cluster.state().write() = state;
                cluster.note_leadership(|now| {
                    *now = leadership;
                    true
                });
                cluster.has_reached(revision);
                watch.map_err(OpenError::Read)
            }
            Err(error) => Err(error),
        };
        drop(cluster);
        match result {
            Ok(watch) => return Some(watch),
            Err(error) => tracing::warn!(%error, "reading the store anew failed; it is tried again"),
        }
        sleep(REREAD_PAUSE).await;
    }
}

impl Cluster {
    fn apply(&self, batch: &Batch) {
        let parsed: Vec<_> = batch.changes.iter().filter_map(|change| parse(change, batch.revision)).collect();
        failpoint!("cluster::before_apply");
        let mut state = self.state().write();
        for (key, object) in parsed {
            if let Some(change) = state.view.apply(key, object, batch.revision) {
                Metrics::count(&self.metrics().changes);
                let change = Arc::new(change);
                state.live.publish(&change);
                state.history.push(change);
            }
        }
        state.view.advance(batch.revision);
        drop(state);
        self.note_leadership(|leadership| {
            let noted = batch.changes.iter().filter(|change| leadership.note(change, batch.revision)).count();
            noted > 0
        });
        failpoint!("cluster::after_apply");
        self.has_reached(batch.revision);
    }
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
