//! How the view follows the store: read once, then every commit in order; read anew when the store's log was cut.

use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use gantry_kinds::KindRef;
use gantry_store::{Batch, Entry, KeyChange, Part, Store, StoreError, Watch};
use gantry_view::{Object, ObjectKey, View};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::cluster::{Cluster, OpenError};
use crate::election::Leadership;
use crate::failpoints::failpoint;
use crate::feed::History;
use crate::keys;
use crate::limits::REREAD_PAUSE;
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
    let scan = store.scan(Bytes::from_static(keys::EVERYTHING)).await.map_err(OpenError::Read)?;
    let mut objects = Vec::with_capacity(scan.count);
    let mut leadership = Leadership::default();
    for found in parse_all(scan.parts, scan.count)? {
        match found {
            Found::Object(object) => objects.push(object),
            Found::Other(change, revision) => drop(leadership.note(&change, revision)),
        }
    }
    let view = View::load(objects, scan.revision);
    Ok((State { view, history: History::starting_at(scan.revision), live: Arc::default() }, leadership))
}

/// What an entry of the store is.
enum Found {
    Object(Arc<Object>),
    Other(KeyChange, u64),
}

/// Entries with their places in the order of keys.
type Placed = Vec<(usize, Found)>;

/// Reads and parses all parts, many of them on all cores; in the order of keys.
fn parse_all(parts: Vec<Part>, count: usize) -> Result<impl Iterator<Item = Found>, OpenError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(parts.len());
    let parts = Mutex::new(parts.into_iter());
    let work = || -> Result<Placed, OpenError> {
        let mut found = Vec::new();
        loop {
            let Some(part) = parts.lock().next() else { return Ok(found) };
            for (place, entry) in part().map_err(OpenError::Read)? {
                found.push((place, find(entry)?));
            }
        }
    };
    let shares: Vec<Placed> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(own).chain(others).collect::<Result<_, _>>()
    })?;
    let mut ordered: Vec<Option<Found>> = Vec::new();
    ordered.resize_with(count, || None);
    for (place, found) in shares.into_iter().flatten() {
        ordered[place] = Some(found);
    }
    Ok(ordered.into_iter().flatten())
}

fn find(entry: Entry) -> Result<Found, OpenError> {
    let Some(key) = keys::decode(&entry.key, find_kind(Some(&entry.value))) else {
        return Ok(Found::Other(KeyChange { key: entry.key, value: Some(entry.value) }, entry.revision));
    };
    match Object::parse(key.kind, &entry.value, entry.revision) {
        Ok(object) => Ok(Found::Object(Arc::new(object))),
        Err(error) => {
            let key = String::from_utf8_lossy(&entry.key).into_owned();
            Err(OpenError::Malformed { key, why: error.to_string() })
        }
    }
}

/// Kinds by group and plural: the table's, and those that the registry keeps for itself.
///
/// Any other group with a domain is a custom kind's, whose definition may be read before, after, or not at all.
pub(crate) fn find_kind(value: Option<&[u8]>) -> impl Fn(&str, &str, bool) -> Option<KindRef> {
    move |group, plural, namespaced| {
        let known = gantry_registry::stored_kinds().find(|k| k.group == group && k.plural == plural);
        known.or_else(|| {
            let named = value.and_then(|value| serde_json::from_slice::<Named>(value).ok()).unwrap_or_default();
            group.contains('.').then(|| gantry_kinds::custom::home(group, plural, &named.kind, namespaced))
        })
    }
}

/// What a stored object says it is.
#[derive(Default, serde::Deserialize)]
struct Named {
    #[serde(default)]
    kind: String,
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
    let key = keys::decode(&change.key, find_kind(change.value.as_deref()))?;
    let Some(value) = &change.value else { return Some((key, None)) };
    match Object::parse(key.kind, value, revision) {
        Ok(object) => Some((key, Some(Arc::new(object)))),
        Err(error) => {
            tracing::error!(%key, %error, "a committed object cannot be read");
            None
        }
    }
}
