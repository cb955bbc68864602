//! The store in an etcd cluster, for many servers at once.
//!
//! Invariants: an answer of `latest` and every commit was decided by etcd's quorum; a commit is sent once, so one
//! whose answer was lost is `Unknown` and never repeated; watches deliver every commit under the prefix whole, once
//! and in order, whichever member they follow; nothing here has a state that another server would need.

mod assembly;
mod boundary;
mod bulk;
mod connection;
mod failure;
mod follow;
mod members;
mod message;
mod nudge;
mod range;
mod rounds;
mod sizes;
mod tls;
mod txn;
mod version;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{Commit, Range, Stats, Store, StoreError, Txn, Watch};
use boundary::{Boundary, OFFSET};
use connection::Endpoint;
use failure::Failure;
use follow::EtcdWatch;
use members::Members;
use message::{CompactionRequest, CompactionResponse, RangeRequest, RangeResponse, TxnResponse, revision};
use rounds::Rounds;
use sizes::Sizes;

use crate::limits::etcd::COMMIT_DEADLINE;

const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";

/// Where etcd is and how it knows us.
#[derive(Clone)]
pub struct EtcdConfig {
    /// `https://HOST:PORT`, or `http://` where the network is trusted; as many members as are known.
    pub endpoints: Vec<String>,
    /// What all keys start with in etcd.
    pub prefix: String,
    /// Certificates of the authorities that may vouch for the members, PEM; needed for https.
    pub ca_pem: Option<String>,
    /// Our certificate, PEM.
    pub cert_pem: Option<String>,
    /// Its key, PEM.
    pub key_pem: Option<String>,
}

impl Default for EtcdConfig {
    fn default() -> Self {
        let prefix = "/gantry-cluster".to_owned();
        EtcdConfig { endpoints: Vec::new(), prefix, ca_pem: None, cert_pem: None, key_pem: None }
    }
}

/// A handle on a store in etcd.
#[derive(Clone)]
pub struct EtcdStore {
    shared: Arc<Shared>,
}

/// What handles and watches share.
struct Shared {
    members: Members,
    boundary: Boundary,
    prefix: String,
    latest: Rounds<u64>,
    sizes: Sizes,
    newest: AtomicU64,
    compacted: AtomicU64,
    commits: AtomicU64,
    /// A revision of etcd's that somebody waits to see in a watch.
    asked: watch::Sender<i64>,
}

impl Shared {
    /// Notes a revision that exists.
    fn note(&self, revision: u64) {
        self.newest.fetch_max(revision, Ordering::AcqRel);
    }

    /// Notes up to where the log is cut; returns what is known of that now.
    fn note_compacted(&self, revision: u64) -> u64 {
        self.compacted.fetch_max(revision, Ordering::AcqRel).max(revision)
    }

    /// Makes watches reach a revision of etcd's, which may have come about without an event in them.
    fn ask(&self, revision: i64) {
        self.asked.send_if_modified(|asked| {
            let newer = revision > *asked;
            *asked = revision.max(*asked);
            newer
        });
    }
}

impl EtcdStore {
    /// Connects to one of the members. Errors: `Outdated` when etcd is older than 3.4, `Unavailable` with what every
    /// endpoint said when none can be used, `Io` for settings that make no sense.
    pub async fn connect(config: EtcdConfig) -> Result<Self, StoreError> {
        let endpoints: Result<Vec<_>, _> = config.endpoints.iter().map(|text| Endpoint::parse(text)).collect();
        let endpoints = endpoints?;
        if endpoints.is_empty() {
            return Err(StoreError::Io { operation: "connect", cause: "no endpoint of etcd is given".to_owned() });
        }
        let tls = tls::connector(&config)?;
        let shared = Shared {
            members: Members::new(endpoints, tls),
            boundary: Boundary::new(&config.prefix),
            prefix: config.prefix,
            latest: Rounds::default(),
            sizes: Sizes::default(),
            newest: AtomicU64::new(0),
            compacted: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            asked: watch::Sender::new(0),
        };
        let version = shared.members.connection().await?.version();
        if !version.reads_are_fresh() {
            tracing::warn!("etcd {version} may answer with old data after a pause; 3.4.42, 3.5.28 and 3.6.9 do not");
        }
        let store = EtcdStore { shared: Arc::new(shared) };
        store.read_offset().await?;
        Ok(store)
    }

