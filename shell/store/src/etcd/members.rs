//! The members of an etcd cluster: which one is spoken to, and when another one is.
//!
//! Invariants: a read is tried on one member after the other until its deadline; a write is tried on another member
//! only while it surely has not been sent; a member is left when it fails, not when another one would be nicer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Endpoint};
use super::failure::Failure;
use crate::StoreError;
use crate::limits::etcd::{COMMIT_DEADLINE, READ_ATTEMPT, READ_DEADLINE, RETRY_PAUSE};

/// All members, and the connection for calls.
pub(super) struct Members {
    endpoints: Vec<Endpoint>,
    tls: Option<TlsConnector>,
    /// The endpoint that is tried first.
    first: AtomicUsize,
    current: Mutex<Option<Connection>>,
}

impl Members {
    pub(super) fn new(endpoints: Vec<Endpoint>, tls: Option<TlsConnector>) -> Self {
        Members { endpoints, tls, first: AtomicUsize::new(0), current: Mutex::new(None) }
    }

    /// A call that changes nothing.
    pub(super) async fn read<Q, A>(
        &self,
        operation: &'static str,
        path: &'static str,
        message: &Q,
    ) -> Result<A, StoreError>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.try_read(path, message).await.map_err(|failure| failure.of_read(operation))
    }

    /// As `read`, for callers to whom it matters why it failed.
    pub(super) async fn try_read<Q, A>(&self, path: &'static str, message: &Q) -> Result<A, Failure>
    where
        Q: prost::Message + Clone + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let deadline = Instant::now() + READ_DEADLINE;
        loop {
            let failure = match self.connection().await {
                Ok(connection) => match connection.call(path, message.clone(), READ_ATTEMPT).await {
                    Err(failure @ (Failure::NotDone(_) | Failure::Lost(_))) => {
                        self.leave(&connection).await;
                        failure
                    }
                    answer => return answer,
                },
                Err(error) => Failure::NotDone(error.to_string()),
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
            let cause = match self.connection().await {
                Ok(connection) => match connection.call(path, message.clone(), bound).await {
                    Err(Failure::NotDone(cause)) => {
                        self.leave(&connection).await;
                        cause
                    }
                    Err(failure @ Failure::Lost(_)) => {
                        self.leave(&connection).await;
                        return Err(failure);
                    }
                    answer => return answer,
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() + RETRY_PAUSE > deadline {
                return Err(Failure::NotDone(cause));
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// The connection for calls; whoever comes while it is made waits for it.
    pub(super) async fn connection(&self) -> Result<Connection, StoreError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(connection.clone());
        }
        let connection = self.dial(false).await?;
        *current = Some(connection.clone());
        Ok(connection)
    }

    /// A connection of its own, for a stream: a reader who is slow must not hold up the calls.
    pub(super) async fn dial(&self, kept_alive: bool) -> Result<Connection, StoreError> {
        let first = self.first.load(Ordering::Relaxed);
        let (mut leaderless, mut causes, mut outdated) = (None, Vec::new(), None);
        for step in 0..self.endpoints.len() {
            let number = (first + step) % self.endpoints.len();
            match Connection::open(&self.endpoints[number], self.tls.as_ref(), kept_alive).await {
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

    /// Takes another member from now on, unless somebody already did.
    pub(super) async fn leave(&self, connection: &Connection) {
        let mut current = self.current.lock().await;
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
