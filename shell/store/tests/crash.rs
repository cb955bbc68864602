//! A child process commits until it is killed, or until the system refuses to write; what it was told must hold.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, Store, StoreError, Txn};

const DIRECTORY: &str = "GANTRY_STORE_CRASH_DIRECTORY";
const ROUNDS: u64 = 20;

fn say(line: std::fmt::Arguments) {
    let mut out = std::io::stdout().lock();
    // The parent may have closed its end.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn put(key: &str, value: String, durable: bool) -> Txn {
    Txn { writes: vec![(Bytes::from(key.to_owned()), Some(Bytes::from(value)))], durable, ..Txn::default() }
}

/// Does nothing unless it runs as the child of `every_acknowledged_write_survives_kill_9`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_commits_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = EmbeddedStore::open(Path::new(&directory)).unwrap();
    say(format_args!("opened {}", store.revision()));
    let mut watch = store.watch(store.revision()).unwrap();
    tokio::spawn(async move {
        while let Ok(batch) = watch.next().await {
            say(format_args!("watched {}", batch.revision));
        }
    });
    let workers: Vec<_> = (0..4).map(|worker| tokio::spawn(commit_for_ever(store.clone(), worker))).collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn commit_for_ever(store: EmbeddedStore, worker: u64) {
    for n in 0.. {
        let key = format!("/{worker}/{}", n % 7);
        // With values of all sizes up to one that fills a memtable soon.
        let value = format!("{n}:{}", "x".repeat((n * 7919 % 20_000) as usize));
        match store.commit(put(&key, value, n % 3 != 0)).await {
            Ok(Commit::Done(revision)) => say(format_args!("acked {revision} {key} {n}")),
            other => panic!("{other:?}"),
        }
    }
}

/// What the child said: the highest revision anybody saw, and per key the last acknowledged write.
#[derive(Default)]
struct Heard {
    highest: u64,
    acked: BTreeMap<String, (u64, String)>,
    lines: u64,
}

impl Heard {
    fn hear(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let revision = match words[..] {
            ["opened" | "watched", revision] => revision.parse().unwrap(),
            ["acked", revision, key, n] => {
                let revision = revision.parse().unwrap();
                let last = self.acked.entry(key.to_owned()).or_default();
                *last = (*last).clone().max((revision, n.to_owned()));
                revision
            }
            _ => return,
        };
        self.highest = self.highest.max(revision);
        self.lines += 1;
    }
}

fn run_and_kill(directory: &Path, heard: &mut Heard, lines: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_commits_until_it_is_killed", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let until = heard.lines + lines;
    while heard.lines < until {
        heard.hear(&output.next().expect("the child went on until it was killed").unwrap());
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What it had said before it died counts, too; the last line may be half a line.
    for line in output.map_while(Result::ok) {
        if line.split(' ').count() == 4 || line.starts_with("watched") {
            heard.hear(&line);
        }
    }
}

async fn check(directory: &Path, heard: &mut Heard) {
    let store = EmbeddedStore::open(directory).unwrap();
    assert!(store.revision() >= heard.highest, "{} went back from {}", store.revision(), heard.highest);
    let range = store.range("/".into()).await.unwrap();
    let found: BTreeMap<_, _> =
        range.entries.iter().map(|e| (String::from_utf8_lossy(&e.key).into_owned(), e)).collect();
    for (key, (revision, n)) in &heard.acked {
        let entry = found.get(key).unwrap_or_else(|| panic!("{key} acked at {revision} is gone"));
        assert!(entry.revision >= *revision, "{key} is at {}, acked was {revision}", entry.revision);
        if entry.revision == *revision {
            assert!(entry.value.starts_with(format!("{n}:").as_bytes()));
        }
    }
    // The log tells the same story as the data.
    let mut watch = store.watch(0).unwrap();
    let mut replayed = BTreeMap::new();
    let mut at = 0;
    let last = range.entries.iter().map(|e| e.revision).max().unwrap_or_default();
    while at < last {
        let batch = watch.next().await.unwrap();
        assert!(batch.revision > at);
        at = batch.revision;
        for change in &batch.changes {
            replayed.insert(change.key.clone(), (at, change.value.clone()));
        }
    }
    let data: BTreeMap<_, _> =
        range.entries.iter().map(|e| (e.key.clone(), (e.revision, Some(e.value.clone())))).collect();
    assert!(replayed == data, "log and data differ");
    heard.highest = heard.highest.max(store.revision());
}

#[tokio::test]
async fn every_acknowledged_write_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    for round in 0..ROUNDS {
        run_and_kill(directory.path(), &mut heard, 1 + round * round * 7919 % 400);
        check(directory.path(), &mut heard).await;
    }
    assert!(heard.acked.len() > 20);
}

/// Does nothing unless it runs as the child of `a_failed_write_stops_all_later_ones`.
#[tokio::test]
async fn child_runs_into_a_file_size_limit() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = EmbeddedStore::open(Path::new(&directory)).unwrap();
    let mut acked = 0;
    let first = loop {
        match store.commit(put("/a", "x".repeat(1000), true)).await {
            Ok(Commit::Done(revision)) => acked = revision,
            other => break other,
        }
    };
    assert!(matches!(first, Err(StoreError::Poisoned { .. })), "{first:?}");
    let later = store.commit(put("/b", String::new(), true)).await;
    assert!(matches!(later, Err(StoreError::Poisoned { .. })), "{later:?}");
    assert_eq!(store.range("/".into()).await.unwrap().revision, acked);
    say(format_args!("acked {acked} /a 0"));
}

#[tokio::test]
async fn a_failed_write_stops_all_later_ones() {
    let directory = tempfile::tempdir().unwrap();
    drop(EmbeddedStore::open(directory.path()).unwrap());
    // The journal of a reopened store grows from its end, so a limit on file sizes stops it in the middle.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 400; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "child_runs_into_a_file_size_limit", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{output}\n{}", String::from_utf8_lossy(&child.stderr));
    let mut heard = Heard::default();
    output.lines().for_each(|line| heard.hear(line));
    assert_eq!(heard.acked.len(), 1);
    let store = EmbeddedStore::open(directory.path()).unwrap();
    let range = store.range("/".into()).await.unwrap();
    assert!(range.entries[0].revision >= heard.acked["/a"].0);
}
