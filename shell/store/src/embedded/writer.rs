//! The thread that owns the end of the log, and the one that cleans.
//!
//! The writer takes what is waiting, writes it all at once and answers. The cleaner asks the writer for the short
//! steps that only he may do, makes segments ahead, and sees to it that nothing stays unsynced for long. A step of
//! his that fails is tried again, after pauses that grow, for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::clean::{Kept, Tail};
use super::group::{Group, Joined};
use super::log::Log;
use super::shared::Shared;
use crate::failpoints::failpoint;
use crate::limits::{CLEAN_RETRY, CLEAN_RETRY_MAX, FLUSH_AFTER};
use crate::{Commit, StoreError, Txn};

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(super) enum Command {
    /// Compare and write.
    Commit { txn: Txn, reply: Reply<Commit> },
    /// Promise nobody anything up to a revision.
    Compact { revision: u64, reply: Reply<bool> },
    /// See to it that everything is on disk.
    Flush(Reply<()>),
    /// A step of cleaning.
    Keep { entries: Vec<Kept>, reply: Reply<()> },
    /// A step of cleaning.
    Drop { id: u32, removals: Vec<Bytes>, reply: Reply<bool> },
    /// A step of cleaning.
    Forget { keys: Vec<Bytes>, reply: Reply<()> },
    /// Begin the next segment.
    Roll(Reply<()>),
    /// End.
    Close(Reply<()>),
}

/// Works until it is told to close or nobody is left who could ask.
pub(super) fn write(mut log: Log, mut queue: mpsc::Receiver<Command>) {
    let mut next = None;
    let shared = log.shared.clone();
    loop {
        let Some(command) = next.take().or_else(|| next_command(&mut log, &mut queue)) else {
            if let Err(error) = log.close() {
                tracing::warn!(%error, "the store could not be closed cleanly");
            }
            break;
        };
        // Who no longer waits for his answer does not get one.
        match command {
            Command::Commit { txn, reply } => next = commit(&mut log, txn, reply, &mut queue),
            Command::Compact { revision, reply } => drop(reply.send(log.compact(revision))),
            Command::Flush(reply) => drop(reply.send(log.flush())),
            Command::Keep { entries, reply } => drop(reply.send(log.keep(entries))),
            Command::Drop { id, removals, reply } => drop(reply.send(log.drop_segment(id, removals))),
            Command::Forget { keys, reply } => drop(reply.send(log.forget(keys))),
            Command::Roll(reply) => drop(reply.send(Tail::roll(&mut log))),
            Command::Close(reply) => {
                queue.close();
                let _ = reply.send(log.close());
                break;
            }
        }
    }
    shared.ask_cleaner(|errands| errands.end = true);
}

/// The next command; when there is none yet, the end of the log is marked first.
fn next_command(log: &mut Log, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
    match queue.try_recv() {
        Ok(command) => Some(command),
        Err(mpsc::error::TryRecvError::Empty) => {
            log.mark();
            queue.blocking_recv()
        }
        Err(mpsc::error::TryRecvError::Disconnected) => None,
    }
}

/// Writes this transaction together with all that wait behind it; returns the first command that does not fit in.
fn commit(log: &mut Log, txn: Txn, reply: Reply<Commit>, queue: &mut mpsc::Receiver<Command>) -> Option<Command> {
    let mut group = log.group();
    let mut waiting = Vec::new();
    let mut next = Some(Command::Commit { txn, reply });
    while let Some(command) = next.take() {
        let Command::Commit { txn, reply } = command else {
            next = Some(command);
            break;
        };
        match log.join(&mut group, txn) {
            Joined::Yes(revision) => waiting.push((revision, reply)),
            Joined::Answered(answer) => drop(reply.send(answer)),
            Joined::Next(txn) => {
                next = Some(Command::Commit { txn, reply });
                break;
            }
        }
        if group.is_full() {
            break;
        }
        next = queue.try_recv().ok();
    }
    finish(log, &group, waiting);
    next
}

fn finish(log: &mut Log, group: &Group, waiting: Vec<(u64, Reply<Commit>)>) {
    let result = log.finish(group);
    failpoint!("store::before_answer");
    for (revision, reply) in waiting {
        let _ = reply.send(result.clone().map(|()| Commit::Done(revision)));
    }
}

/// The writer, as the cleaner reaches him.
pub(super) struct Remote {
    pub(super) commands: mpsc::WeakSender<Command>,
}

impl Remote {
    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let commands = self.commands.upgrade().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        commands.blocking_send(command(reply)).map_err(|_| StoreError::Closed)?;
        drop(commands);
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }
}

impl Tail for Remote {
    fn keep(&mut self, entries: Vec<Kept>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Keep { entries, reply })
    }

    fn drop_segment(&mut self, id: u32, removals: Vec<Bytes>) -> Result<bool, StoreError> {
        self.ask(|reply| Command::Drop { id, removals, reply })
    }

    fn forget(&mut self, keys: Vec<Bytes>) -> Result<(), StoreError> {
        self.ask(|reply| Command::Forget { keys, reply })
    }

    fn roll(&mut self) -> Result<(), StoreError> {
        self.ask(Command::Roll)
    }
}

/// What the cleaner waits for.
struct Waiting {
    /// When what was written must be synced.
    flush: Option<Instant>,
    /// When a step that failed is tried again.
    retry: Option<Instant>,
    pause: Duration,
}

/// Cleans until the store ends.
pub(super) fn clean(shared: &Arc<Shared>, mut remote: Remote) {
    let mut waiting = Waiting { flush: None, retry: None, pause: CLEAN_RETRY };
    while wait(shared, &mut waiting) {
        if waiting.flush.is_some_and(|at| at <= Instant::now()) {
            waiting.flush = None;
            // A failure has told everybody already.
            let _ = remote.ask(Command::Flush);
        }
        match work(shared, &mut remote) {
            Ok(()) => (waiting.retry, waiting.pause) = (None, CLEAN_RETRY),
            Err(StoreError::Closed | StoreError::Poisoned { .. } | StoreError::Unknown { .. }) => return,
            Err(error) => {
                shared.counts.cleaning_failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, pause = ?waiting.pause, "the store could not be cleaned; it is tried again");
                waiting.retry = Some(Instant::now() + waiting.pause);
                waiting.pause = (waiting.pause * 2).min(CLEAN_RETRY_MAX);
            }
        }
    }
}

/// Makes the segments that are missing and cleans what is worth it.
pub(super) fn work(shared: &Shared, tail: &mut dyn Tail) -> Result<(), StoreError> {
    loop {
        if shared.errands.lock().end {
            return Ok(());
        }
        let made = shared.pool.fill(&*shared.disk, &shared.sizes);
        shared.remove_dropped()?;
        // Cleaning comes also when nothing could be made: it gives segments back.
        if !shared.clean(tail)? {
            return made.map_err(crate::io_error("make a segment of the log"));
        }
    }
}

/// Waits until there is something to do; false when the store ends.
fn wait(shared: &Shared, waiting: &mut Waiting) -> bool {
    let mut errands = shared.errands.lock();
    loop {
        if errands.end {
            return false;
        }
        let now = Instant::now();
        if std::mem::take(&mut errands.dirty) {
            waiting.flush.get_or_insert(now + FLUSH_AFTER);
        }
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if std::mem::take(&mut errands.clean) || due(waiting.flush) || due(waiting.retry) {
            return true;
        }
        match [waiting.flush, waiting.retry].into_iter().flatten().min() {
            Some(until) => drop(shared.errand.wait_until(&mut errands, until)),
            None => shared.errand.wait(&mut errands),
        }
    }
}
