//! What clients asked and were told, and whether a store that keeps its promises could have told them that.
//!
//! A journal holds every call with the span of time in which it happened, what it returned (or that nobody knows),
//! and every event of every watch. The checks are pure: they look at journals, never at a server.
//!
//! Invariants: a call whose outcome is unknown may have happened or not, at any moment of its span; a check that
//! fails says which promise was broken, about which key, and by what.

mod linearize;
mod replay;
mod revisions;
mod watch;

use std::fmt;

pub use linearize::{State, linearizable};
pub use replay::{Replay, Step};
pub use revisions::check as check_revisions;
pub use watch::{Event, EventType, WatchLog};

/// What an object says of itself; clients never write the same value twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content {
    /// The value that a write gave it.
    pub value: String,
    /// The label by which watches select.
    pub color: String,
}

impl Content {
    /// From its parts.
    pub fn new(value: impl Into<String>, color: impl Into<String>) -> Self {
        Content { value: value.into(), color: color.into() }
    }
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A new object.
    Create(Content),
    /// Another content, where the object has this revision, or whatever it has.
    Update {
        /// The revision that it must have.
        expected: Option<u64>,
        /// What it becomes.
        content: Content,
    },
    /// No object any more.
    Delete,
    /// What there is.
    Read,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, at this revision.
    Written(u64),
    /// Gone.
    Deleted,
    /// There is this.
    Found(u64, Content),
    /// There is nothing of this name.
    Absent,
    /// There is something of this name already.
    Exists,
    /// It has another revision than the expected one.
    Conflict,
    /// It was refused and changed nothing.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// One call, in nanoseconds since the journal began.
#[derive(Clone, Debug)]
pub struct Call {
    /// The object.
    pub key: String,
    /// What was asked.
    pub op: Op,
    /// What was told.
    pub outcome: Outcome,
    /// When it was asked.
    pub invoked: u64,
    /// When it was told; for an unknown outcome, from when on it can no longer happen.
    pub returned: u64,
}

/// The newest revision as a list or a bookmark told it.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// The revision.
    pub revision: u64,
    /// When it was asked.
    pub invoked: u64,
    /// When it was told.
    pub returned: u64,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which promise.
    pub promise: &'static str,
    /// By what.
    pub how: String,
}

impl Broken {
    pub(crate) fn new(promise: &'static str, how: impl Into<String>) -> Self {
        Broken { promise, how: how.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.how)
    }
}

impl std::error::Error for Broken {}
