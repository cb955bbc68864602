//! A child process commits until it is killed; what it was told must hold.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use gantry_store::{Commit, EmbeddedStore, Sizes, Store, StoreError, Txn};

const DIRECTORY: &str = "GANTRY_STORE_CRASH_DIRECTORY";
const ROUNDS: u64 = 20;
/// Small, so that many segments come and go between two kills.
const SIZES: Sizes = Sizes { segment: 128 << 10, slack: 256 << 10, free: 0 };

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
    let store = EmbeddedStore::open_sized(Path::new(&directory), SIZES).unwrap();
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
        // With values of all sizes up to one that fills a segment soon.
        let value = format!("{n}:{}", "x".repeat((n * 7919 % 20_000) as usize));
        if n % 50 == 49 {
            store.compact(store.revision().saturating_sub(20)).await.unwrap();
        }
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
    let store = EmbeddedStore::open_sized(directory, SIZES).unwrap();
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
    // The log, as far as it goes back, tells the same story as the data.
    let mut at = store.compacted();
    let last = range.entries.iter().map(|e| e.revision).max().unwrap_or_default();
    let old = range.entries.iter().filter(|e| e.revision <= at);
    let mut replayed: BTreeMap<_, _> = old.map(|e| (e.key.clone(), (e.revision, Some(e.value.clone())))).collect();
    let mut watch = store.watch(at).unwrap();
    while at < last {
        let batch = match watch.next().await {
            Ok(batch) => batch,
            // The place itself was lost in the crash.
            Err(StoreError::Compacted { requested, compacted }) if requested == at => {
                at = compacted;
                watch = store.watch(compacted).unwrap();
                continue;
            }
            Err(error) => panic!("{error}"),
        };
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
