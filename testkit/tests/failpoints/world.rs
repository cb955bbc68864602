//! One data directory, everything that clients were ever told of it, and what of that is known to be so.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gantry_testkit::api::Client;
use gantry_testkit::history::{
    Broken, Call, Content, Op, Outcome, Replay, Sighting, State, WatchLog, check_revisions, linearizable,
};
use gantry_testkit::{Api, NoAnswer};
use serde_json::Value;

/// Resources that clients write.
pub const PLURALS: [&str; 2] = ["configmaps", "services"];
/// Names of each resource.
pub const NAMES: usize = 5;
/// Namespace of everything.
pub const NAMESPACE: &str = "/api/v1/namespaces/default";
/// What a request is given.
pub const REQUEST: Duration = Duration::from_secs(20);

/// What clients write down while they work.
pub struct Journal {
    began: Instant,
    calls: Mutex<Vec<Call>>,
    sightings: Mutex<Vec<Sighting>>,
    watches: Mutex<Vec<(&'static str, WatchLog)>>,
    values: AtomicU64,
}

impl Journal {
    fn new() -> Self {
        Journal {
            began: Instant::now(),
            calls: Mutex::default(),
            sightings: Mutex::default(),
            watches: Mutex::default(),
            values: AtomicU64::new(0),
        }
    }

    /// Nanoseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("a short test")
    }

    /// A value that was never written.
    pub fn fresh_value(&self) -> String {
        format!("v{}", self.values.fetch_add(1, Ordering::Relaxed))
    }

    pub fn call(&self, call: Call) {
        self.calls.lock().expect("the calls").push(call);
    }

    pub fn sighting(&self, sighting: Sighting) {
        self.sightings.lock().expect("the sightings").push(sighting);
    }

    pub fn watch(&self, plural: &'static str, watch: WatchLog) {
        self.watches.lock().expect("the watches").push((plural, watch));
    }
}

/// What is known for sure, from one verification to the next.
pub struct World {
    pub journal: Journal,
    states: BTreeMap<String, State>,
    floor: u64,
    replays: BTreeMap<&'static str, Replay>,
    /// Calls and watch events that were checked.
    pub checked: (usize, usize),
}

impl World {
    pub fn new() -> Self {
        World { journal: Journal::new(), states: BTreeMap::new(), floor: 0, replays: BTreeMap::new(), checked: (0, 0) }
    }

    /// The server has died: what was under way then can no longer happen.
    pub fn server_died(&self) {
        let now = self.journal.now();
        for call in self.journal.calls.lock().expect("the calls").iter_mut() {
            call.returned = call.returned.min(now);
        }
    }

    /// Reads everything back from a server that nobody else writes to, and holds all that was told against it.
    pub async fn verify(&mut self, api: &Api) -> Result<Result<(), Broken>, NoAnswer> {
        let mut client = api.client();
        for plural in PLURALS {
            if let Err(broken) = self.read_back(&mut client, api, plural).await? {
                return Ok(Err(broken));
            }
        }
        Ok(self.check())
    }

    /// Each object by its name, in the list, in the list of its color and in a new watch: all say the same.
    async fn read_back(
        &self,
        client: &mut Client,
        api: &Api,
        plural: &'static str,
    ) -> Result<Result<(), Broken>, NoAnswer> {
        let mut found = BTreeMap::new();
        for number in 0..NAMES {
            let key = key(plural, number);
            if let Some((at, content)) = read(&self.journal, client, &key).await? {
                found.insert(key, (at, content));
            }
        }
        let (_, listed) = list(&self.journal, client, plural, None).await?;
        let (_, red) = list(&self.journal, client, plural, Some("red")).await?;
        let initial = initial_events(api, plural).await?;
        let red_found: BTreeMap<_, _> = found
            .iter()
            .filter(|(_, (_, content))| content.color == "red")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for (what, shown, expected) in
            [("list", &listed, &found), ("selection", &red, &red_found), ("watch", &initial, &found)]
        {
            if shown != expected {
                let how = format!("the {what} of {plural} shows {shown:?}, reads show {expected:?}");
                return Ok(Err(Broken { promise: "fully there or fully absent", how }));
            }
        }
        Ok(Ok(()))
    }

