//! A watch: a task that follows etcd's events, over lost connections and changing members, and fills a bounded queue.
//!
//! Invariants: what a reader gets is what `Assembly` lets out; a stream begins at the last position itself, whose
//! events are known, so that etcd refuses it exactly when something after it was compacted; whoever waits for a
//! revision that the watch has not reached makes it find out how far it is; a member that leaves a call without an
//! answer is left by the watch as well.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::poll_fn;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Streaming;

use super::Shared;
use super::assembly::{Assembly, Broken};
use super::boundary::MARK;
use super::connection::{Connection, Endpoint};
use super::message::{PutRequest, PutResponse, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse};
use super::nudge::{Act, Nudge};
use crate::limits::etcd::{
    COMMIT_DEADLINE, READ_ATTEMPT, RETRY_PAUSE, WATCH_BATCHES, WATCH_REQUESTS, WATCH_RETRY_PAUSE,
};
use crate::watch::Follow;
use crate::{Batch, StoreError};

/// The reader's end.
pub(super) struct EtcdWatch {
    batches: mpsc::Receiver<Result<Arc<Batch>, StoreError>>,
}

impl EtcdWatch {
    /// Follows everything after `position`, a revision of etcd's. Must be called inside a tokio runtime.
    pub(super) fn start(shared: Arc<Shared>, position: i64) -> Self {
        let (out, batches) = mpsc::channel(WATCH_BATCHES);
        let (asked, silent) = (shared.asked.subscribe(), shared.members.silent());
        let follower = Follower { shared, assembly: Assembly::new(position), asked, silent, out };
        tokio::spawn(follower.run());
        EtcdWatch { batches }
    }
}

#[async_trait]
impl Follow for EtcdWatch {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        self.batches.recv().await.unwrap_or(Err(StoreError::Closed))
    }
}

/// How a stream ended.
enum End {
    /// Nobody reads any more.
    Dropped,
    /// The reader has to be told.
    Failed(StoreError),
    /// Another stream goes on where it ended.
    Lost(String),
}

struct Follower {
    shared: Arc<Shared>,
    assembly: Assembly,
    asked: watch::Receiver<i64>,
    silent: watch::Receiver<Option<Endpoint>>,
    out: mpsc::Sender<Result<Arc<Batch>, StoreError>>,
}

impl Follower {
    async fn run(mut self) {
        let mut pause = RETRY_PAUSE;
        loop {
            self.silent.mark_unchanged();
            let connection = self.shared.members.dial(true).await;
            let end = match &connection {
                Ok(connection) => self.follow(connection).await,
                Err(error) => End::Lost(error.to_string()),
            };
            match end {
                End::Dropped => return,
                End::Failed(error) => {
                    // The reader may have gone in the meantime.
                    let _ = self.out.send(Err(error)).await;
                    return;
                }
                End::Lost(cause) => tracing::info!(cause, "the watch of etcd goes on elsewhere"),
            }
            match &connection {
                Ok(connection) => {
                    self.shared.members.skip(connection);
                    pause = RETRY_PAUSE;
                }
                Err(_) => pause = WATCH_RETRY_PAUSE.min(pause * 2),
            }
            self.assembly.begin_anew();
            tokio::select! {
                () = sleep(pause) => {}
                () = self.out.closed() => return,
            }
        }
    }

    async fn follow(&mut self, connection: &Connection) -> End {
        let (requests, mut queue) = mpsc::channel(WATCH_REQUESTS);
        // There is room: it is the first one.
        let _ = requests.try_send(self.create());
        let messages = poll_fn(move |context| queue.poll_recv(context));
        let stream = connection.stream("/etcdserverpb.Watch/Watch", messages, READ_ATTEMPT).await;
        let mut stream: Streaming<WatchResponse> = match stream {
            Ok(stream) => stream,
            Err(failure) => return End::Lost(failure.of_read("watch").to_string()),
        };
        let ordered = connection.version().orders_progress();
        let mut nudge = Nudge::new(ordered);
        loop {
            let asked = *self.asked.borrow_and_update();
            nudge.note(self.assembly.position(), asked, Instant::now());
            let due = nudge.due();
            tokio::select! {
                biased;
                () = self.out.closed() => return End::Dropped,
                response = stream.message() => match response {
                    Ok(Some(response)) => {
                        if let Err(end) = self.take(response, ordered).await {
                            return end;
                        }
                    }
                    Ok(None) => return End::Lost(format!("{connection} ended the stream")),
                    Err(status) => return End::Lost(format!("{connection}: {}", super::failure::cause(&status))),
                },
                // The senders are in `shared`, so they are there.
                _ = self.asked.changed() => {}
                _ = self.silent.changed() => {
                    if self.silent.borrow_and_update().as_ref().is_some_and(|member| connection.goes_to(member)) {
                        return End::Lost(format!("{connection} left a call without an answer"));
                    }
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => match nudge.fire(Instant::now()) {
                    Act::AskProgress => {
                        let progress = Some(WatchProgressRequest {});
                        // With a full queue, enough of them are on their way.
                        let _ = requests.try_send(WatchRequest { progress, ..WatchRequest::default() });
                    }
                    Act::WriteMark => self.write_mark(),
                    Act::GiveUp => return End::Lost(format!("{connection} no longer says what happens")),
                },
            }
        }
    }

    fn create(&self) -> WatchRequest {
        let (key, range_end) = self.shared.boundary.range(b"");
        // 0 would mean from now on.
        let start_revision = self.assembly.position().max(1);
        let create = WatchCreateRequest { key, range_end, start_revision, progress_notify: true, fragment: true };
        WatchRequest { create: Some(create), ..WatchRequest::default() }
    }

    async fn take(&mut self, response: WatchResponse, ordered: bool) -> Result<(), End> {
        let boundary = &self.shared.boundary;
        if response.canceled {
            if response.compact_revision == 0 {
                return Err(End::Lost(format!("etcd cancelled the watch: {}", response.cancel_reason)));
            }
            let compacted = self.shared.note_compacted(boundary.outward(response.compact_revision));
            let requested = boundary.outward(self.assembly.position());
            return Err(End::Failed(StoreError::Compacted { requested, compacted }));
        }
        let batches = self.assembly.take(boundary, response, ordered).map_err(|broken| match broken {
            Broken::Disorder => End::Lost("events came in the wrong order".to_owned()),
            Broken::Moved => {
                let cause = "the store's revisions were moved under this server; it has to start anew".to_owned();
                End::Failed(StoreError::Damaged { operation: "watch", cause })
            }
        })?;
        for batch in batches {
            self.shared.note(batch.revision);
            self.out.send(Ok(Arc::new(batch))).await.map_err(|_| End::Dropped)?;
        }
        Ok(())
    }

    /// Writes the mark: when its event arrives, so has everything before it.
    fn write_mark(&self) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let mark = PutRequest { key: shared.boundary.key(MARK), value: Bytes::new() };
            let written = shared.members.write::<_, PutResponse>("/etcdserverpb.KV/Put", &mark, COMMIT_DEADLINE);
            if let Err(failure) = written.await {
                tracing::debug!(?failure, "a watch mark was not written");
            }
        });
    }
}
