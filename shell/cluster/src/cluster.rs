//! The cluster: one view, fed by the store, and the loop that turns requests into commits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gantry_kinds::{KindRef, Status};
use gantry_policy::{Attributes, Chain, Verdict};
use gantry_registry::{Answers, Ask, Context, Decision, Request, Settings, Write, decide};
use gantry_store::{Commit, Store, StoreError, Txn};
use gantry_view::{ObjectKey, Turn, View};
use jiff::Timestamp;
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::{Clock, SystemClock};
use crate::contention::{Contention, Held};
use crate::election::{Epoch, Leadership};
use crate::failpoints::failpoint;
use crate::feed::{Feed, WatchFrom};
use crate::follow::{self, State};
use crate::limits::{ASKS, COMMIT_ATTEMPTS, COMMIT_WAIT, CONFIRM_WAIT, VIEW_WAIT};
use crate::metrics::Metrics;
use crate::oracle::Oracle;
use crate::reached::Reached;
use crate::topics::Topic;
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

/// What a cluster is opened with.
pub struct Setup {
    /// What the registry goes by.
    pub settings: Settings,
    /// Starts the sequence from which uids and name suffixes are drawn; must differ from start to start.
    pub seed: u64,
    /// Where the time of day comes from.
    pub clock: Arc<dyn Clock>,
    /// This server's name in the election of the leader; must differ from all other servers'.
    pub identity: String,
}

impl Setup {
    /// With this machine's clock, and a name made of the seed.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Setup { settings, seed, clock: Arc::new(SystemClock), identity: format!("{seed:016x}") }
    }
}

/// All objects, how they change, and who is told.
pub struct Cluster {
    store: Arc<dyn Store>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    started: Instant,
    identity: String,
    state: RwLock<State>,
    reached: Reached,
    leadership: watch::Sender<Leadership>,
    /// Whether this server leads, as far as it knows itself.
    pub(crate) leading: AtomicBool,
    /// The last epoch of this server in which the outcome of a write is unknown.
    doubts: watch::Sender<u64>,
    /// Why the view follows the store no longer.
    ended: watch::Sender<Option<StoreError>>,
    seed: AtomicU64,
    /// The last revision that compaction was asked to forget.
    pub(crate) horizon: AtomicU64,
    metrics: Metrics,
    /// Who answers what decisions ask.
    oracle: OnceLock<Arc<dyn Oracle>>,
    contention: Contention,
    /// Who says who may do what.
    authorizers: RwLock<Arc<Chain>>,
}

impl Cluster {
    /// Reads all objects from `store` and follows it from then on. Must be called inside a tokio runtime.
    pub async fn open(store: Arc<dyn Store>, setup: Setup) -> Result<Arc<Self>, OpenError> {
        let (state, leadership) = follow::read(&*store).await?;
        let revision = state.view.revision();
        let watch = store.watch(revision).map_err(OpenError::Read)?;
        let cluster = Arc::new(Cluster {
            store,
            settings: setup.settings,
            clock: setup.clock,
            started: Instant::now(),
            identity: setup.identity,
            state: RwLock::new(state),
            reached: Reached::new(revision),
            leadership: watch::channel(leadership).0,
            leading: AtomicBool::new(false),
            doubts: watch::channel(0).0,
            ended: watch::channel(None).0,
            seed: AtomicU64::new(setup.seed),
            horizon: AtomicU64::new(0),
            metrics: Metrics::default(),
            oracle: OnceLock::new(),
            contention: Contention::default(),
            authorizers: RwLock::default(),
        });
        tokio::spawn(follow::follow(Arc::downgrade(&cluster), watch));
        tokio::spawn(compact::keep_compacting(Arc::downgrade(&cluster)));
        Ok(cluster)
    }

