use std::fs;

use super::read::{Options, Reader};
use super::*;

const LOG: &str = "2026-01-01T00:00:01.5Z stdout F one\n\
    2026-01-01T00:00:02Z stderr P tw\n\
    2026-01-01T00:00:02Z stderr F o\n\
    2026-01-01T00:00:03Z stdout F three\n";

fn read(options: Options) -> String {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("0.log");
    fs::write(&log, LOG).unwrap();
    let mut reader = Reader::open(&log, options).unwrap();
    let mut all = Vec::new();
    loop {
        let piece = reader.next().unwrap();
        if piece.is_empty() {
            return String::from_utf8(all).unwrap();
        }
        all.extend(piece);
    }
}

#[test]
fn what_is_wanted_of_a_log() {
    let plain = Options::default;
    assert_eq!(read(plain()), "one\ntwo\nthree\n");
    assert_eq!(read(Options { tail: Some(1), ..plain() }), "three\n");
    assert_eq!(read(Options { tail: Some(0), ..plain() }), "");
    assert_eq!(read(Options { tail: Some(99), ..plain() }), "one\ntwo\nthree\n");
    assert_eq!(read(Options { limit: Some(5), ..plain() }), "one\nt");
    let since = "2026-01-01T00:00:03Z".parse().unwrap();
    assert_eq!(read(Options { since: Some(since), ..plain() }), "three\n");
    let timed = "2026-01-01T00:00:01.5Z one\n2026-01-01T00:00:02Z two\n2026-01-01T00:00:03Z three\n";
    assert_eq!(read(Options { timestamps: true, ..plain() }), timed);
}

#[test]
fn a_followed_log_is_read_on_after_it_was_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("0.log");
    fs::write(&log, "2026-01-01T00:00:01Z stdout F a\n").unwrap();
    let mut reader = Reader::open(&log, Options { follow: true, ..Options::default() }).unwrap();
    assert_eq!(reader.next().unwrap(), b"a\n");
    assert_eq!(reader.next().unwrap(), b"");
    fs::rename(&log, folder.path().join("0.log.1")).unwrap();
    fs::write(&log, "2026-01-01T00:00:02Z stdout F b\n").unwrap();
    assert_eq!(reader.next().unwrap(), b"b\n");
}

#[test]
fn large_logs_move_away_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("0.log");
    fs::write(&log, "small").unwrap();
    assert!(!rotate::move_away(&log));
    for age in 1..=6 {
        fs::write(folder.path().join(format!("0.log.2000010{age}-000000")), "").unwrap();
    }
    let file = fs::File::create(&log).unwrap();
    file.set_len(crate::limits::LOG_BYTES + 1).unwrap();
    assert!(rotate::move_away(&log));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), crate::limits::LOG_FILES - 1);
    assert!(!folder.path().join("0.log.20000103-000000").exists());
}

#[test]
fn the_end_of_a_log_is_a_message() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("0.log");
    fs::write(&log, LOG).unwrap();
    assert_eq!(last_words(&log, 10), "two\nthree\n");
    assert_eq!(last_words(&folder.path().join("none"), 10), "");
}
