//! What was committed, in order, and what everything looks like after it: the truth that all else is compared with.
//!
//! Invariants: a commit happens at one instant, with the checks after it; every object is parsed once here, as the
//! code under test does it, so that what it shows can be compared byte by byte.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use gantry_store::{Batch, Commit, Entry, KeyChange, Range, Txn};
use gantry_view::{Change, Object, View};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::keys::{EPOCH, decode};
use crate::check::feeds::difference;
use crate::plan::Sabotage;
use crate::signal::Signal;
use crate::world::World;

/// One commit.
#[derive(Clone)]
pub struct Step {
    /// As watches see it.
    pub batch: Arc<Batch>,
    /// What it changed of objects.
    pub changes: Vec<Arc<Change>>,
    /// When.
    pub at: Instant,
}

/// All commits.
pub struct History {
    state: Mutex<State>,
    reached: Signal<u64>,
}

#[derive(Default)]
struct State {
    first: u64,
    revision: u64,
    compacted: u64,
    data: BTreeMap<Bytes, (u64, Bytes)>,
    log: Vec<Step>,
    /// For each commit, what it replaced, and whether it had to be on disk before it was answered.
    replaced: Vec<(Vec<Replaced>, bool)>,
    /// The newest revision that anybody may have seen.
    given: u64,
    view: View,
}

/// A key with what it was before.
type Replaced = (Bytes, Option<(u64, Bytes)>);

/// What comes next in the log.
pub(super) enum Next {
    Step(Arc<Batch>, Instant),
    Compacted(u64),
    Nothing,
}

impl History {
    /// A history that begins with these entries.
    pub fn starting_with(start: &Range) -> Self {
        let mut state = State {
            first: start.revision,
            revision: start.revision,
            compacted: start.revision,
            given: start.revision,
            ..State::default()
        };
        for entry in &start.entries {
            state.data.insert(entry.key.clone(), (entry.revision, entry.value.clone()));
            state.show(&entry.key, Some(&entry.value), entry.revision);
        }
        state.view.advance(start.revision);
        History { state: Mutex::new(state), reached: Signal::new(start.revision) }
    }

    /// The revision with which this history begins.
    pub fn first(&self) -> u64 {
        self.state.lock().first
    }

    /// The newest revision.
    pub fn revision(&self) -> u64 {
        self.state.lock().revision
    }

    /// The revision up to which the log is forgotten, for those who follow it.
    pub fn compacted(&self) -> u64 {
        self.state.lock().compacted
    }

    /// Forgets the log up to a revision.
    pub fn compact(&self, revision: u64) {
        let mut state = self.state.lock();
        state.compacted = state.compacted.max(revision.min(state.revision));
    }

    /// How many commits there were.
    pub fn commits(&self) -> u64 {
        self.state.lock().log.len() as u64
    }

    /// Looks at what everything looks like now.
    pub fn look<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.state.lock().view)
    }

    /// The commits after a revision, whether they are forgotten for others or not.
    pub fn after(&self, revision: u64) -> Vec<Step> {
        let state = self.state.lock();
        let from = state.log.partition_point(|step| step.batch.revision <= revision);
        state.log[from..].to_vec()
    }

    /// The first commit after a revision that changed an object.
    pub fn next_objects(&self, revision: u64) -> Option<Step> {
        let state = self.state.lock();
        let from = state.log.partition_point(|step| step.batch.revision <= revision);
        state.log[from..].iter().find(|step| !step.changes.is_empty()).cloned()
    }

    /// The commit of a revision.
    pub fn at(&self, revision: u64) -> Option<Step> {
        let state = self.state.lock();
        let at = state.log.binary_search_by_key(&revision, |step| step.batch.revision).ok()?;
        state.log.get(at).cloned()
    }

    /// The first object that somebody's view shows otherwise than it was at the view's revision.
    pub fn differs(&self, view: &View) -> Option<String> {
        let state = self.state.lock();
        if view.revision() >= state.revision {
            return difference(view, &state.view);
        }
        // What was changed since is put back to what it was.
        let mut past = View::new();
        for object in gantry_registry::stored_kinds().flat_map(|kind| state.view.list(kind, None)) {
            past.apply(object.key().clone(), Some(object.clone()), 0);
        }
        let since = state.log.partition_point(|step| step.batch.revision <= view.revision());
        for change in state.log[since..].iter().rev().flat_map(|step| step.changes.iter().rev()) {
            past.apply(change.key.clone(), change.before.clone(), 0);
        }
        difference(view, &past)
    }

    /// Everything under a prefix.
    pub fn range(&self, prefix: &Bytes) -> Range {
        let state = self.state.lock();
        let entries = state.data.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix));
        let entry = |(key, (revision, value)): (&Bytes, &(u64, Bytes))| Entry {
            key: key.clone(),
            value: value.clone(),
            revision: *revision,
        };
        Range { revision: state.revision, entries: entries.map(entry).collect() }
    }

    /// Returns once there is a commit after this revision, or the log is forgotten up to it.
    pub async fn passes(&self, revision: u64) {
        self.reached.wait(|now| *now > revision).await;
    }

    pub(super) fn next(&self, position: u64) -> Next {
        let state = self.state.lock();
        if position < state.compacted {
            return Next::Compacted(state.compacted);
        }
        let at = state.log.partition_point(|step| step.batch.revision <= position);
        state.log.get(at).map_or(Next::Nothing, |step| Next::Step(step.batch.clone(), step.at))
    }

    /// Compares and writes in one step, as `server` asked for it.
    pub fn commit(&self, world: &World, server: usize, txn: Txn) -> Commit {
        let state = self.state.lock();
        if let Some(conflict) = state.conflict(&txn, world.plan.sabotage) {
            return conflict;
        }
        let revision = state.revision + 1;
        drop(state);
        self.record(world, server, &txn, revision);
        Commit::Done(revision)
    }

    /// A commit has happened.
    pub fn record(&self, world: &World, server: usize, txn: &Txn, revision: u64) {
        let mut state = self.state.lock();
        let mut violations = Vec::new();
        if revision <= state.given {
            violations.push(format!("revision {revision} is given to a commit, after {} was seen", state.given));
        }
        let step = state.apply(txn, revision);
        world.say(format_args!("#{revision} {}: {}", world.servers[server].name, keys(&step)));
        violations.extend(world.checker.lock().step(&step, txn, &state.view));
        drop(state);
        violations.into_iter().for_each(|violation| world.violated(violation));
        self.reached.set(revision);
    }

    /// Somebody may have seen this revision.
    pub fn has_given(&self, revision: u64) {
        let mut state = self.state.lock();
        state.given = state.given.max(revision);
    }

    /// The power went in the model of a store: what nobody waited for is gone, and its revisions are given again.
    pub fn lose_what_was_not_synced(&self) {
        let mut state = self.state.lock();
        while state.replaced.last().is_some_and(|(_, durable)| !durable) {
            state.undo();
        }
        let revision = state.revision;
        drop(state);
        self.reached.set(revision);
    }

    /// A store was opened after a crash and holds `found`: everything, but for commits that nobody was promised, and
    /// with `news`, whose senders were never answered. What is wrong with that.
    pub fn recover(&self, world: &World, server: usize, found: &Range, news: Vec<Arc<Batch>>) -> Vec<String> {
        for batch in news {
            let writes = batch.changes.iter().map(|change| (change.key.clone(), change.value.clone())).collect();
            let txn = Txn { compare: Vec::new(), writes, durable: true };
            world.say(format_args!("{} comes after all", batch.revision));
            self.record(world, server, &txn, batch.revision);
        }
        let mut state = self.state.lock();
        while !state.holds(found) {
            match state.replaced.last() {
                Some((_, false)) => state.undo(),
                Some((_, true)) => {
                    let revision = state.revision;
                    return vec![format!("revision {revision} was acknowledged and is lost, or something else is")];
                }
                None => return vec!["the store holds what was never committed".to_owned()],
            }
        }
        Vec::new()
    }
}

