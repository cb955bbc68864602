//! How decisions answer: intents to carry out, when to look again, and why.

use std::time::Duration;

use gantry_kinds::KindRef;
use jiff::Timestamp;
use serde_json::Value;

use crate::object::ObjectKey;
use crate::view::View;

/// What a decision may know: the time, a seed for what must differ between objects (name suffixes, jitter), and
/// the view.
#[derive(Clone, Copy)]
pub struct Turn<'a> {
    /// The time of this turn.
    pub now: Timestamp,
    /// Time that went by since this process started. Nobody sets this clock: waiting is measured by it, not by `now`.
    pub uptime: Duration,
    /// Differs from turn to turn; the same seed gives the same decision.
    pub seed: u64,
    /// Everything there is, at one revision.
    pub view: &'a View,
}

/// One wish of a controller. The runner carries intents out in order, through the registry, as the controller's
/// service account, and stops at the first that is refused.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Create an object; `body` is the whole of it (`metadata.generateName` is allowed).
    Create {
        /// Kind of the new object.
        kind: KindRef,
        /// Its namespace; empty where cluster-scoped.
        namespace: String,
        /// The object.
        body: Value,
    },
    /// Merge-patch an object or one of its subresources. To guard against a change in between, put `uid` and
    /// `resourceVersion` into the patch's metadata.
    Patch {
        /// Which object.
        key: ObjectKey,
        /// Subresource such as `status`; empty for the object itself.
        subresource: &'static str,
        /// RFC 7396 merge patch.
        patch: Value,
    },
    /// Delete an object.
    Delete {
        /// Which object.
        key: ObjectKey,
        /// Precondition: the object's uid.
        uid: String,
        /// Precondition: the object's revision, where the decision depends on it.
        revision: Option<u64>,
        /// `Foreground`, `Background` or `Orphan`; `None` for the kind's default.
        propagation: Option<&'static str>,
        /// Seconds of grace; `None` for the object's own.
        grace_seconds: Option<i64>,
    },
    /// Post to a subresource: a pod's `binding` or `eviction`, a namespace's `finalize`.
    Post {
        /// Which object.
        key: ObjectKey,
        /// Subresource, such as `binding`.
        subresource: &'static str,
        /// The body.
        body: Value,
    },
    /// Say what happened, as an Event on `about`. The runner counts repeats into one Event.
    Event {
        /// The object that the event is about.
        about: ObjectKey,
        /// `Normal` or `Warning`.
        kind: &'static str,
        /// One CamelCase word, such as `SuccessfulCreate`.
        reason: &'static str,
        /// Text for people.
        message: String,
    },
}

impl Intent {
    /// The object that the intent is about; `None` for one that is yet to be created.
    pub fn about(&self) -> Option<&ObjectKey> {
        match self {
            Intent::Create { .. } => None,
            Intent::Patch { key, .. } | Intent::Delete { key, .. } | Intent::Post { key, .. } => Some(key),
            Intent::Event { about, .. } => Some(about),
        }
    }
}

/// Why a decision came out as it did: data, from which events, conditions and explanations are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// One CamelCase word.
    pub code: &'static str,
    /// What it is about.
    pub subject: ObjectKey,
    /// The sentence.
    pub message: String,
    /// What brought it about.
    pub causes: Vec<ObjectKey>,
}

/// The answer of one reconcile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What to do, in order.
    pub intents: Vec<Intent>,
    /// Look again after this time, changes or not.
    pub again_in: Option<Duration>,
    /// Why.
    pub why: Vec<Reason>,
}

impl Outcome {
    /// Nothing to do.
    pub fn nothing() -> Self {
        Self::default()
    }
    /// Adds an intent.
    pub fn push(&mut self, intent: Intent) {
        self.intents.push(intent);
    }
    /// Asks for another turn after `delay`, or sooner if one was asked for already.
    pub fn again_in(&mut self, delay: Duration) {
        self.again_in = Some(self.again_in.map_or(delay, |before| before.min(delay)));
    }
}
