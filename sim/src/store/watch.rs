//! A server's place in the log: behind, stopped while the server is cut off, and sometimes told that the log is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use gantry_store::{Batch, Follow, StoreError};
use tokio::time::{Instant, sleep_until};

use super::history::Next;
use crate::plan::Fault;
use crate::world::World;

/// A place in the log.
pub(super) struct LinkWatch {
    world: Arc<World>,
    server: usize,
    life: u64,
    known: Arc<AtomicU64>,
    position: u64,
    /// When the commit after the position arrives.
    due: Option<Instant>,
    last: Instant,
}

impl LinkWatch {
    pub(super) fn new(world: Arc<World>, server: usize, life: u64, known: Arc<AtomicU64>, position: u64) -> Self {
        LinkWatch { world, server, life, known, position, due: None, last: Instant::now() }
    }

    /// When a commit of `at` arrives: in order, and sometimes late.
    fn arrival(&mut self, at: Instant) -> Instant {
        let (world, last) = (&self.world, self.last);
        let due = *self.due.get_or_insert_with(|| {
            let behind = world.strikes(Fault::WatchLag, 0.1);
            let lag = world.rng.millis(0, if behind { 5000 } else { 4 });
            (at + lag).max(last)
        });
        self.last = due;
        due
    }
}

#[async_trait]
impl Follow for LinkWatch {
    async fn next(&mut self) -> Result<Arc<Batch>, StoreError> {
        loop {
            if self.world.servers[self.server].life.get() != self.life {
                return std::future::pending().await;
            }
            self.world.net.awake(self.server).await;
            self.world.net.joined(self.server).await;
            match self.world.history.next(self.position) {
                Next::Compacted(compacted) => {
                    return Err(StoreError::Compacted { requested: self.position, compacted });
                }
                Next::Nothing => self.world.history.passes(self.position).await,
                Next::Step(batch, at) => {
                    let due = self.arrival(at);
                    if due > Instant::now() {
                        sleep_until(due).await;
                        continue;
                    }
                    self.due = None;
                    self.position = batch.revision;
                    self.known.fetch_max(batch.revision, Ordering::Relaxed);
                    return Ok(batch);
                }
            }
        }
    }
}
