//! Linearizability of one key: is there an order of its calls, each at a moment of its span, in which one object
//! would have told every caller what he was told?
//!
//! The search goes depth first over "which call is next", and remembers each pair of calls done and state, so that
//! what was found hopeless once is not tried again.

use std::collections::HashSet;

use super::{Broken, Call, Content, Op, Outcome};

/// What a key holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// No write of this key had a higher revision so far, as far as told.
    pub floor: u64,
    /// Its revision, where told, and its content; `None`: nothing.
    pub object: Option<(Option<u64>, Content)>,
}

impl State {
    /// An object with a known revision.
    pub fn present(revision: u64, content: Content) -> Self {
        State { floor: revision, object: Some((Some(revision), content)) }
    }
}

/// A place in the search: what to try next.
struct Place {
    tries: Vec<(usize, State)>,
    /// The call that led here.
    by: Option<usize>,
}

/// Looks for an order of `calls`, all of one key, that begins with `start`. Returns the states in which the key may
/// be at the end of the first order found.
pub fn linearizable(start: &State, calls: &[Call]) -> Result<State, Broken> {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by_key(|call| call.invoked);
    let mut done = vec![false; calls.len()];
    let mut hopeless = HashSet::new();
    let mut places = vec![Place { tries: next(&calls, &done, start), by: None }];
    let (mut deepest, mut stuck) = (0, start.clone());
    while let Some(place) = places.last_mut() {
        let Some((call, state)) = place.tries.pop() else {
            let place = places.pop().expect("a place");
            if let Some(by) = place.by {
                done[by] = false;
            }
            continue;
        };
        done[call] = true;
        if !hopeless.insert((done.clone(), state.clone())) {
            done[call] = false;
            continue;
        }
        if places.len() == calls.len() {
            return Ok(state);
        }
        if places.len() > deepest {
            (deepest, stuck) = (places.len(), state.clone());
        }
        places.push(Place { tries: next(&calls, &done, &state), by: Some(call) });
    }
    if calls.is_empty() { Ok(start.clone()) } else { Err(explain(&calls, deepest, &stuck)) }
}

/// The calls that may be next, with the states after them: those that began before any other one left ended.
fn next(calls: &[&Call], done: &[bool], state: &State) -> Vec<(usize, State)> {
    let left = || (0..calls.len()).filter(|call| !done[*call]);
    if left().any(|call| is_past(state, calls[call])) {
        return Vec::new();
    }
    let first_end = left().map(|call| calls[call].returned).min().unwrap_or(u64::MAX);
    let mut found = Vec::new();
    for call in left().take_while(|call| calls[*call].invoked <= first_end) {
        let after = after(state, calls[call]);
        found.extend(after.into_iter().map(|state| (call, state)));
    }
    // What ends first is tried first: it comes off the end.
    found.sort_by_key(|(call, _)| std::cmp::Reverse(calls[*call].returned));
    found
}

/// Whether a call can no longer be told what it was told: revisions only rise.
fn is_past(state: &State, call: &Call) -> bool {
    match call.outcome {
        Outcome::Written(at) => at <= state.floor,
        Outcome::Found(at, _) => {
            at <= state.floor && state.object.as_ref().is_none_or(|(revision, _)| *revision != Some(at))
        }
        _ => false,
    }
}

/// The states in which a key may be after a call that was told this; none: it cannot have been told this.
fn after(state: &State, call: &Call) -> Vec<State> {
    let wrote = |revision: Option<u64>, content: &Content| State {
        floor: revision.unwrap_or(state.floor),
        object: Some((revision, content.clone())),
    };
    let rises = |revision: &u64| *revision > state.floor;
    let gone = || State { floor: state.floor, object: None };
    let as_it_was = || vec![state.clone()];
    let only = |holds: bool, then: &dyn Fn() -> State| if holds { vec![then()] } else { Vec::new() };
    let object = state.object.as_ref();
    // Whether an update that expects this revision may happen.
    let meets = |expected: &Option<u64>| {
        object.is_some_and(|(revision, _)| match (expected, revision) {
            (Some(expected), Some(revision)) => expected == revision,
            _ => true,
        })
    };
    match (&call.op, &call.outcome) {
        (_, Outcome::Refused) => as_it_was(),
        (Op::Create(content), Outcome::Written(at)) => {
            only(object.is_none() && rises(at), &|| wrote(Some(*at), content))
        }
        (Op::Create(_), Outcome::Exists) => only(object.is_some(), &|| state.clone()),
        (Op::Update { expected, content }, Outcome::Written(at)) => {
            only(meets(expected) && rises(at), &|| wrote(Some(*at), content))
        }
        (Op::Update { expected: Some(expected), .. }, Outcome::Conflict) => {
            only(object.is_some_and(|(revision, _)| *revision != Some(*expected)), &|| state.clone())
        }
        (Op::Delete, Outcome::Deleted) => only(object.is_some(), &gone),
        (Op::Update { .. } | Op::Delete | Op::Read, Outcome::Absent) => only(object.is_none(), &|| state.clone()),
        (Op::Read, Outcome::Found(at, content)) => {
            let same = object.is_some_and(|(revision, there)| {
                there == content && revision.map_or(*at > state.floor, |revision| revision == *at)
            });
            only(same, &|| State::present(*at, content.clone()))
        }
        (op, Outcome::Unknown) => {
            let mut states = as_it_was();
            match op {
                Op::Create(content) if object.is_none() => states.push(wrote(None, content)),
                Op::Update { expected, content } if meets(expected) => states.push(wrote(None, content)),
                Op::Delete if object.is_some() => states.push(gone()),
                _ => {}
            }
            states
        }
        _ => Vec::new(),
    }
}

