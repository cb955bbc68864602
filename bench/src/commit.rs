//! Durable commits through the store, beside what an embedded engine does with batches of the same values.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use futures_util::future::try_join_all;
use gantry_store::{Commit, EmbeddedStore, Store, Txn};
use serde_json::{Value, json};

use crate::Flags;
use crate::samples::Samples;

/// How many commits, how large, how many at once.
#[derive(Args, Debug)]
pub struct Commits {
    /// Bytes of a value
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// Commits under way at the same time; the engine writes as many in one batch
    #[arg(long, default_values_t = [1_usize, 64, 256])]
    at_once: Vec<usize>,
    /// Batches of each size in a round
    #[arg(long, default_value_t = 200)]
    batches: usize,
}

/// The whole row: the two interleaved, each on a directory of its own on the same disk.
pub async fn measure(flags: &Flags, row: &Commits) -> Result<Value> {
    let mut figures = json!({});
    for at_once in &row.at_once {
        let (ours_dir, theirs_dir) = (tempfile::tempdir_in(".")?, tempfile::tempdir_in(".")?);
        let store = Arc::new(EmbeddedStore::open(ours_dir.path())?);
        let engine = Engine::open(theirs_dir.path())?;
        let (mut ours, mut theirs) = (Samples::new("us"), Samples::new("us"));
        for round in 0..flags.rounds {
            ours.push(through_the_store(&store, row, *at_once, round).await? / *at_once as f64);
            theirs.push(tokio::task::block_in_place(|| engine.batches(row, *at_once, round))? / *at_once as f64);
        }
        store.close().await?;
        let ratio = ours.median() / theirs.median();
        println!("store,  {at_once:>4} at once, each   {ours}");
        println!("engine, {at_once:>4} a batch, each   {theirs}");
        println!("ratio   {ratio:.2}");
        figures[at_once.to_string()] = json!({"store": ours.json(), "engine": theirs.json(), "ratio": ratio});
    }
    Ok(figures)
}

/// Microseconds that a batch's worth of commits takes on average.
async fn through_the_store(store: &Arc<EmbeddedStore>, row: &Commits, at_once: usize, round: usize) -> Result<f64> {
    let value = Bytes::from(vec![b'x'; row.bytes]);
    let start = Instant::now();
    let writers = (0..at_once).map(|writer| {
        let (store, value, batches) = (store.clone(), value.clone(), row.batches);
        tokio::spawn(async move {
            for batch in 0..batches {
                let txn = Txn {
                    compare: Vec::new(),
                    writes: vec![(key(round, batch, writer), Some(value.clone()))],
                    durable: true,
                };
                let Commit::Done(_) = store.commit(txn).await? else { anyhow::bail!("a conflict without compare") };
            }
            Ok(())
        })
    });
    for result in try_join_all(writers).await? {
        result?;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / row.batches as f64)
}

fn key(round: usize, batch: usize, writer: usize) -> Bytes {
    Bytes::from(format!("/registry/core/configmaps/default/{round}-{batch}-{writer}"))
}

/// The peer, as it is used at its best: one batch, one sync.
struct Engine {
    db: Database,
    data: fjall::Keyspace,
}

impl Engine {
    fn open(path: &std::path::Path) -> Result<Self> {
        let db = Database::builder(path).manual_journal_persist(true).open().context("opening the engine")?;
        let data = db.keyspace("data", KeyspaceCreateOptions::default)?;
        Ok(Engine { db, data })
    }

    /// Microseconds that a batch takes on average.
    fn batches(&self, row: &Commits, at_once: usize, round: usize) -> Result<f64> {
        let value = vec![b'x'; row.bytes];
        let start = Instant::now();
        for batch in 0..row.batches {
            let mut writes = self.db.batch().durability(Some(PersistMode::SyncData));
            for writer in 0..at_once {
                writes.insert(&self.data, &key(round, batch, writer)[..], &value[..]);
            }
            writes.commit()?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / row.batches as f64)
    }
}