    /// The view, for a short synchronous look; never hold it over an await.
    pub fn view(&self) -> MappedRwLockReadGuard<'_, View> {
        RwLockReadGuard::map(self.state.read(), |state| &state.view)
    }

    /// Says who answers what decisions ask; the first word counts.
    pub fn consult(&self, oracle: Arc<dyn Oracle>) {
        let _ = self.oracle.set(oracle);
    }

    /// What the registry goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counters of the one path.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// This server's name in the election of the leader.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Time since the cluster was opened; no clock that is set moves it.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What a decision on `view`, which is this cluster's, may know.
    pub fn turn<'a>(&self, view: &'a View) -> Turn<'a> {
        Turn { now: self.now(), uptime: self.uptime(), seed: self.next_seed(), view }
    }

    /// Who leads, as far as the view has read.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.subscribe()
    }

    /// Returns once the view follows the store no longer: nothing that is read afterwards can be trusted to be new.
    pub async fn ended(&self) -> StoreError {
        let mut ended = self.ended.subscribe();
        let error = ended.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
        error.unwrap_or(StoreError::Closed)
    }

    /// A number that no earlier call returned, and that nobody can guess from earlier ones.
    pub fn next_seed(&self) -> u64 {
        // splitmix64: a bijection of a counter, so no two calls meet.
        let mut z = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The revision up to which lists of the past are over, as those of a store that was compacted. The feed may reach
    /// back further: watches go on where they were.
    pub fn horizon(&self) -> u64 {
        self.horizon.load(Ordering::Relaxed)
    }

    /// A feed of what is about `topic`. 410 `Expired` when `from` is older than what is in memory.
    pub fn watch(&self, topic: Topic, from: WatchFrom) -> Result<Feed, Box<Status>> {
        let state = self.state.read();
        let after = match from {
            WatchFrom::Now => state.view.revision(),
            WatchFrom::After(revision) => revision,
        };
        let floor = state.history.floor();
        state
            .history
            .feed(after, topic, &state.live)
            .ok_or_else(|| Box::new(Status::expired(format!("too old resource version: {after} ({floor})"))))
    }

    /// Reads the view and starts a feed at exactly that revision.
    pub fn watch_snapshot<R>(&self, topic: Topic, read: impl FnOnce(&View) -> R) -> (R, Feed) {
        let state = self.state.read();
        let feed = state.history.feed(state.view.revision(), topic, &state.live);
        (read(&state.view), feed.expect("the view is never behind the history"))
    }

    /// Waits until the view has reached `revision`; 504 when it does not within half a minute.
    pub async fn wait_for(&self, revision: u64) -> Result<(), Box<Status>> {
        match timeout(VIEW_WAIT, self.reached.wait(revision)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Box::new(Status::new(504, "Timeout", "the server did not see its own write in time"))),
        }
    }

    /// Waits until the view shows everything that was acknowledged before this call, by whatever server. 503, to be
    /// tried again, when the store cannot confirm what the newest is.
    pub async fn confirmed(&self) -> Result<(), Box<Status>> {
        if !self.store.shared() {
            return Ok(());
        }
        let newest = timeout(CONFIRM_WAIT, self.store.latest()).await;
        let refused = |why: String| Box::new(unavailable(format!("confirming the newest revision: {why}")));
        let newest = newest.map_err(|_| refused("the store did not answer in time".to_owned()))?;
        let newest = newest.map_err(|error| refused(error.to_string()))?;
        self.wait_for(newest).await.map_err(|_| refused(format!("the view did not reach {newest} in time")))
    }

    /// Decides a write, commits it and answers once the view shows it. A commit that somebody else beat is
    /// decided anew; what then conflicts for the client is the registry's word.
    pub async fn execute(&self, request: Request) -> Result<Reply, Box<Status>> {
        self.carry_out(request, None).await
    }

    /// As `execute`, for what only the leader may do: 409 `LeadershipLost` once another has taken over. A write
    /// whose outcome is unknown, or that the view does not show in time, ends the term.
    pub async fn execute_as_leader(&self, request: Request, epoch: Epoch) -> Result<Reply, Box<Status>> {
        self.carry_out(request, Some(epoch)).await
    }

    async fn carry_out(&self, request: Request, epoch: Option<Epoch>) -> Result<Reply, Box<Status>> {
        self.readable(request.target.kind)?;
        // Only a commit proves that the view it was decided on was the newest; every other answer needs to be
        // decided on one that is known to be.
        let mut fresh = !self.store.shared();
        let mut turn: Option<Held> = None;
        for _ in 0..COMMIT_ATTEMPTS {
            failpoint!("cluster::before_decide");
            let (decision, asked) = self.decide(&request).await;
            if !fresh && !matches!(decision, Decision::Commit { .. }) {
                self.confirmed().await?;
                fresh = true;
                continue;
            }
            let (writes, guards, mut reply) = match decision {
                Decision::Refuse(status) => {
                    Metrics::count(&self.metrics.refusals);
                    return Err(status);
                }
                Decision::Ask(_) => return Err(Box::new(Status::internal("the decision asks without an end"))),
                Decision::Reply { reply, code, warnings } => return Ok(Reply { code, body: reply, warnings }),
                Decision::Commit { writes, guards, reply, code, warnings } => {
                    (writes, guards, Reply { code, body: reply, warnings })
                }
            };
            let txn = transaction(&writes, &guards, epoch);
            // Who had to ask outside keeps nobody waiting for that.
            if turn.is_none() && !asked {
                turn = self.contention.join(txn.compare.iter().map(|(key, _)| &key[..])).await;
                if turn.is_some() {
                    continue;
                }
            }
            match self.commit(txn, epoch).await? {
                Commit::Done(at) => {
                    Metrics::count(&self.metrics.commits);
                    stamp(&mut reply.body, at);
                    failpoint!("cluster::before_reply");
                    return Ok(reply);
                }
                Commit::Conflict { key, .. } if Epoch::is_fence(&key) => {
                    return Err(Box::new(Status::new(409, "LeadershipLost", "another server has taken the lead")));
                }
                Commit::Conflict { key, .. } => {
                    Metrics::count(&self.metrics.conflicts);
                    turn = if asked { None } else { self.contention.lost(&key, turn.take()).await };
                }
            }
        }
        Err(Box::new(conflict_after_all(&request)))
    }

    /// May this be done? What authorizers outside say is asked for without holding the view, and noted in `answers`, so
    /// that a decision about the same asks nobody twice.
    pub async fn authorize(&self, asked: &Attributes<'_>, answers: &mut Answers) -> Verdict {
        loop {
            let authorizers = self.authorizers();
            let decided = authorizers.decide(&self.view(), asked, &|question| answers.verdict(question));
            match decided {
                Ok(verdict) => return verdict,
                Err(_) if answers.count() >= ASKS => {
                    let error = "the authorizers ask without an end".to_owned();
                    return Verdict { error, ..Verdict::default() };
                }
                Err(question) => self.consulted(Ask::Authorize(question), answers).await,
            }
        }
    }

    /// Who says who may do what.
    pub fn authorizers(&self) -> Arc<Chain> {
        self.authorizers.read().clone()
    }

    /// Says who says who may do what, from now on.
    pub fn set_authorizers(&self, authorizers: Chain) {
        *self.authorizers.write() = Arc::new(authorizers);
    }

    /// Has a question answered outside, and notes the answer.
    async fn consulted(&self, ask: Ask, answers: &mut Answers) {
        let answer = match self.oracle.get() {
            Some(oracle) => oracle.answer(&ask).await,
            None => vec![Err("nobody is there to ask".to_owned())],
        };
        answers.note(ask, answer);
    }

    /// Decides on the view as it is, as often as a question must first be answered outside: the view is not held
    /// meanwhile, and what has changed is what the next attempt sees. Also says whether anything had to be asked.
    async fn decide(&self, request: &Request) -> (Decision, bool) {
        let (now, seed, mut answers) = (self.now(), self.next_seed(), Answers::default());
        loop {
            let decision = {
                let authorizers = &self.authorizers();
                let context = Context { now, seed, settings: &self.settings, authorizers, answers: &answers };
                decide(&self.state.read().view, request, &context)
            };
            match decision {
                Decision::Ask(ask) if answers.count() < ASKS => self.consulted(*ask, &mut answers).await,
                decision => return (decision, answers.count() > 0),
            }
        }
    }

    /// Commits, and waits until the view shows the commit, or what it met. A term in which that fails is in doubt.
    pub(crate) async fn commit(&self, txn: Txn, epoch: Option<Epoch>) -> Result<Commit, Box<Status>> {
        failpoint!("cluster::before_commit");
        let committed = timeout(COMMIT_WAIT, self.store.commit(txn)).await;
        failpoint!("cluster::after_commit");
        let (status, known) = match committed {
            Ok(Ok(commit)) => {
                let (Commit::Done(at) | Commit::Conflict { revision: at, .. }) = commit;
                if matches!(&commit, Commit::Conflict { key, .. } if Epoch::is_fence(key)) {
                    return Ok(commit);
                }
                match self.wait_for(at).await {
                    Ok(()) => return Ok(commit),
                    Err(late) => (late, matches!(commit, Commit::Conflict { .. })),
                }
            }
            Ok(Err(error)) => (Box::new(store_status(&error)), changed_nothing(&error)),
            Err(_) => (Box::new(slow("commit")), false),
        };
        if let (false, Some(epoch)) = (known, epoch) {
            self.doubts.send_modify(|doubted| *doubted = epoch.revision().max(*doubted));
        }
        Err(status)
    }

    pub(crate) fn state(&self) -> &RwLock<State> {
        &self.state
    }

    /// The view and the leadership have been brought to `revision`.
    pub(crate) fn has_reached(&self, revision: u64) {
        self.reached.advance(revision);
    }

    /// Tells of epochs of this server in which the outcome of a write is unknown.
    pub(crate) fn doubts(&self) -> watch::Receiver<u64> {
        self.doubts.subscribe()
    }

    pub(crate) fn note_leadership(&self, note: impl FnOnce(&mut Leadership) -> bool) {
        self.leadership.send_if_modified(note);
    }

    pub(crate) fn end(&self, error: StoreError) {
        self.ended.send_replace(Some(error));
    }
}