impl State {
    fn conflict(&self, txn: &Txn, sabotage: Option<Sabotage>) -> Option<Commit> {
        let takes_over = txn.writes.iter().any(|(key, _)| key == EPOCH);
        let blind = |key: &Bytes| match sabotage {
            Some(Sabotage::Compare) => key != EPOCH,
            Some(Sabotage::Epoch) => key == EPOCH && !takes_over,
            _ => false,
        };
        txn.compare.iter().filter(|(key, _)| !blind(key)).find_map(|(key, expected)| {
            let actual = self.data.get(key).map_or(0, |(revision, _)| *revision);
            let conflict = || Commit::Conflict { key: key.clone(), actual, revision: self.revision };
            (actual != *expected).then(conflict)
        })
    }

    fn apply(&mut self, txn: &Txn, revision: u64) -> Step {
        self.revision = revision;
        self.given = self.given.max(revision);
        let (mut changes, mut replaced) = (Vec::new(), Vec::new());
        for (key, value) in &txn.writes {
            let before = match value {
                Some(value) => self.data.insert(key.clone(), (revision, value.clone())),
                None => self.data.remove(key),
            };
            replaced.push((key.clone(), before));
            changes.extend(self.show(key, value.as_ref(), revision));
        }
        self.view.advance(revision);
        let writes = txn.writes.iter().map(|(key, value)| KeyChange { key: key.clone(), value: value.clone() });
        let batch = Arc::new(Batch { revision, changes: writes.collect() });
        let step = Step { batch, changes, at: Instant::now() };
        self.log.push(step.clone());
        self.replaced.push((replaced, txn.durable));
        step
    }

    /// Takes the last commit back.
    fn undo(&mut self) {
        let (Some(step), Some((replaced, _))) = (self.log.pop(), self.replaced.pop()) else { return };
        for (key, before) in replaced.into_iter().rev() {
            match before {
                Some(before) => self.data.insert(key, before),
                None => self.data.remove(&key),
            };
        }
        for change in step.changes.iter().rev() {
            self.view.apply(change.key.clone(), change.before.clone(), 0);
        }
        self.revision = self.log.last().map_or(self.first, |step| step.batch.revision);
    }

    fn holds(&self, found: &Range) -> bool {
        self.data.len() == found.entries.len()
            && found.entries.iter().all(|entry| {
                self.data.get(&entry.key).is_some_and(|(at, value)| *at == entry.revision && *value == entry.value)
            })
    }

    fn show(&mut self, key: &Bytes, value: Option<&Bytes>, revision: u64) -> Option<Arc<Change>> {
        let key = decode(key)?;
        let object = match value {
            Some(value) => Some(Arc::new(Object::parse(key.kind, value, revision).ok()?)),
            None => None,
        };
        self.view.apply(key, object, revision).map(Arc::new)
    }
}

/// What a commit wrote, in short.
fn keys(step: &Step) -> String {
    let mut text = String::new();
    for change in &step.batch.changes {
        let sign = if change.value.is_some() { '+' } else { '-' };
        let key = std::str::from_utf8(&change.key).unwrap_or("?");
        let key = key.strip_prefix("/registry/").unwrap_or(key);
        text.push(' ');
        text.push(sign);
        text.push_str(key);
    }
    text
}
