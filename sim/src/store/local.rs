//! The production engine on a faulty disk: the store of a cluster with one server. What it commits is written into
//! the history; what it holds after a crash is compared with the history.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gantry_store::{Batch, Commit, Range, SimulatedStore, Stats, Store, StoreError, Txn, Watch};
use tokio::time::timeout;

use crate::world::World;

/// What a watch that has something to tell takes to tell it.
const AT_ONCE: Duration = Duration::from_millis(1);

/// The handle of one start of the server.
pub(super) struct Local {
    world: Arc<World>,
    server: usize,
    life: u64,
    store: SimulatedStore,
}

/// Opens what is on the disk, and compares it with the history.
pub(super) async fn open(world: &Arc<World>, server: usize) -> Result<Arc<dyn Store>, StoreError> {
    let slot = &world.servers[server];
    let life = slot.life.get();
    let store = match SimulatedStore::open(world.disk.clone()) {
        // The power went after the process had ended: it is there again when somebody looks again.
        Err(error) if error.to_string().contains("the power is off") => {
            world.disk.reseed(world.rng.next());
            world.disk.crash();
            return Err(error);
        }
        opened => opened?,
    };
    *slot.store.lock() = Some(store.clone());
    let found = store.range(Bytes::new()).await?;
    let news = news(&store, world.history.revision()).await;
    world.history.recover(world, server, &found, news).into_iter().for_each(|text| world.violated(text));
    world.history.has_given(store.revision());
    Ok(Arc::new(Local { world: world.clone(), server, life, store }))
}

/// What the log has after a revision: commits whose senders were never answered.
async fn news(store: &SimulatedStore, revision: u64) -> Vec<Arc<Batch>> {
    let Ok(mut watch) = store.watch(revision) else { return Vec::new() };
    let mut news = Vec::new();
    while let Ok(Ok(batch)) = timeout(AT_ONCE, watch.next()).await {
        if !batch.changes.is_empty() {
            news.push(batch);
        }
    }
    news
}

impl Local {
    fn is_dead(&self) -> bool {
        self.world.servers[self.server].life.get() != self.life
    }

    /// A dead process gets no answer.
    async fn answer<T>(&self, answer: T) -> T {
        if self.is_dead() { std::future::pending().await } else { answer }
    }
}

#[async_trait]
impl Store for Local {
    fn revision(&self) -> u64 {
        self.store.revision()
    }

    async fn latest(&self) -> Result<u64, StoreError> {
        self.store.latest().await
    }

    fn shared(&self) -> bool {
        false
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn compacted(&self) -> u64 {
        self.store.compacted()
    }

    async fn range(&self, prefix: Bytes) -> Result<Range, StoreError> {
        let range = self.store.range(prefix).await;
        self.answer(range).await
    }

    async fn commit(&self, txn: Txn) -> Result<Commit, StoreError> {
        if self.is_dead() {
            return std::future::pending().await;
        }
        let answer = self.store.commit(txn.clone()).await;
        // Nobody else has had a turn since the engine did it.
        if let Ok(Commit::Done(revision)) = &answer {
            self.world.history.record(&self.world, self.server, &txn, *revision);
        }
        if let Err(error) = &answer {
            self.world.say(format_args!("the store of server{}: {error}", self.server));
        }
        self.answer(answer).await
    }

    fn watch(&self, from: u64) -> Result<Watch, StoreError> {
        self.store.watch(from)
    }

    async fn compact(&self, revision: u64) -> Result<bool, StoreError> {
        let answer = self.store.compact(revision).await;
        self.answer(answer).await
    }
}
