//! Clients that write at once, and watches that are broken off and resumed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_testkit::api::{Answer, Client};
use gantry_testkit::history::{Call, Content, Event, EventType, Op, Outcome, Sighting, WatchLog};
use gantry_testkit::{Api, NoAnswer};
use http::Method;
use serde_json::{Value, json};

use super::world::{
    NAMES, NAMESPACE, PLURALS, REQUEST, World, is_ours, key, key_of, list, object, read, revision, selection,
};

/// Numbers that look random, from a seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// For other dice.
    pub fn seed(&mut self) -> u64 {
        self.roll(1 << 30) as u64
    }

    /// Below `bound`.
    pub fn roll(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// Writes and reads until the server no longer answers.
pub async fn write(world: Arc<World>, api: Api, seed: u64) {
    let (mut dice, mut client) = (Dice::new(seed), api.client());
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    loop {
        let plural = PLURALS[usize::from(dice.roll(4) == 0)];
        let key = key(plural, dice.roll(NAMES));
        let done = match dice.roll(10) {
            0 => read(&world.journal, &mut client, &key).await.map(|found| found.map(|(at, _)| at)),
            _ => change(&world, &mut client, &mut dice, &key, seen.get(&key).copied()).await,
        };
        match done {
            Ok(Some(at)) => drop(seen.insert(key, at)),
            Ok(None) => drop(seen.remove(&key)),
            Err(_) => return,
        }
    }
}

/// One write; returns the object's revision where that is known.
async fn change(
    world: &World,
    client: &mut Client,
    dice: &mut Dice,
    key: &str,
    seen: Option<u64>,
) -> Result<Option<u64>, NoAnswer> {
    let content = Content::new(world.journal.fresh_value(), ["red", "blue"][dice.roll(2)]);
    let path = format!("{NAMESPACE}/{key}");
    let is_service = key.starts_with("services");
    let (op, method, path, body) = match dice.roll(9) {
        0..=2 => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
            (Op::Create(content.clone()), Method::POST, folder, Some(body(key, &content, None, dice)))
        }
        3 => (Op::Delete, Method::DELETE, path, None),
        4 | 5 if seen.is_some() && !is_service => {
            let op = Op::Update { expected: seen, content: content.clone() };
            (op, Method::PUT, path, Some(body(key, &content, seen, dice)))
        }
        6 if !is_service => {
            let op = Op::Update { expected: None, content: content.clone() };
            (op, Method::PUT, path, Some(body(key, &content, None, dice)))
        }
        number => {
            let expected = seen.filter(|_| number % 2 == 0);
            let mut patch =
                json!({"metadata": {"labels": {"color": content.color}, "annotations": {"value": content.value}}});
            if let Some(expected) = expected {
                patch["metadata"]["resourceVersion"] = json!(expected.to_string());
            }
            (Op::Update { expected, content }, Method::PATCH, path, Some(patch))
        }
    };
    let invoked = world.journal.now();
    let answer = client.ask(method, &path, body.as_ref(), REQUEST).await;
    let (outcome, returned) = match &answer {
        Err(NoAnswer::NotSent(_)) => return Err(answer.expect_err("no answer")),
        Err(NoAnswer::Lost(_)) => (Outcome::Unknown, u64::MAX),
        Ok(answer) => match outcome(&op, answer) {
            Outcome::Unknown => (Outcome::Unknown, u64::MAX),
            outcome => (outcome, world.journal.now()),
        },
    };
    let at = if let Outcome::Written(at) = outcome { Some(at) } else { None };
    world.journal.call(Call { key: key.to_owned(), op, outcome, invoked, returned });
    answer.map(|_| at)
}

fn body(key: &str, content: &Content, expected: Option<u64>, dice: &mut Dice) -> Value {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let mut body = json!({"apiVersion": "v1", "metadata": {
        "name": name, "labels": {"color": content.color}, "annotations": {"value": content.value}}});
    if let Some(expected) = expected {
        body["metadata"]["resourceVersion"] = json!(expected.to_string());
    }
    if key.starts_with("services") {
        // One write of several keys: the service and what is allocated for it.
        body["spec"] = json!({"selector": {"app": name}, "ports": [{"port": 80}]});
        body["spec"]["type"] = json!(["ClusterIP", "NodePort"][dice.roll(2)]);
    } else {
        body["data"] = json!({"filling": "x".repeat(dice.roll(2000))});
    }
    body
}

