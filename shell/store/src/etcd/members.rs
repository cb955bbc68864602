//! The members of an etcd cluster: which one is spoken to, and when another one is.
//!
//! Invariants: a read is tried on one member after the other until its deadline; a write is tried on another member
//! only while it surely has not been sent; a member is left when it fails, not when another one would be nicer; no
//! answer is taken from a member of another cluster.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Endpoint};
use super::failure::Failure;
use super::rounds::Rounds;
use crate::StoreError;
use crate::limits::etcd::{COMMIT_DEADLINE, CONNECT_NEXT, READ_ATTEMPT, READ_DEADLINE, RETRY_PAUSE};

/// All members, and the connection for calls.
pub(super) struct Members {
    endpoints: Vec<Endpoint>,
    tls: Option<TlsConnector>,
    /// The endpoint that is tried first.
    first: AtomicUsize,
    current: Mutex<Option<Connection>>,
    dials: Rounds<Connection>,
    /// The cluster that all members must be of.
    cluster: OnceLock<u64>,
    /// The member that was left last for want of an answer: who else hangs on it need not find out anew.
    silent: watch::Sender<Option<Endpoint>>,
}

impl Members {
    pub(super) fn new(endpoints: Vec<Endpoint>, tls: Option<TlsConnector>) -> Self {
        Members {
            endpoints,
            tls,
            first: AtomicUsize::new(0),
            current: Mutex::new(None),
            dials: Rounds::default(),
            cluster: OnceLock::new(),
            silent: watch::Sender::new(None),
        }
    }

    /// A call that changes nothing, until `accept` has no objection to the answer.
    pub(super) async fn read<Q, A>(
        &self,
        path: &'static str,
        message: &Q,
        accept: impl Fn(&A) -> Result<(), String>,
    ) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let deadline = Instant::now() + READ_DEADLINE;
        loop {
            let failure = match self.connection_until(deadline).await {
                Ok(connection) => {
                    let answer = connection.call(path, message.clone(), READ_ATTEMPT).await;
                    let accepted = answer.and_then(|answer| match accept(&answer) {
                        Ok(()) => Ok(answer),
                        Err(objection) => Err(Failure::Lost(format!("{connection}: {objection}"))),
                    });
                    match accepted {
                        Err(failure @ (Failure::NotDone(_) | Failure::Lost(_))) => {
                            self.leave(&connection, &failure);
                            failure
                        }
                        answer => return answer,
                    }
                }
                Err(cause) => Failure::NotDone(cause),
            };
            if Instant::now() + RETRY_PAUSE > deadline {
                return Err(failure);
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// A call that changes something: sent once, to the first member that takes it.
    pub(super) async fn write<Q, A>(&self, path: &'static str, message: &Q, bound: Duration) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let deadline = Instant::now() + COMMIT_DEADLINE;
        loop {
            let cause = match self.connection_until(deadline).await {
                Ok(connection) => match connection.call(path, message.clone(), bound).await {
                    Err(failure @ (Failure::NotDone(_) | Failure::Lost(_))) => {
                        self.leave(&connection, &failure);
                        match failure {
                            Failure::NotDone(cause) => cause,
                            lost => return Err(lost),
                        }
                    }
                    answer => return answer,
                },
                Err(cause) => cause,
            };
            if Instant::now() + RETRY_PAUSE > deadline {
                return Err(Failure::NotDone(cause));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// The connection for calls; whoever comes while it is made waits for it.
    pub(super) async fn connection(&self) -> Result<Connection, StoreError> {
        let current = self.current.lock().clone();
        if let Some(connection) = current.filter(|connection| !connection.is_closed()) {
            return Ok(connection);
        }
        let dial = async {
            let connection = self.dial(false).await?;
            *self.current.lock() = Some(connection.clone());
            Ok(connection)
        };
        self.dials.ask(dial).await
    }

    async fn connection_until(&self, deadline: Instant) -> Result<Connection, String> {
        match timeout_at(deadline, self.connection()).await {
            Ok(connection) => connection.map_err(|error| error.to_string()),
            Err(_) => Err("no member could be connected to in time".to_owned()),
        }
    }

    /// A connection of its own, for a stream: a reader who is slow must not hold up the calls. The members are tried
    /// one shortly after the other, and the first one that knows a leader is taken.
    pub(super) async fn dial(&self, kept_alive: bool) -> Result<Connection, StoreError> {
        let (first, count) = (self.first.load(Ordering::Relaxed), self.endpoints.len());
        let (mut leaderless, mut causes, mut outdated) = (None, Vec::new(), None);
        let attempt = |step: u32, number: usize| async move {
            sleep(CONNECT_NEXT * step).await;
            let connection = Connection::open(&self.endpoints[number], self.tls.as_ref(), kept_alive).await;
            (number, connection.and_then(|connection| self.same_cluster(connection)))
        };
        let mut attempts: FuturesUnordered<_> =
            (0_u32..).zip((first..count).chain(0..first)).map(|(step, number)| attempt(step, number)).collect();
        while let Some((number, connection)) = attempts.next().await {
            match connection {
                Ok(connection) if connection.has_leader() => {
                    self.first.store(number, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(connection) => leaderless = Some(connection),
                Err(StoreError::Unavailable { cause, .. }) => causes.push(cause),
                Err(error) => outdated = Some(error),
            }
        }
        // Without a leader nothing is decided, but one may be elected before the call comes in.
        let cause = causes.join("; ");
        leaderless.ok_or_else(|| outdated.unwrap_or(StoreError::Unavailable { operation: "connect", cause }))
    }

    /// Refuses a member whose cluster is not that of the first one.
    fn same_cluster(&self, connection: Connection) -> Result<Connection, StoreError> {
        let (here, there) = (*self.cluster.get_or_init(|| connection.cluster()), connection.cluster());
        if here == there {
            return Ok(connection);
        }
        let cause = format!("{connection}: it is of the etcd cluster {there:x}, not of {here:x}");
        Err(StoreError::Unavailable { operation: "connect", cause })
    }

    /// Tells of members that did not answer.
    pub(super) fn silent(&self) -> watch::Receiver<Option<Endpoint>> {
        self.silent.subscribe()
    }

    /// Takes another member from now on, unless somebody already did.
    fn leave(&self, connection: &Connection, failure: &Failure) {
        if matches!(failure, Failure::Lost(_)) {
            self.silent.send_replace(Some(connection.endpoint().clone()));
        }
        let mut current = self.current.lock();
        if current.as_ref().is_some_and(|current| current.is(connection)) {
            *current = None;
        }
        self.skip(connection);
    }

    /// Tries another member first from now on, unless that is so already.
    pub(super) fn skip(&self, connection: &Connection) {
        let Some(number) = self.endpoints.iter().position(|endpoint| connection.goes_to(endpoint)) else { return };
        let next = (number + 1) % self.endpoints.len();
        // Somebody else was faster: fine.
        let _ = self.first.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A connection to each member that can be reached.
    pub(super) async fn each(&self) -> Vec<Connection> {
        let mut connections = Vec::new();
        for endpoint in &self.endpoints {
            connections.extend(Connection::open(endpoint, self.tls.as_ref(), false).await.ok());
        }
        connections
    }
}
