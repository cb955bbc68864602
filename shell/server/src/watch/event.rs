//! What a change is to somebody who sees only what a selection matches.

use std::sync::Arc;

use gantry_view::{Change, Object};

use crate::read::options::Selection;

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Added,
    Modified,
    Deleted,
}

impl Transition {
    /// As it is on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transition::Added => "ADDED",
            Transition::Modified => "MODIFIED",
            Transition::Deleted => "DELETED",
        }
    }
}

/// The event that a change is, and the object that it shows: what came in is added, what went out is deleted and
/// shown as it was last seen. `None` when the selection matches neither before nor after.
pub(crate) fn transition<'a>(change: &'a Change, selection: &Selection) -> Option<(Transition, &'a Arc<Object>)> {
    let matched = |object: &&Arc<Object>| selection.matches(object);
    let before = change.before.as_ref().filter(matched);
    let after = change.after.as_ref().filter(matched);
    match (before, after) {
        (None, None) => None,
        (None, Some(after)) => Some((Transition::Added, after)),
        (Some(_), Some(after)) => Some((Transition::Modified, after)),
        (Some(before), None) => Some((Transition::Deleted, before)),
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::{LabelSelector, NAMESPACE};
    use gantry_view::ObjectKey;
    use serde_json::json;

    use super::*;

    fn check(before: Option<&str>, after: Option<&str>, selector: &str, expected: Option<(Transition, u64)>) {
        let object = |color: &str, revision| {
            let body = json!({"metadata": {"name": "a", "labels": {"color": color}}});
            Arc::new(Object::from_value(&NAMESPACE, &body, revision).unwrap())
        };
        let change = Change {
            key: ObjectKey::new(&NAMESPACE, "", "a"),
            revision: 2,
            before: before.map(|color| object(color, 1)),
            after: after.map(|color| object(color, 2)),
        };
        let selection = Selection { labels: LabelSelector::parse(selector).unwrap(), ..Selection::default() };
        let got = transition(&change, &selection).map(|(t, o)| (t, o.header.revision));
        assert_eq!(got, expected, "{before:?} -> {after:?} under {selector:?}");
    }

    #[test]
    fn objects_move_in_and_out_of_a_selection() {
        check(None, Some("red"), "", Some((Transition::Added, 2)));
        check(Some("red"), Some("blue"), "", Some((Transition::Modified, 2)));
        check(Some("red"), None, "", Some((Transition::Deleted, 1)));
        check(None, Some("red"), "color=blue", None);
        check(Some("red"), Some("blue"), "color=blue", Some((Transition::Added, 2)));
        check(Some("blue"), Some("blue"), "color=blue", Some((Transition::Modified, 2)));
        check(Some("blue"), Some("red"), "color=blue", Some((Transition::Deleted, 1)));
        check(Some("blue"), None, "color=blue", Some((Transition::Deleted, 1)));
        check(Some("red"), None, "color=blue", None);
    }
}
