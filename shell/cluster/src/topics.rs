//! Who is told of which change: every feed has a box of its own and is found by what it is about, so a change costs
//! only those whom it concerns.
//!
//! Invariants: a box gets every change of its topic in revision order, or its reader is told that some were missed; a
//! box holds a bounded number of changes; a feed that is gone is forgotten at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use gantry_kinds::KindRef;
use gantry_view::{Change, ObjectKey};
use parking_lot::Mutex;

use crate::feed::Lagged;
use crate::limits::FEED_CHANGES;

/// Selectable fields by which feeds are found, by the kind's plural in the core group.
const ROUTED: [(&str, &str); 1] = [("pods", "spec.nodeName")];

/// What a feed is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Every change.
    Everything,
    /// Objects of a kind.
    Kind(KindRef),
    /// Objects of a kind in a namespace.
    Namespace(KindRef, Arc<str>),
    /// One object.
    Object(ObjectKey),
    /// Objects of a kind of which a field has this value, before the change or after it.
    Field(KindRef, &'static str, String),
}

impl Topic {
    /// The topic of a field and its value; `None` where feeds are not found by that field.
    pub fn field(kind: KindRef, path: &str, value: &str) -> Option<Self> {
        let routed =
            |(plural, field): &&(&str, &str)| kind.group.is_empty() && *plural == kind.plural && *field == path;
        let (_, path) = ROUTED.iter().find(routed)?;
        Some(Topic::Field(kind, path, value.to_owned()))
    }

    /// Whether a feed on this topic is told of the change.
    pub(crate) fn includes(&self, change: &Change) -> bool {
        let key = &change.key;
        match self {
            Topic::Everything => true,
            Topic::Kind(kind) => key.kind == *kind,
            Topic::Namespace(kind, namespace) => key.kind == *kind && key.namespace == *namespace,
            Topic::Object(object) => key == object,
            Topic::Field(kind, path, value) => key.kind == *kind && values(change, path).any(|it| it == value),
        }
    }
}

/// The values of a field before and after a change.
fn values<'a>(change: &'a Change, path: &'a str) -> impl Iterator<Item = &'a str> {
    [&change.before, &change.after].into_iter().flatten().filter_map(move |object| object.field(path))
}

/// The topics to which a change belongs.
fn topics(change: &Change) -> Vec<Topic> {
    let (key, kind) = (&change.key, change.key.kind);
    let mut topics = vec![
        Topic::Everything,
        Topic::Kind(kind),
        Topic::Namespace(kind, key.namespace.clone()),
        Topic::Object(key.clone()),
    ];
    for (plural, path) in ROUTED {
        if kind.group.is_empty() && kind.plural == plural {
            let mut found: Vec<&str> = values(change, path).collect();
            found.dedup();
            topics.extend(found.into_iter().map(|value| Topic::Field(kind, path, value.to_owned())));
        }
    }
    topics
}

/// All open boxes.
#[derive(Default)]
pub(crate) struct Topics {
    boxes: Mutex<BTreeMap<Topic, Vec<Arc<Inbox>>>>,
}

impl Topics {
    /// A box that gets what is about `topic` from now on, and holds `backlog` already.
    pub(crate) fn open(self: &Arc<Self>, topic: Topic, backlog: VecDeque<Arc<Change>>) -> Subscription {
        let room = backlog.len() + FEED_CHANGES;
        let inbox = Arc::new(Inbox(Mutex::new(Contents { waiting: backlog, room, missed: false, reader: None })));
        self.boxes.lock().entry(topic.clone()).or_default().push(inbox.clone());
        Subscription { inbox, topic, topics: Arc::downgrade(self) }
    }

    /// Tells those whom it concerns.
    pub(crate) fn publish(&self, change: &Arc<Change>) {
        let boxes = self.boxes.lock();
        let concerned = topics(change).into_iter().filter_map(|topic| boxes.get(&topic)).flatten();
        concerned.for_each(|inbox| inbox.put(change));
    }

    fn close(&self, topic: &Topic, inbox: &Arc<Inbox>) {
        let mut boxes = self.boxes.lock();
        let Some(open) = boxes.get_mut(topic) else { return };
        open.retain(|other| !Arc::ptr_eq(other, inbox));
        if open.is_empty() {
            boxes.remove(topic);
        }
    }
}

impl Drop for Topics {
    /// Nobody will be told of anything again.
    fn drop(&mut self) {
        self.boxes.get_mut().values().flatten().for_each(|inbox| inbox.miss(&mut inbox.0.lock()));
    }
}

/// What waits for one reader.
struct Inbox(Mutex<Contents>);