    async fn read_offset(&self) -> Result<(), StoreError> {
        let boundary = &self.shared.boundary;
        let answer = self.look("connect", OFFSET, false).await?;
        if let Some(entry) = answer.kvs.first() {
            let text = String::from_utf8_lossy(&entry.value);
            let cause = || format!("{}: the revision offset {text:?} is not a number", self.shared.prefix);
            let offset = text.parse().map_err(|_| StoreError::Damaged { operation: "connect", cause: cause() })?;
            boundary.set_offset(offset);
            self.shared.note_compacted(offset);
        }
        self.shared.note(boundary.outward(revision(answer.header.as_ref())));
        Ok(())
    }

    /// One key, as etcd's quorum has it.
    async fn look(&self, operation: &'static str, key: &[u8], keys_only: bool) -> Result<RangeResponse, StoreError> {
        let key = self.shared.boundary.key(key);
        let request = RangeRequest { key, limit: 1, keys_only, ..RangeRequest::default() };
        range::ask(&self.shared, &request).await.map_err(|failure| failure.of_read(operation))
    }

    /// etcd's newest revision, from its quorum.
    async fn newest_inward(&self, operation: &'static str) -> Result<i64, StoreError> {
        let answer = self.look(operation, OFFSET, true).await?;
        Ok(revision(answer.header.as_ref()))
    }

    /// What became of a transaction that crossed etcd's quota. The one that crosses it is applied and refused both,
    /// so only a key that is still as it was before says that nothing happened.
    async fn after_no_space(&self, txn: &Txn, cause: String) -> StoreError {
        let unknown = StoreError::Unknown { operation: "commit", cause };
        let written = |key: &Bytes| txn.writes.iter().rev().find(|(k, _)| k == key).is_some_and(|(_, v)| v.is_some());
        let Some((key, expected)) = txn.compare.iter().find(|(key, _)| written(key)) else { return unknown };
        match self.look("commit", key, true).await {
            Ok(answer) => {
                let actual = answer.kvs.first().map_or(0, |entry| self.shared.boundary.outward(entry.mod_revision));
                if actual == *expected { failure::full() } else { unknown }
            }
            Err(_) => unknown,
        }
    }
}

#[async_trait]
impl Store for EtcdStore {
    fn revision(&self) -> u64 {
        self.shared.newest.load(Ordering::Acquire)
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let question = async {
            let newest = self.newest_inward("latest").await?;
            shared.ask(newest);
            let newest = shared.boundary.outward(newest);
            shared.note(newest);
            Ok(newest)
        };
        shared.latest.ask(question).await
    }

    fn shared(&self) -> bool {
        true
    }

    /// Sizes as one member had them when they were asked for last; asks again when that is a while ago.
    fn stats(&self) -> Stats {
        let commits = self.shared.commits.load(Ordering::Relaxed);
        Stats { commits, ..sizes::known(&self.shared) }
    }

    fn compacted(&self) -> u64 {
        self.shared.compacted.load(Ordering::Acquire)
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        range::read(&self.shared, &prefix).await
    }

    /// etcd is always durable. A transaction that only removes what is not there has no revision of its own.
    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let shared = &self.shared;
        let request = txn::encode(&shared.boundary, &txn)?;
        let answer: Result<TxnResponse, _> = shared.members.write(TXN, &request, COMMIT_DEADLINE).await;
        match answer {
            Ok(answer) => {
                let decision = txn::decode(&shared.boundary, &txn, &answer)?;
                let newest = revision(answer.header.as_ref());
                shared.note(shared.boundary.outward(newest));
                match decision.visible {
                    true => drop(shared.commits.fetch_add(1, Ordering::Relaxed)),
                    false => shared.ask(newest),
                }
                Ok(decision.commit)
            }
            Err(Failure::NoSpace(cause)) => Err(self.after_no_space(&txn, cause).await),
            Err(failure) => Err(failure.of_write("commit")),
        }
    }

    /// Must be called inside a tokio runtime.
    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        let (newest, compacted) = (self.revision(), self.compacted());
        if from > newest {
            return Err(StoreError::Future { requested: from, newest });
        }
        match self.shared.boundary.inward(from) {
            Some(position) if from >= compacted => Ok(Watch::new(EtcdWatch::start(self.shared.clone(), position))),
            _ => Err(StoreError::Compacted { requested: from, compacted }),
        }
    }

    /// All at once: etcd removes in steps of its own.
    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let target = revision.min(self.revision());
        let Some(inward) = shared.boundary.inward(target).filter(|inward| *inward > 0) else { return Ok(false) };
        if target <= self.compacted() {
            return Ok(false);
        }
        let request = CompactionRequest { revision: inward };
        match shared.members.read(COMPACT, &request, |_: &CompactionResponse| Ok(())).await {
            // Somebody else may have cut it, further even.
            Ok(_) | Err(Failure::Compacted) => shared.note_compacted(target),
            Err(failure) => return Err(failure.of_read("compact")),
        };
        Ok(false)
    }
}