fn transaction(writes: &[Write], guards: &[(ObjectKey, u64)], epoch: Option<Epoch>) -> Txn {
    let compare = writes.iter().map(|w| (&w.key, w.expect)).chain(guards.iter().map(|(key, at)| (key, *at)));
    let compare = compare.map(|(key, at)| (keys::encode(key), at));
    Txn {
        compare: epoch.map(Epoch::fence).into_iter().chain(compare).collect(),
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
        StoreError::Unavailable { .. } => unavailable(error.to_string()),
        StoreError::Unknown { .. } => Status::new(504, "Timeout", error.to_string()),
        StoreError::TooLarge { .. } | StoreError::TooManyOperations { .. } => {
            Status::new(413, "RequestEntityTooLarge", error.to_string())
        }
        _ => Status::internal(error),
    }
}

/// 503, to be tried again: nothing was changed.
fn unavailable(message: String) -> Status {
    Status { retry_after_seconds: 1, ..Status::new(503, "ServiceUnavailable", message) }
}

/// Whether an error says that the transaction did not happen and never will.
fn changed_nothing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::Full { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Encryption { .. }
    )
}

fn slow(what: &str) -> Status {
    let seconds = COMMIT_WAIT.as_secs();
    Status::new(504, "Timeout", format!("{what}: the store did not answer within {seconds} s; it may still happen"))
}

fn conflict_after_all(request: &Request) -> Status {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    Status::conflict(request.target.kind, &request.target.name, why)
}
