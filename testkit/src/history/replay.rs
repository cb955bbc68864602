//! All that is known to have happened, in the order of revisions: from acknowledged writes, reads and all watches
//! together. What one watch was told is held against it.

use std::collections::BTreeMap;

use super::{Broken, Call, Content, EventType, Op, Outcome, WatchLog};

/// What a revision did to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It holds this since.
    Holds(Content),
    /// It is gone since.
    Gone,
    /// A watch that selects this color sees it no longer; whether it is gone or has another color is not told.
    Left(String),
}

/// What happened, by revision and key.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    steps: BTreeMap<(u64, String), Step>,
}

impl Replay {
    /// Adds what calls and watches were told.
    pub fn note<'a>(
        &mut self,
        calls: impl IntoIterator<Item = &'a Call>,
        watches: impl IntoIterator<Item = &'a WatchLog>,
    ) -> Result<(), Broken> {
        for call in calls {
            match (&call.op, &call.outcome) {
                (Op::Create(content) | Op::Update { content, .. }, Outcome::Written(at)) => {
                    self.add(*at, &call.key, Step::Holds(content.clone()))?;
                }
                (_, Outcome::Found(at, content)) => self.add(*at, &call.key, Step::Holds(content.clone()))?,
                _ => {}
            }
        }
        for watch in watches {
            for (key, (at, content)) in &watch.known {
                self.add(*at, key, Step::Holds(content.clone()))?;
            }
            for event in &watch.events {
                let step = match (event.kind, &watch.selected) {
                    (EventType::Added | EventType::Modified, _) => Step::Holds(event.content.clone()),
                    (EventType::Deleted, None) => Step::Gone,
                    (EventType::Deleted, Some(color)) => Step::Left(color.clone()),
                    (EventType::Bookmark, _) => continue,
                };
                self.add(event.revision, &event.key, step)?;
            }
        }
        Ok(())
    }

    /// What happened after `from`, up to and including `to`.
    pub fn between(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, &str, &Step)> {
        let range = (from.saturating_add(1), String::new())..(to.saturating_add(1), String::new());
        let steps = if from < to { Some(self.steps.range(range)) } else { None };
        steps.into_iter().flatten().map(|((at, key), step)| (*at, key.as_str(), step))
    }

    fn add(&mut self, at: u64, key: &str, step: Step) -> Result<(), Broken> {
        use std::collections::btree_map::Entry;
        match self.steps.entry((at, key.to_owned())) {
            Entry::Vacant(entry) => drop(entry.insert(step)),
            Entry::Occupied(mut entry) => match (entry.get(), &step) {
                (known, new) if known == new => {}
                (Step::Holds(content), Step::Left(color)) if content.color != *color => {}
                (Step::Gone, Step::Left(_)) => {}
                (Step::Left(color), Step::Holds(content)) if content.color != *color => drop(entry.insert(step)),
                (Step::Left(_), Step::Gone) => drop(entry.insert(step)),
                (known, new) => {
                    let how = format!("{key} at {at} is {known:?} and {new:?}");
                    return Err(Broken::new("all are told the same", how));
                }
            },
        }
        Ok(())
    }
}
