//! A server's way to the store: slow, lossy, cut off at times; what is sent is carried out or not, and the sender
//! may never know.
//!
//! Invariants: a request that was sent is on its way whatever becomes of its sender; a server that was killed gets
//! no answer any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use gantry_store::{Commit, Range, Stats, Store, StoreError, Txn, Watch};
use tokio::sync::oneshot;

use super::watch::LinkWatch;
use crate::plan::{Fault, Sabotage};
use crate::world::World;

/// One server's handle on the store.
struct Link {
    world: Arc<World>,
    server: usize,
    /// Which start of the server this belongs to.
    life: u64,
    /// The newest revision that this handle has heard of.
    known: Arc<AtomicU64>,
}

/// What a sender is told.
type Answer<T> = Result<T, StoreError>;

/// The handle of a server that starts now.
pub(super) async fn open(world: &Arc<World>, server: usize) -> Result<Arc<dyn Store>, StoreError> {
    let life = world.servers[server].life.get();
    let link = Link { world: world.clone(), server, life, known: Arc::new(AtomicU64::new(0)) };
    link.latest().await?;
    Ok(Arc::new(link))
}

impl Link {
    fn is_dead(&self) -> bool {
        self.world.servers[self.server].life.get() != self.life
    }

    /// Sends a request and waits for its answer.
    async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        run: impl Fn(&World) -> Answer<T> + Send + Sync + 'static,
    ) -> Answer<T> {
        if self.is_dead() {
            return std::future::pending().await;
        }
        let (tell, answer) = oneshot::channel();
        tokio::spawn(travel(self.world.clone(), self.server, operation, run, tell));
        let answer = answer.await;
        if self.is_dead() {
            return std::future::pending().await;
        }
        answer.unwrap_or_else(|_| Err(unknown(operation)))
    }

    fn heard(&self, revision: u64) {
        self.known.fetch_max(revision, Ordering::Relaxed);
    }
}

/// The request's way to the store and the answer's way back.
async fn travel<T: Send + 'static>(
    world: Arc<World>,
    server: usize,
    operation: &'static str,
    run: impl Fn(&World) -> Answer<T> + Send + Sync + 'static,
    tell: oneshot::Sender<Answer<T>>,
) {
    world.net.awake(server).await;
    delay(&world).await;
    if world.net.is_cut(server) {
        world.pause(100, 3000).await;
        let cause = "cut off".to_owned();
        let _ = tell.send(Err(StoreError::Unavailable { operation, cause }));
        return;
    }
    if world.strikes(Fault::Loss, 0.05) {
        world.say(format_args!("{operation} of server{server} is lost"));
        return world.pause(500, 12_000).await;
    }
    if world.strikes(Fault::Late, 0.02) {
        world.say(format_args!("{operation} of server{server} is late"));
        world.pause(1000, 40_000).await;
    }
    let answer = run(&world);
    if world.strikes(Fault::Duplicate, 0.05) {
        // At once: nothing between client and store sends a write again later.
        drop(run(&world));
    }
    delay(&world).await;
    world.net.awake(server).await;
    if world.net.is_cut(server) || world.strikes(Fault::LostReply, 0.05) {
        world.say(format_args!("the answer to {operation} of server{server} is lost"));
        return world.pause(500, 12_000).await;
    }
    let _ = tell.send(answer);
}

async fn delay(world: &World) {
    if world.plan.embedded {
        return;
    }
    let long = world.strikes(Fault::Lag, 0.2);
    world.pause(0, if long { 2000 } else { 3 }).await;
}

fn unknown(operation: &'static str) -> StoreError {
    StoreError::Unknown { operation, cause: "the connection broke".to_owned() }
}

#[async_trait]
impl Store for Link {
    fn revision(&self) -> u64 {
        self.known.load(Ordering::Relaxed)
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        let newest = self.ask("confirm", |world| Ok(world.history.revision())).await?;
        self.heard(newest);
        Ok(newest)
    }

    fn shared(&self) -> bool {
        !self.world.plan.embedded
    }

    fn stats(&self) -> Stats {
        Stats::default()
    }

    fn compacted(&self) -> u64 {
        self.world.history.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let range = self.ask("range", move |world| Ok(world.history.range(&prefix))).await?;
        self.heard(range.revision);
        Ok(range)
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        let seen = self.known.load(Ordering::Relaxed);
        let server = self.server;
        // Who leads is told apart by revisions: there the guard is left whole.
        let blind = self.world.plan.sabotage == Some(Sabotage::Wait)
            && txn.writes.iter().all(|(key, _)| key.starts_with(b"/registry/"));
        let commit = self.ask("commit", move |world| Ok(world.history.commit(world, server, txn.clone()))).await?;
        match commit {
            Commit::Done(at) if blind => Ok(Commit::Done(seen.min(at))),
            Commit::Done(at) => {
                self.heard(at);
                Ok(Commit::Done(at))
            }
            conflict => Ok(conflict),
        }
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        let compacted = self.world.history.compacted();
        if from < compacted {
            return Err(StoreError::Compacted { requested: from, compacted });
        }
        let (world, known) = (self.world.clone(), self.known.clone());
        Ok(Watch::new(LinkWatch::new(world, self.server, self.life, known, from)))
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        self.ask("compact", move |world| {
            world.history.compact(revision);
            Ok(false)
        })
        .await
    }
}