fn outcome(op: &Op, answer: &Answer) -> Outcome {
    match (answer.code, op) {
        (200 | 201, Op::Delete) => Outcome::Deleted,
        (200 | 201, _) => Outcome::Written(revision(&answer.body)),
        (404, _) => Outcome::Absent,
        (409, Op::Create(_)) if answer.body["reason"] == "AlreadyExists" => Outcome::Exists,
        (409, Op::Update { expected: Some(_), .. }) => Outcome::Conflict,
        (400..=499 | 507, _) => Outcome::Refused,
        _ => Outcome::Unknown,
    }
}

/// A watch as its client keeps it, over all its connections.
#[derive(Clone)]
pub struct Watcher {
    plural: &'static str,
    log: Option<WatchLog>,
    selected: Option<&'static str>,
}

impl Watcher {
    pub fn new(plural: &'static str, selected: Option<&'static str>) -> Self {
        Watcher { plural, log: None, selected }
    }

    /// Watches until the server no longer answers.
    pub async fn follow(mut self, world: Arc<World>, api: Api, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        while self.connect(&world, &api, &mut dice).await.is_ok() {}
        self
    }

    /// One connection, which the client ends after some events.
    async fn connect(&mut self, world: &World, api: &Api, dice: &mut Dice) -> Result<(), NoAnswer> {
        let mut log = match &self.log {
            Some(last) => WatchLog { from: last.reached(), known: last.knows(), events: Vec::new(), ..last.clone() },
            None => {
                let (from, known) = list(&world.journal, &mut api.client(), self.plural, self.selected).await?;
                WatchLog { selected: self.selected.map(str::to_owned), from, known, events: Vec::new() }
            }
        };
        let query =
            format!("watch=1&allowWatchBookmarks=true&resourceVersion={}&{}", log.from, selection(self.selected));
        let mut events = api.client().lines(&format!("{NAMESPACE}/{}?{query}", self.plural)).await?;
        let end = 5 + dice.roll(100);
        let told = loop {
            let invoked = world.journal.now();
            let Some(event) = events.next().await else { break Err(NoAnswer::Lost("it ended".to_owned())) };
            let object_shown = &event["object"];
            let kind = match event["type"].as_str() {
                Some("ADDED") => EventType::Added,
                Some("MODIFIED") => EventType::Modified,
                Some("DELETED") => EventType::Deleted,
                Some("BOOKMARK") => EventType::Bookmark,
                _ => {
                    assert_eq!(object_shown["code"], 410, "{event}");
                    // Too long ago: the client lists anew.
                    world.journal.watch(self.plural, log);
                    self.log = None;
                    return Ok(());
                }
            };
            if kind == EventType::Bookmark {
                let revision = revision(object_shown);
                let content = Content::new("", "");
                log.events.push(Event { kind, key: String::new(), revision, content });
                world.journal.sighting(Sighting { revision, invoked: 0, returned: world.journal.now().max(invoked) });
            } else if is_ours(object_shown) {
                let (revision, content) = object(object_shown);
                log.events.push(Event { kind, key: key_of(self.plural, object_shown), revision, content });
            }
            if log.events.len() > end {
                break Ok(());
            }
        };
        self.log = Some(log.clone());
        world.journal.watch(self.plural, log);
        told
    }
}

/// Keeps controllers and scheduler busy: a deployment that is scaled and changed.
pub async fn churn(api: Api, seed: u64) {
    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
    let (mut dice, mut client) = (Dice::new(seed), api.client());
    loop {
        let labels = json!({"app": "churn"});
        let container = json!({"name": "c", "image": "example.com/none:1", "env": [{"name": "A", "value": dice.roll(1000).to_string()}]});
        let spec = json!({"replicas": dice.roll(5), "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}});
        let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "churn"}, "spec": spec});
        let scale = json!({"spec": spec});
        let done = match dice.roll(3) {
            0 => client.ask(Method::POST, DEPLOYMENTS, Some(&body), REQUEST).await,
            _ => client.ask(Method::PATCH, &format!("{DEPLOYMENTS}/churn"), Some(&scale), REQUEST).await,
        };
        if done.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
