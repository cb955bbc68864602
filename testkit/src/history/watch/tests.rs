use super::super::{Call, Op, Outcome};
use super::EventType::{Added, Bookmark, Deleted, Modified};
use super::*;

fn event(kind: EventType, key: &str, revision: u64, color: &str) -> Event {
    Event { kind, key: key.to_owned(), revision, content: Content::new(format!("{key}{revision}"), color) }
}

fn bookmark(revision: u64) -> Event {
    Event { kind: Bookmark, key: String::new(), revision, content: Content::new("", "") }
}

fn deleted(key: &str, revision: u64, shown: u64, color: &str) -> Event {
    Event { content: Content::new(format!("{key}{shown}"), color), ..event(Deleted, key, revision, color) }
}

/// What happened: a and b are made red, a becomes blue, b is gone, c is made blue.
fn truth() -> Vec<Event> {
    vec![
        event(Added, "a", 5, "red"),
        event(Added, "b", 6, "red"),
        event(Modified, "a", 7, "blue"),
        deleted("b", 8, 6, "red"),
        event(Added, "c", 9, "blue"),
    ]
}

/// What calls and a watch of everything say happened.
fn replay(calls: &[Call], watches: &[&WatchLog]) -> Result<Replay, Broken> {
    let mut replay = Replay::default();
    replay.note(calls, watches.iter().copied())?;
    Ok(replay)
}

fn log(selected: Option<&str>, from: u64, events: Vec<Event>) -> WatchLog {
    WatchLog { selected: selected.map(str::to_owned), from, known: BTreeMap::new(), events }
}

#[track_caller]
fn check(watch: &WatchLog, expected: Result<(), &str>) {
    let everything = log(None, 4, truth());
    let known = replay(&[], &[&everything]).expect("one truth");
    let outcome = watch.check(&known);
    assert_eq!(outcome.clone().map_err(|broken| broken.promise), expected, "{outcome:?}");
}

#[test]
fn a_watch_that_tells_everything_is_accepted() {
    check(&log(None, 4, truth()), Ok(()));
    check(&log(None, 4, truth()[..2].to_vec()), Ok(()));
    let mut marked = truth();
    marked.insert(2, bookmark(6));
    marked.push(bookmark(20));
    check(&log(None, 4, marked), Ok(()));
    let red = vec![
        event(Added, "a", 5, "red"),
        event(Added, "b", 6, "red"),
        deleted("a", 7, 5, "red"),
        deleted("b", 8, 6, "red"),
        bookmark(12),
    ];
    check(&log(Some("red"), 4, red), Ok(()));
    check(&log(Some("blue"), 4, vec![event(Added, "a", 7, "blue"), event(Added, "c", 9, "blue")]), Ok(()));
}

#[test]
fn a_resumed_watch_goes_on_with_what_the_client_knew() {
    let first = log(None, 4, truth()[..2].to_vec());
    let rest = WatchLog { known: first.knows(), ..log(None, first.reached(), truth()[2..].to_vec()) };
    check(&rest, Ok(()));
    let again = WatchLog { known: first.knows(), ..log(None, first.reached(), truth()[1..].to_vec()) };
    check(&again, Err("resumable"));
    let gap = WatchLog { known: first.knows(), ..log(None, first.reached(), truth()[3..].to_vec()) };
    check(&gap, Err("reliable"));
}

#[test]
fn each_broken_promise_is_found() {
    let with = |change: &dyn Fn(&mut Vec<Event>)| {
        let mut events = truth();
        change(&mut events);
        log(None, 4, events)
    };
    check(&with(&|e| e.swap(1, 2)), Err("ordered"));
    check(&with(&|e| e.insert(1, e[0].clone())), Err("unique"));
    check(&with(&|e| drop(e.remove(2))), Err("reliable"));
    check(&with(&|e| e[2].kind = Added), Err("type"));
    check(&with(&|e| e[0].kind = Modified), Err("type"));
    check(&with(&|e| e.insert(3, bookmark(5))), Err("bookmarkable"));
    check(&with(&|e| e.insert(1, bookmark(7))), Err("bookmarkable"));
    check(&with(&|e| e.insert(4, event(Modified, "c", 8, "red"))), Err("reliable"));
    // A bookmark says that everything up to it was told.
    check(&log(None, 4, [&truth()[..4], &[bookmark(9)]].concat()), Err("reliable"));
    check(&log(Some("red"), 4, vec![event(Added, "a", 7, "blue")]), Err("filter"));
    check(&log(Some("blue"), 4, vec![event(Modified, "a", 7, "blue")]), Err("type"));
    check(&log(Some("blue"), 4, vec![bookmark(8)]), Err("reliable"));
}

#[test]
fn a_revision_with_two_changes_is_told_whole() {
    let all = vec![event(Added, "a", 5, "red"), event(Added, "b", 5, "red"), event(Added, "c", 6, "red")];
    let known = replay(&[], &[&log(None, 4, all.clone())]).expect("one truth");
    assert_eq!(log(None, 4, all.clone()).check(&known), Ok(()));
    // Cut off in the middle of the last revision.
    assert_eq!(log(None, 4, all[..1].to_vec()).check(&known), Ok(()));
    let torn = log(None, 4, vec![all[0].clone(), all[2].clone()]).check(&known);
    assert_eq!(torn.map_err(|broken| broken.promise), Err("atomic"));
}

#[test]
fn two_watches_that_disagree_are_found() {
    let other = log(None, 4, vec![event(Added, "a", 5, "blue")]);
    let known = replay(&[], &[&log(None, 4, truth()), &other]);
    assert_eq!(known.map(drop).map_err(|broken| broken.promise), Err("all are told the same"));
}

#[test]
fn an_acknowledged_write_that_no_watch_tells_is_found() {
    let op = Op::Create(Content::new("d10", "red"));
    let call = Call { key: "d".to_owned(), op, outcome: Outcome::Written(10), invoked: 0, returned: 1 };
    let watch = log(None, 4, [truth(), vec![bookmark(12)]].concat());
    let known = replay(&[call], &[&watch]).expect("one truth");
    assert_eq!(watch.check(&known).map_err(|broken| broken.promise), Err("reliable"));
}