    fn check(&mut self) -> Result<(), Broken> {
        let calls = std::mem::take(&mut *self.journal.calls.lock().expect("the calls"));
        let sightings = std::mem::take(&mut *self.journal.sightings.lock().expect("the sightings"));
        let watches = std::mem::take(&mut *self.journal.watches.lock().expect("the watches"));
        self.checked.0 += calls.len();
        self.checked.1 += watches.iter().map(|(_, watch)| watch.events.len()).sum::<usize>();
        self.floor = check_revisions(self.floor, &calls, &sightings)?;
        let mut by_key: BTreeMap<String, Vec<Call>> = BTreeMap::new();
        calls.iter().for_each(|call| by_key.entry(call.key.clone()).or_default().push(call.clone()));
        for (key, calls) in by_key {
            let state = self.states.entry(key).or_default();
            *state = linearizable(state, &calls)?;
        }
        for plural in PLURALS {
            let replay = self.replays.entry(plural).or_default();
            let watches: Vec<_> = watches.iter().filter(|(p, _)| *p == plural).map(|(_, watch)| watch).collect();
            replay.note(calls.iter().filter(|call| call.key.starts_with(plural)), watches.iter().copied())?;
            watches.into_iter().try_for_each(|watch| watch.check(replay))?;
        }
        Ok(())
    }
}

/// The key of an object.
pub fn key(plural: &str, number: usize) -> String {
    format!("{plural}/k-{number}")
}

/// Reads an object and writes down what was told.
pub async fn read(journal: &Journal, client: &mut Client, key: &str) -> Result<Option<(u64, Content)>, NoAnswer> {
    let invoked = journal.now();
    let answer = client.get(&format!("{NAMESPACE}/{key}"), REQUEST).await?;
    let (outcome, found) = match answer.code {
        200 => {
            let (at, content) = object(&answer.body);
            (Outcome::Found(at, content.clone()), Some((at, content)))
        }
        404 => (Outcome::Absent, None),
        code => panic!("reading {key}: {code} {}", answer.body),
    };
    journal.call(Call { key: key.to_owned(), op: Op::Read, outcome, invoked, returned: journal.now() });
    Ok(found)
}

/// Lists a resource, or what of it has a color.
pub async fn list(
    journal: &Journal,
    client: &mut Client,
    plural: &str,
    color: Option<&str>,
) -> Result<(u64, BTreeMap<String, (u64, Content)>), NoAnswer> {
    let invoked = journal.now();
    let answer = client.get(&format!("{NAMESPACE}/{plural}?{}", selection(color)), REQUEST).await?;
    assert_eq!(answer.code, 200, "listing {plural}: {}", answer.body);
    let revision = revision(&answer.body);
    journal.sighting(Sighting { revision, invoked, returned: journal.now() });
    let items = answer.body["items"].as_array().cloned().unwrap_or_default();
    let ours = items.iter().filter(|item| is_ours(item));
    Ok((revision, ours.map(|item| (key_of(plural, item), object(item))).collect()))
}

async fn initial_events(api: &Api, plural: &str) -> Result<BTreeMap<String, (u64, Content)>, NoAnswer> {
    let query = "watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut events = api.client().lines(&format!("{NAMESPACE}/{plural}?{query}")).await?;
    let mut shown = BTreeMap::new();
    loop {
        let event = events.next().await.ok_or_else(|| NoAnswer::Lost("the watch ended".to_owned()))?;
        match event["type"].as_str() {
            Some("ADDED") if is_ours(&event["object"]) => {
                shown.insert(key_of(plural, &event["object"]), object(&event["object"]));
            }
            Some("BOOKMARK") => return Ok(shown),
            _ => {}
        }
    }
}

/// The part of a query that selects a color.
pub fn selection(color: Option<&str>) -> String {
    color.map_or_else(String::new, |color| format!("labelSelector=color%3D{color}"))
}

/// Whether clients of this test wrote an object.
pub fn is_ours(object: &Value) -> bool {
    object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("k-"))
}

/// The key of an object as it is shown.
pub fn key_of(plural: &str, object: &Value) -> String {
    format!("{plural}/{}", object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Revision and content of an object as it is shown.
pub fn object(object: &Value) -> (u64, Content) {
    let meta = &object["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (revision(object), Content::new(text(&meta["annotations"]["value"]), text(&meta["labels"]["color"])))
}

/// The revision of an object or a list.
pub fn revision(value: &Value) -> u64 {
    let text = value["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no revision: {value}"))
}
