use super::*;
use crate::manifest::sample;

fn hourly() -> Schedule {
    let recipients = vec![age::x25519::Identity::generate().to_public().to_string()];
    Schedule { every_seconds: 3600, keep: 2, to: "/backups".to_owned(), access: None, recipients }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

fn made_at(second: i64) -> Record {
    let mut record = Record::default();
    record.succeeded(Success { at: at(second), name: "x".to_owned(), revision: 1, size_bytes: 1 }, Ok(()));
    record
}

fn check(record: &Record, second: i64, waited: Option<u64>, expected: bool) {
    assert_eq!(hourly().is_due(record, at(second), waited.map(Duration::from_secs)), expected, "{record:?} {second}");
}

#[test]
fn the_first_is_made_at_once_and_missed_ones_once() {
    check(&Record::default(), 0, None, true);
    check(&made_at(0), 3599, None, false);
    check(&made_at(0), 3600, None, true);
    // A day without a server: one, and then the next an hour later.
    check(&made_at(0), 86_400, None, true);
    check(&made_at(86_400), 86_401, None, false);
}

#[test]
fn a_clock_that_is_set_back_holds_nothing_up() {
    check(&made_at(7200), 0, Some(3599), false);
    check(&made_at(7200), 0, Some(3600), true);
}

#[test]
fn failures_are_tried_again_later_and_later() {
    let mut record = made_at(0);
    for (failures, pause) in [(1, 10), (2, 20), (3, 40), (20, 3600)] {
        record.failed(Failure { at: at(3600), why: "full".to_owned() });
        record.failures_in_a_row = failures;
        check(&record, 3600 + pause - 1, None, false);
        check(&record, 3600 + pause, None, true);
    }
    record.succeeded(Success { at: at(9000), name: "y".to_owned(), revision: 2, size_bytes: 1 }, Ok(()));
    assert_eq!((record.failures_in_a_row, record.failures), (0, 4));
    check(&record, 9001, None, false);
}

fn listed(name: &str, revision: u64, scheduled: bool, cluster: &str) -> Listed {
    let mut manifest = sample();
    manifest.head = crate::Head { revision, scheduled, cluster_id: cluster.to_owned(), ..manifest.head };
    Listed { name: name.to_owned(), size_bytes: 1, found: Ok(manifest) }
}

fn damaged(name: &str) -> Listed {
    Listed { name: name.to_owned(), size_bytes: 1, found: Err(BackupError::damaged(name, "cut")) }
}

#[test]
fn old_ones_go_but_only_our_own_good_ones() {
    let all = [
        listed("c", 3, true, "us"),
        listed("a", 1, true, "us"),
        listed("by hand", 1, false, "us"),
        listed("theirs", 9, true, "them"),
        damaged("bad"),
        listed("b", 2, true, "us"),
    ];
    assert_eq!(hourly().surplus(&all, "us"), ["a"]);
    assert_eq!(hourly().surplus(&all, "them"), Vec::<String>::new());
    let one = Schedule { keep: 0, ..hourly() };
    assert_eq!(one.surplus(&[damaged("newer"), listed("last", 1, true, "us")], "us"), Vec::<String>::new());
}

#[test]
fn what_could_never_work_is_refused() {
    hourly().check().unwrap();
    let refused = |schedule: Schedule| schedule.check().unwrap_err().to_string();
    assert!(refused(Schedule { every_seconds: 0, ..hourly() }).contains("--every"));
    assert!(refused(Schedule { keep: 0, ..hourly() }).contains("--keep"));
    assert!(refused(Schedule { to: "here".to_owned(), ..hourly() }).contains("absolute"));
    assert!(refused(Schedule { to: "s3://x/y".to_owned(), ..hourly() }).contains("AWS_ACCESS_KEY_ID"));
    assert!(refused(Schedule { recipients: Vec::new(), ..hourly() }).contains("recipients"));
}

#[test]
fn secrets_are_not_shown() {
    let access = S3Access {
        access_key: "AKIA".to_owned(),
        secret_key: "hush".to_owned(),
        session_token: Some("hush too".to_owned()),
        ..S3Access::default()
    };
    let shown = Schedule { access: Some(access), ..hourly() }.redacted();
    let text = serde_json::to_string(&shown).unwrap();
    assert!(!text.contains("hush") && text.contains("AKIA"), "{text}");
}
