//! The one thread that writes. It takes what is waiting, compares, writes it all at once and answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::FreeSpace;
use super::engine::Engine;
use crate::limits::{FREE_BYTES, FREE_BYTES_FOR_REMOVALS, GROUP_BYTES, GROUP_TXNS};
use crate::{Batch, Commit, KeyChange, StoreError, Txn};

/// What the writer is asked to do.
pub(super) enum Command {
    /// Compare and write.
    Commit { txn: Txn, reply: Reply<Commit> },
    /// Forget log records.
    Compact { revision: u64, reply: Reply<bool> },
    /// End.
    Close(Reply<()>),
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

pub(super) struct Writer {
    engine: Arc<Engine>,
    live: broadcast::Sender<Arc<Batch>>,
    free_space: FreeSpace,
    /// The failure after which nothing more is written.
    poisoned: Option<String>,
}

/// Transactions that will share one write.
#[derive(Default)]
struct Group {
    commits: Vec<(Arc<Batch>, Reply<Commit>)>,
    /// Revisions of the keys that this group has written so far.
    revisions: BTreeMap<Bytes, u64>,
    durable: bool,
    bytes: usize,
}

impl Writer {
    pub(super) fn new(engine: Arc<Engine>, live: broadcast::Sender<Arc<Batch>>, free_space: FreeSpace) -> Self {
        Writer { engine, live, free_space, poisoned: None }
    }

    /// Works until it is told to close or nobody is left who could ask.
    pub(super) fn drive(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut next = None;
        loop {
            let Some(command) = next.take().or_else(|| queue.blocking_recv()) else {
                if let Err(error) = self.finish() {
                    tracing::warn!(%error, "the store could not be closed cleanly");
                }
                return;
            };
            match command {
                Command::Commit { txn, reply } => next = self.commit(txn, reply, &mut queue),
                Command::Compact { revision, reply } => {
                    let result = self.compact(revision);
                    let _ = reply.send(result);
                }
                Command::Close(reply) => {
                    queue.close();
                    let _ = reply.send(self.finish());
                    return;
                }
            }
        }
    }

    fn compact(&mut self, revision: u64) -> Result<bool, StoreError> {
        self.writable(true)?;
        let result = self.engine.compact(revision);
        self.remember(result)
    }

    /// Writes this transaction together with all that wait behind it; returns the first command of another kind.
    fn commit(&mut self, txn: Txn, reply: Reply<Commit>, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut group = Group::default();
        self.decide(&mut group, txn, reply);
        let mut next = None;
        while group.commits.len() < GROUP_TXNS && group.bytes < GROUP_BYTES {
            match queue.try_recv() {
                Ok(Command::Commit { txn, reply }) => self.decide(&mut group, txn, reply),
                Ok(other) => {
                    next = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.write(group);
        next
    }

    /// Compares a transaction with what it would find, and adds it to the group or answers it.
    fn decide(&mut self, group: &mut Group, txn: Txn, reply: Reply<Commit>) {
        let revision = self.engine.published() + group.commits.len() as u64;
        let removes_only = txn.writes.iter().all(|(_, value)| value.is_none());
        let verdict = self.writable(removes_only).and_then(|()| self.conflict(group, &txn, revision));
        match verdict {
            Ok(None) => group.add(txn, revision + 1, reply),
            Ok(Some(conflict)) => drop(reply.send(Ok(conflict))),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn conflict(&self, group: &Group, txn: &Txn, revision: u64) -> Result<Option<Commit>, StoreError> {
        for (key, expected) in &txn.compare {
            let actual = match group.revisions.get(key) {
                Some(revision) => *revision,
                None => self.engine.revision_of(key)?,
            };
            if actual != *expected {
                return Ok(Some(Commit::Conflict { key: key.clone(), actual, revision }));
            }
        }
        Ok(None)
    }

    fn write(&mut self, group: Group) {
        let batches: Vec<_> = group.commits.iter().map(|(batch, _)| batch.clone()).collect();
        let result = self.engine.write(&batches, group.durable);
        let result = self.remember(result);
        for (batch, reply) in group.commits {
            let revision = batch.revision;
            if result.is_ok() {
                // Nobody watching is fine.
                let _ = self.live.send(batch);
            }
            let _ = reply.send(result.clone().map(|()| Commit::Done(revision)));
        }
    }

    /// Refuses what cannot or must not be written now.
    fn writable(&self, removes_only: bool) -> Result<(), StoreError> {
        if let Some(cause) = &self.poisoned {
            return Err(StoreError::Poisoned { cause: cause.clone() });
        }
        let needed = if removes_only { FREE_BYTES_FOR_REMOVALS } else { FREE_BYTES };
        match (self.free_space)() {
            Ok(available) if available < needed => {
                Err(StoreError::Full { path: self.engine.path().to_owned(), available })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(StoreError::Io { operation: "ask for free space", cause: error.to_string() }),
        }
    }

    /// After a write that failed it is unknown what is on disk: nothing may follow it.
    fn remember<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.map_err(|error| match error {
            StoreError::Io { .. } | StoreError::Damaged { .. } => {
                let cause = self.poisoned.get_or_insert_with(|| error.to_string()).clone();
                tracing::error!(%cause, "a write to the store failed; no more is written until a restart");
                StoreError::Poisoned { cause }
            }
            other => other,
        })
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        if self.poisoned.is_some() {
            return Ok(());
        }
        self.engine.finish()
    }
}

impl Group {
    fn add(&mut self, txn: Txn, revision: u64, reply: Reply<Commit>) {
        let mut changes = Vec::with_capacity(txn.writes.len());
        for (key, value) in txn.writes {
            self.bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            self.revisions.insert(key.clone(), if value.is_some() { revision } else { 0 });
            changes.push(KeyChange { key, value });
        }
        self.durable |= txn.durable;
        self.commits.push((Arc::new(Batch { revision, changes }), reply));
    }
}
