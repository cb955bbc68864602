//! When a watch has to find out how far it is.
//!
//! A write of somebody else's keys moves etcd's revision without an event in our watch, and whoever waits for that
//! revision would wait in vain. First the watch waits for events that are on their way; then it asks its member, if
//! that one can be trusted to answer after them; then it writes a mark that it sees arrive; then it gives up on the
//! member.

use tokio::time::Instant;

use crate::limits::etcd::{MARK_AFTER, MARK_PATIENCE, PROGRESS_AFTER, PROGRESS_PATIENCE};

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    AskProgress,
    WriteMark,
    GiveUp,
}

/// How far a watch has got with finding out.
pub(super) struct Nudge {
    ordered: bool,
    position: i64,
    next: Option<(Instant, Act)>,
}

impl Nudge {
    /// `ordered`: the member's answers to progress requests come after the events before them.
    pub(super) fn new(ordered: bool) -> Self {
        Nudge { ordered, position: 0, next: None }
    }

    /// Notes where the watch is and which revision somebody waits for.
    pub(super) fn note(&mut self, position: i64, asked: i64, now: Instant) {
        let advanced = position > self.position;
        self.position = position;
        if position >= asked {
            self.next = None;
        } else if advanced || self.next.is_none() {
            // While events arrive there is no hurry.
            self.next = Some(match self.ordered {
                true => (now + PROGRESS_AFTER, Act::AskProgress),
                false => (now + MARK_AFTER, Act::WriteMark),
            });
        }
    }

    /// When something is to be done.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next.map(|(due, _)| due)
    }

    /// What is to be done now that it is due.
    pub(super) fn fire(&mut self, now: Instant) -> Act {
        let act = self.next.map_or(Act::GiveUp, |(_, act)| act);
        self.next = match act {
            Act::AskProgress => Some((now + PROGRESS_PATIENCE, Act::WriteMark)),
            Act::WriteMark => Some((now + MARK_PATIENCE, Act::GiveUp)),
            Act::GiveUp => None,
        };
        act
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_waits_asks_marks_and_gives_up() {
        let (mut nudge, mut now) = (Nudge::new(true), Instant::now());
        nudge.note(5, 5, now);
        assert_eq!(nudge.due(), None);
        nudge.note(5, 7, now);
        for expected in [Act::AskProgress, Act::WriteMark, Act::GiveUp] {
            now = nudge.due().unwrap();
            // Being told again changes nothing.
            nudge.note(5, 8, now);
            assert_eq!(nudge.due(), Some(now));
            assert_eq!(nudge.fire(now), expected);
        }
    }

    #[test]
    fn who_cannot_be_trusted_is_not_asked_and_events_that_arrive_give_time() {
        let (mut nudge, now) = (Nudge::new(false), Instant::now());
        nudge.note(5, 9, now);
        assert_eq!(nudge.fire(now), Act::WriteMark);
        let later = now + Duration::from_millis(1);
        nudge.note(6, 9, later);
        assert_eq!((nudge.due(), nudge.fire(later)), (Some(later + MARK_AFTER), Act::WriteMark));
        nudge.note(9, 9, later);
        assert_eq!(nudge.due(), None);
    }
}