struct Contents {
    waiting: VecDeque<Arc<Change>>,
    /// How many may wait.
    room: usize,
    /// Changes were missed; nothing comes any more.
    missed: bool,
    reader: Option<Waker>,
}

impl Inbox {
    fn put(&self, change: &Arc<Change>) {
        let mut contents = self.0.lock();
        if contents.missed {
            return;
        }
        if contents.waiting.len() >= contents.room {
            return self.miss(&mut contents);
        }
        contents.waiting.push_back(change.clone());
        if let Some(reader) = contents.reader.take() {
            reader.wake();
        }
    }

    fn miss(&self, contents: &mut Contents) {
        contents.missed = true;
        contents.waiting = VecDeque::new();
        if let Some(reader) = contents.reader.take() {
            reader.wake();
        }
    }
}

/// A reader's side of a box; closes it when dropped.
pub(crate) struct Subscription {
    inbox: Arc<Inbox>,
    topic: Topic,
    topics: Weak<Topics>,
}

impl Subscription {
    /// The next change if there is one already; once changes were missed, every later answer says so.
    pub(crate) fn try_next(&self) -> Result<Option<Arc<Change>>, Lagged> {
        let mut contents = self.inbox.0.lock();
        if contents.missed { Err(Lagged) } else { Ok(contents.waiting.pop_front()) }
    }

    /// The next change, or a wake-up when there is one.
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Result<Arc<Change>, Lagged>> {
        let mut contents = self.inbox.0.lock();
        if contents.missed {
            return Poll::Ready(Err(Lagged));
        }
        if let Some(change) = contents.waiting.pop_front() {
            return Poll::Ready(Ok(change));
        }
        contents.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(topics) = self.topics.upgrade() {
            topics.close(&self.topic, &self.inbox);
        }
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{NAMESPACE, POD};
    use gantry_view::Object;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, before: Option<&str>, after: Option<&str>) -> Arc<Change> {
        let object = |node: &str| {
            let body = json!({"metadata": {"name": name, "namespace": "web"}, "spec": {"nodeName": node}});
            Arc::new(Object::from_value(&POD, &body, 1).expect("a pod"))
        };
        let key = ObjectKey::new(&POD, "web", name);
        Arc::new(Change { key, revision: 1, before: before.map(object), after: after.map(object) })
    }

    fn count(subscription: &Subscription) -> usize {
        std::iter::from_fn(|| subscription.try_next().expect("nothing missed")).count()
    }

    #[test]
    fn a_change_reaches_those_whom_it_concerns() {
        let topics = Arc::new(Topics::default());
        let changes = [
            pod("a", None, Some("")),
            pod("a", Some(""), Some("node1")),
            pod("b", Some("node1"), Some("node1")),
            pod("b", Some("node1"), None),
        ];
        let on_node = |node| Topic::field(&POD, "spec.nodeName", node).expect("a routed field");
        let expected = [
            (Topic::Everything, 4),
            (Topic::Kind(&POD), 4),
            (Topic::Kind(&NAMESPACE), 0),
            (Topic::Namespace(&POD, "web".into()), 4),
            (Topic::Namespace(&POD, "other".into()), 0),
            (Topic::Object(ObjectKey::new(&POD, "web", "a")), 2),
            (on_node("node1"), 3),
            (on_node(""), 2),
            (on_node("node2"), 0),
        ];
        let open: Vec<_> = expected.iter().map(|(topic, _)| topics.open(topic.clone(), VecDeque::new())).collect();
        changes.iter().for_each(|change| topics.publish(change));
        for ((topic, expected), subscription) in expected.iter().zip(&open) {
            assert_eq!(count(subscription), *expected, "{topic:?}");
            assert_eq!(changes.iter().filter(|change| topic.includes(change)).count(), *expected, "{topic:?}");
        }
        drop(open);
        assert!(topics.boxes.lock().is_empty(), "who is gone is forgotten");
        assert_eq!(Topic::field(&POD, "status.phase", "Running"), None);
    }

    #[test]
    fn who_falls_behind_is_told_so_and_holds_nothing() {
        let topics = Arc::new(Topics::default());
        let change = pod("a", None, Some(""));
        let slow = topics.open(Topic::Everything, VecDeque::from([change.clone()]));
        (0..=FEED_CHANGES).for_each(|_| topics.publish(&change));
        assert!(slow.try_next().is_err());
        assert!(slow.inbox.0.lock().waiting.is_empty());
    }

    #[test]
    fn the_end_of_the_feed_is_told() {
        let topics = Arc::new(Topics::default());
        let open = topics.open(Topic::Everything, VecDeque::new());
        assert_eq!(count(&open), 0);
        drop(topics);
        assert!(open.try_next().is_err());
    }
}
