//! What a watch promises: its events are ordered, unique, atomic and reliable, it resumes where it was left, its
//! bookmarks cover what they say, each event has the right type, and a selection shows what it selects.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Content, Replay, Step};

/// What an event says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// It is there, or selected, now.
    Added,
    /// It changed.
    Modified,
    /// It is gone, or no longer selected.
    Deleted,
    /// Nothing; the watch has come this far.
    Bookmark,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub kind: EventType,
    /// The object; empty for a bookmark.
    pub key: String,
    /// Its revision.
    pub revision: u64,
    /// What it shows.
    pub content: Content,
}

/// One watch, from its request to its end.
#[derive(Clone, Debug, Default)]
pub struct WatchLog {
    /// The color that it selects; `None`: everything.
    pub selected: Option<String>,
    /// The revision after which it was asked to begin.
    pub from: u64,
    /// What the client knew to be selected at that revision, each with its revision.
    pub known: BTreeMap<String, (u64, Content)>,
    /// What it was told.
    pub events: Vec<Event>,
}

impl WatchLog {
    /// The revision up to which the watch has told everything, by its own word.
    pub fn reached(&self) -> u64 {
        self.events.iter().map(|event| event.revision).fold(self.from, u64::max)
    }

    /// What the client knows after all events.
    pub fn knows(&self) -> BTreeMap<String, (u64, Content)> {
        let mut known = self.known.clone();
        for event in &self.events {
            match event.kind {
                EventType::Added | EventType::Modified => {
                    known.insert(event.key.clone(), (event.revision, event.content.clone()));
                }
                EventType::Deleted => drop(known.remove(&event.key)),
                EventType::Bookmark => {}
            }
        }
        known
    }

    /// Holds the watch against all that happened; the first promise that it broke.
    pub fn check(&self, replay: &Replay) -> Result<(), Broken> {
        self.resumable()?;
        self.ordered()?;
        self.unique()?;
        self.bookmarkable()?;
        self.honest()?;
        self.atomic(replay)?;
        self.reliable(replay)
    }

    fn changes(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(|event| event.kind != EventType::Bookmark)
    }

    fn selects(&self, content: &Content) -> bool {
        self.selected.as_ref().is_none_or(|color| *color == content.color)
    }

    /// Nothing is told again that the client knew when he asked.
    fn resumable(&self) -> Result<(), Broken> {
        match self.changes().find(|event| event.revision <= self.from) {
            Some(event) => Err(Broken::new("resumable", format!("asked from {}, told {event:?}", self.from))),
            None => Ok(()),
        }
    }

    fn ordered(&self) -> Result<(), Broken> {
        let changes: Vec<_> = self.changes().collect();
        match changes.windows(2).find(|pair| pair[0].revision > pair[1].revision) {
            Some(pair) => Err(Broken::new("ordered", format!("{:?} before {:?}", pair[0], pair[1]))),
            None => Ok(()),
        }
    }

    fn unique(&self) -> Result<(), Broken> {
        let mut told = BTreeSet::new();
        match self.changes().find(|event| !told.insert((event.revision, &event.key))) {
            Some(event) => Err(Broken::new("unique", format!("told twice: {event:?}"))),
            None => Ok(()),
        }
    }

    /// After a bookmark comes nothing that it covers, and it is never behind what was told.
    fn bookmarkable(&self) -> Result<(), Broken> {
        let (mut bookmark, mut told) = (self.from, self.from);
        for event in &self.events {
            if event.kind != EventType::Bookmark {
                if event.revision <= bookmark {
                    return Err(Broken::new("bookmarkable", format!("{event:?} after a bookmark at {bookmark}")));
                }
                told = event.revision;
            } else if event.revision < told.max(bookmark) {
                let how = format!("a bookmark at {} after {}", event.revision, told.max(bookmark));
                return Err(Broken::new("bookmarkable", how));
            } else {
                bookmark = event.revision;
            }
        }
        Ok(())
    }

    /// What is shown as selected is selected.
    fn honest(&self) -> Result<(), Broken> {
        let shown = |event: &&Event| !self.selects(&event.content);
        match self.changes().find(shown) {
            Some(event) => Err(Broken::new("filter", format!("{:?} was shown {event:?}", self.selected))),
            None => Ok(()),
        }
    }

    /// A revision is told whole before anything later is.
    fn atomic(&self, replay: &Replay) -> Result<(), Broken> {
        let last = self.changes().last().map_or(0, |event| event.revision);
        let mut told: BTreeMap<u64, usize> = BTreeMap::new();
        self.changes().for_each(|event| *told.entry(event.revision).or_default() += 1);
        for (at, count) in told {
            let selected = |step: &Step| matches!(step, Step::Holds(content) if self.selects(content));
            let happened = replay.between(at - 1, at).filter(|(_, _, step)| selected(step)).count();
            if happened > count && at < last {
                return Err(Broken::new("atomic", format!("{count} of {happened} changes of revision {at}")));
            }
        }
        Ok(())
    }

    /// Everything that happened in between was told, as what it was.
    fn reliable(&self, replay: &Replay) -> Result<(), Broken> {
        // The last revision may have been cut off in the middle, unless something later says that it was whole.
        let whole = self.events.iter().rev().find(|event| event.kind == EventType::Bookmark).map_or(0, |e| e.revision);
        let last = self.changes().last().map_or(self.from, |event| event.revision);
        let mut told: BTreeMap<(u64, &str), &Event> =
            self.changes().map(|event| ((event.revision, event.key.as_str()), event)).collect();
        let mut known: BTreeMap<String, Content> =
            self.known.iter().map(|(key, (_, content))| (key.clone(), content.clone())).collect();
        // Keys of which it is not known whether they are selected.
        let mut unclear = BTreeSet::new();
        for (at, key, step) in replay.between(self.from, self.reached()) {
            let event = told.remove(&(at, key));
            let cut_off = at >= last && at > whole && event.is_none();
            let before = known.get(key);
            let expected = match step {
                Step::Holds(content) if self.selects(content) => {
                    Some(if before.is_some() { EventType::Modified } else { EventType::Added })
                }
                Step::Left(color) if self.selected.as_ref() != Some(color) => {
                    unclear.insert(key);
                    known.remove(key);
                    continue;
                }
                _ => before.map(|_| EventType::Deleted),
            };
            match step {
                Step::Holds(content) if self.selects(content) => drop(known.insert(key.to_owned(), content.clone())),
                _ => drop(known.remove(key)),
            }
            if unclear.remove(key) || cut_off {
                continue;
            }
            match (expected, event.map(|event| event.kind)) {
                (expected, told) if expected == told => {}
                (Some(expected), None) => {
                    let how = format!("from {}: {expected:?} {key} at {at} was never told: {step:?}", self.from);
                    return Err(Broken::new("reliable", how));
                }
                (expected, told) => {
                    return Err(Broken::new("type", format!("{key} at {at} was told as {told:?}, is {expected:?}")));
                }
            }
        }
        match told.into_values().find(|event| !unclear.contains(event.key.as_str())) {
            Some(event) => Err(Broken::new("reliable", format!("told, but never happened: {event:?}"))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
