//! Clients that read and write through every server all the time, and remember what they were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gantry_testkit::history::{Call, Content, Op, Outcome, State, linearizable};
use gantry_testkit::{Answer, Caller, Servers, wait_for};
use serde_json::{Value, json};

pub const MAPS: &str = "/api/v1/namespaces/default/configmaps";
/// Clients of each server.
const CLIENTS: usize = 2;
/// Objects that they quarrel about in one phase.
const KEYS: u64 = 6;
/// Pause between two calls of a client.
const PAUSE: Duration = Duration::from_millis(15);
/// Pause after a call that came to nothing.
const REST: Duration = Duration::from_millis(100);
/// How soon writes go on, whatever happened.
pub const SOON: Duration = Duration::from_secs(5);

struct Shared {
    began: Instant,
    stop: AtomicBool,
    phase: AtomicU64,
    calls: Mutex<Vec<Call>>,
    /// For each server, when the last acknowledged write through it was asked for, in nanoseconds.
    acknowledged: Vec<AtomicU64>,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a short test")
    }
}

/// The clients.
pub struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// Starts some clients for each server.
    pub fn start(servers: &Servers) -> Self {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            phase: AtomicU64::new(0),
            calls: Mutex::default(),
            acknowledged: (0..servers.count()).map(|_| AtomicU64::new(0)).collect(),
        });
        let clients = (0..servers.count() * CLIENTS).map(|number| {
            let server = number % servers.count();
            let client = Client {
                shared: shared.clone(),
                server,
                caller: servers.caller(server),
                number,
                random: 0x9e37_79b9_7f4a_7c15 ^ number as u64,
                written: 0,
                seen: BTreeMap::new(),
            };
            std::thread::spawn(move || client.run())
        });
        let threads = clients.collect();
        Writers { shared, threads }
    }

    /// Begins a phase: other objects, so that what is to be checked stays small. Waits until writes pass through all
    /// of these servers.
    pub fn begin(&self, through: &[usize]) {
        self.shared.phase.fetch_add(1, Ordering::Relaxed);
        self.go_on(through, "before anything happens", Duration::from_secs(30));
    }

    /// Waits until a write that is asked for from now on is acknowledged through each of these servers.
    pub fn go_on(&self, through: &[usize], when: &str, within: Duration) -> Duration {
        let since = self.shared.now();
        wait_for(&format!("writes go on {when}"), within, || {
            let late = through.iter().find(|s| self.shared.acknowledged[**s].load(Ordering::Relaxed) <= since);
            late.map_or(Ok(()), |server| Err(format!("none through server {server}")))
        })
    }

    /// Ends the clients, and checks for each object that one object could have told all of them what they were told.
    pub fn stop_and_check(self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client");
        }
        let mut keys: BTreeMap<String, Vec<Call>> = BTreeMap::new();
        for call in self.shared.calls.lock().expect("the calls").drain(..) {
            keys.entry(call.key.clone()).or_default().push(call);
        }
        let (calls, unknown) = keys.values().flatten().fold((0, 0), |(calls, unknown), call| {
            (calls + 1, unknown + usize::from(call.outcome == Outcome::Unknown))
        });
        eprintln!("{calls} calls about {} objects, {unknown} of unknown outcome", keys.len());
        for (key, calls) in keys {
            if let Err(broken) = linearizable(&State::default(), &calls) {
                panic!("{key}: {broken}");
            }
        }
    }
}

struct Client {
    shared: Arc<Shared>,
    server: usize,
    caller: Caller,
    number: usize,
    random: u64,
    written: u64,
    /// Revisions that this client was told last.
    seen: BTreeMap<String, u64>,
}

impl Client {
    fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let useful = self.call();
            std::thread::sleep(if useful { PAUSE } else { REST });
        }
    }

    /// One call; false when it came to nothing.
    fn call(&mut self) -> bool {
        let key = format!("p{}-{}", self.shared.phase.load(Ordering::Relaxed), self.draw() % KEYS);
        let op = self.choose(&key);
        let invoked = self.shared.now();
        let answer = self.ask(&key, &op);
        let outcome = outcome(&op, answer);
        let returned = if outcome == Outcome::Unknown { u64::MAX } else { self.shared.now() };
        if let Outcome::Written(revision) | Outcome::Found(revision, _) = &outcome {
            self.seen.insert(key.clone(), *revision);
        }
        if matches!(outcome, Outcome::Written(_) | Outcome::Deleted) {
            self.shared.acknowledged[self.server].fetch_max(invoked, Ordering::Relaxed);
        }
        let useful = !matches!(outcome, Outcome::Refused | Outcome::Unknown);
        // What was refused says nothing of the object, nor does a read without an answer.
        if useful || (outcome == Outcome::Unknown && op != Op::Read) {
            self.shared.calls.lock().expect("the calls").push(Call { key, op, outcome, invoked, returned });
        }
        useful
    }

    fn draw(&mut self) -> u64 {
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }

    fn choose(&mut self, key: &str) -> Op {
        match self.draw() % 10 {
            0..4 => Op::Read,
            4 => Op::Delete,
            5..7 => Op::Create(self.content()),
            7 => Op::Update { expected: None, content: self.content() },
            _ => Op::Update { expected: self.seen.get(key).copied(), content: self.content() },
        }
    }

    fn content(&mut self) -> Content {
        self.written += 1;
        Content::new(format!("{}-{}", self.number, self.written), "")
    }

    fn ask(&mut self, key: &str, op: &Op) -> Answer {
        let body = |content: &Content, revision: Option<u64>| {
            let mut meta = json!({"name": key});
            if let Some(revision) = revision {
                meta["resourceVersion"] = Value::from(revision.to_string());
            }
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": content.value}})
        };
        let path = format!("{MAPS}/{key}");
        match op {
            Op::Create(content) => self.caller.ask("POST", MAPS, Some(&body(content, None))),
            Op::Update { expected, content } => self.caller.ask("PUT", &path, Some(&body(content, *expected))),
            Op::Delete => self.caller.ask("DELETE", &path, None),
            Op::Read => self.caller.ask("GET", &path, None),
        }
    }
}

fn outcome(op: &Op, answer: Answer) -> Outcome {
    let (code, body) = match answer {
        Answer::Told(code, body) => (code, body),
        Answer::NotSent(_) => return Outcome::Refused,
        Answer::Lost(_) => return Outcome::Unknown,
    };
    let revision = || body["metadata"]["resourceVersion"].as_str().and_then(|r| r.parse().ok()).expect("a revision");
    match (code, op) {
        (200, Op::Read) => {
            Outcome::Found(revision(), Content::new(body["data"]["value"].as_str().expect("a value"), ""))
        }
        (200, Op::Delete) => Outcome::Deleted,
        (200 | 201, _) => Outcome::Written(revision()),
        (404, _) => Outcome::Absent,
        (409, Op::Create(_)) => Outcome::Exists,
        (409, Op::Update { expected: Some(_), .. }) => Outcome::Conflict,
        (409 | 429 | 503 | 507, _) => Outcome::Refused,
        (500 | 504, _) => Outcome::Unknown,
        other => panic!("an answer that nobody expects: {other:?} {body}"),
    }
}