fn explain(calls: &[&Call], deepest: usize, stuck: &State) -> Broken {
    let mut how = format!("{} of {} calls fit; then the key held {:?}; calls:", deepest, calls.len(), stuck.object);
    for call in calls {
        how.push_str(&format!("\n  [{}..{}] {:?} -> {:?}", call.invoked, call.returned, call.op, call.outcome));
    }
    Broken::new("linearizable", format!("{}: {how}", calls.first().map_or("", |call| &call.key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(value: &str) -> Content {
        Content::new(value, "red")
    }

    fn call(span: (u64, u64), op: Op, outcome: Outcome) -> Call {
        Call { key: "k".to_owned(), op, outcome, invoked: span.0, returned: span.1 }
    }

    fn create(span: (u64, u64), value: &str, outcome: Outcome) -> Call {
        call(span, Op::Create(content(value)), outcome)
    }

    fn update(span: (u64, u64), expected: Option<u64>, value: &str, outcome: Outcome) -> Call {
        call(span, Op::Update { expected, content: content(value) }, outcome)
    }

    fn read(span: (u64, u64), found: Option<(u64, &str)>) -> Call {
        let outcome = found.map_or(Outcome::Absent, |(at, value)| Outcome::Found(at, content(value)));
        call(span, Op::Read, outcome)
    }

    #[track_caller]
    fn check(calls: &[Call], expected: bool) {
        let outcome = linearizable(&State::default(), calls);
        assert_eq!(outcome.is_ok(), expected, "{outcome:?}");
    }

    #[test]
    fn what_one_object_could_have_told_is_accepted() {
        check(&[], true);
        check(&[create((0, 1), "a", Outcome::Written(5)), read((2, 3), Some((5, "a")))], true);
        // Two at once: whichever was first.
        let race = [
            create((0, 9), "a", Outcome::Written(5)),
            create((0, 9), "b", Outcome::Exists),
            read((1, 2), None),
            read((3, 4), Some((5, "a"))),
        ];
        check(&race, true);
        let updates = [
            create((0, 1), "a", Outcome::Written(5)),
            update((2, 9), Some(5), "b", Outcome::Written(6)),
            update((2, 9), Some(5), "c", Outcome::Conflict),
            call((10, 11), Op::Delete, Outcome::Deleted),
            create((12, 13), "d", Outcome::Written(9)),
        ];
        check(&updates, true);
    }

    #[test]
    fn what_nobody_knows_may_have_happened_or_not() {
        let lost = create((0, 5), "a", Outcome::Unknown);
        check(&[lost.clone(), read((6, 7), None)], true);
        check(&[lost.clone(), read((6, 7), Some((3, "a")))], true);
        check(&[lost.clone(), read((1, 2), None), read((3, 4), Some((3, "a")))], true);
        // It cannot happen and then not have happened, nor happen after its end.
        check(&[lost.clone(), read((1, 2), Some((3, "a"))), read((3, 4), None)], false);
        check(&[lost.clone(), read((6, 7), None), read((8, 9), Some((3, "a")))], false);
        // Nor have two revisions.
        check(&[lost, read((6, 7), Some((3, "a"))), read((8, 9), Some((4, "a")))], false);
    }

    #[test]
    fn lost_and_stale_and_torn_histories_are_rejected() {
        let made = create((0, 1), "a", Outcome::Written(5));
        let changed = update((2, 3), None, "b", Outcome::Written(6));
        check(&[made.clone(), read((2, 3), None)], false);
        check(&[made.clone(), changed.clone(), read((4, 5), Some((5, "a")))], false);
        check(&[made.clone(), changed.clone(), read((4, 5), Some((7, "b")))], false);
        check(&[made.clone(), changed.clone(), read((4, 5), Some((6, "a")))], false);
        check(&[made.clone(), create((2, 3), "b", Outcome::Written(6))], false);
        check(&[made.clone(), update((2, 3), Some(5), "b", Outcome::Conflict)], false);
        check(&[made.clone(), update((2, 3), Some(4), "b", Outcome::Written(6))], false);
        check(&[made.clone(), update((2, 3), None, "b", Outcome::Written(4))], false);
        check(&[made.clone(), call((2, 3), Op::Delete, Outcome::Deleted), read((4, 5), Some((5, "a")))], false);
        // A revision is not used again after a deletion.
        let gone = call((2, 3), Op::Delete, Outcome::Deleted);
        check(&[made, gone, create((4, 5), "b", Outcome::Written(5))], false);
    }

    #[test]
    fn many_calls_at_once_are_decided_soon() {
        let mut calls = vec![create((0, 1), "0", Outcome::Written(1))];
        for n in 1..40 {
            calls.push(update((2, 1000), None, &n.to_string(), Outcome::Written(n + 1)));
        }
        calls.push(read((1001, 1002), Some((40, "39"))));
        check(&calls, true);
        calls.push(read((1003, 1004), Some((39, "38"))));
        let outcome = linearizable(&State::default(), &calls);
        assert!(outcome.is_err());
    }
}
