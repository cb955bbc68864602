//! Controllers that are killed between any two writes, that are not told of a change, and that decide on a view
//! that lags behind: it always ends as it would have without.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gantry_kinds::{
    CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, ENDPOINTS, KindRef, NAMESPACE, NODE, POD, REPLICA_SET, SERVICE,
    SERVICE_ACCOUNT,
};
use gantry_view::{Change, Intent, Object, ObjectKey, Turn, View};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::harness::World;
use crate::pod_facts::{PodFacts, is_active};
use crate::{Controller, QueueKey, Settings, all, check, converged};

const KINDS: [KindRef; 10] = [
    &NAMESPACE,
    &NODE,
    &DEPLOYMENT,
    &REPLICA_SET,
    &POD,
    &SERVICE,
    &ENDPOINT_SLICE,
    &ENDPOINTS,
    &CONFIG_MAP,
    &SERVICE_ACCOUNT,
];
/// Turns after which something that should come to its end does not.
const TURNS_MAX: usize = 20_000;
/// The largest size that any scenario asks for, and the surge.
const ACTIVE_MAX: usize = 4 + 1;

/// What somebody does to a cluster in which all is done.
type Deed = fn(&mut World);

const DEEDS: [(&str, Deed); 8] = [
    ("nothing", |_| ()),
    ("a new image", |world| world.merge(&deployment(), json!({"spec": {"template": template("v2")}}))),
    ("more", |world| world.merge(&deployment(), json!({"spec": {"replicas": 4}}))),
    ("fewer", |world| world.merge(&deployment(), json!({"spec": {"replicas": 1}}))),
    ("a deletion", |world| delete(world, &deployment(), "Background")),
    ("a deletion in the foreground", |world| delete(world, &deployment(), "Foreground")),
    ("a Service less", |world| delete(world, &ObjectKey::new(&SERVICE, "web", "svc"), "Background")),
    ("a namespace less", |world| delete(world, &ObjectKey::new(&NAMESPACE, "", "web"), "Background")),
];

fn deployment() -> ObjectKey {
    ObjectKey::new(&DEPLOYMENT, "web", "d")
}

fn template(image: &str) -> Value {
    let container = json!({"name": "c", "image": image});
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})
}

fn delete(world: &mut World, key: &ObjectKey, propagation: &'static str) {
    let uid = world.view.at(key).unwrap().uid().to_owned();
    let key = key.clone();
    let propagation = Some(propagation);
    world.carry_out(&Intent::Delete { key, uid, revision: None, propagation, grace_seconds: None }).unwrap();
}

/// A cluster in which somebody has asked for a Deployment and a Service, and nothing has happened yet.
fn asked() -> World {
    let mut world = World::new();
    for name in ["default", "web"] {
        world.put(&NAMESPACE, json!({"metadata": {"name": name}, "spec": {"finalizers": ["kubernetes"]}}));
    }
    let ready = json!([{"type": "Ready", "status": "True"}]);
    world.put(&NODE, json!({"metadata": {"name": "n1"}, "spec": {}, "status": {"conditions": ready}}));
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "strategy": strategy,
        "progressDeadlineSeconds": 600, "revisionHistoryLimit": 3, "template": template("v1")});
    world.put(&DEPLOYMENT, json!({"metadata": {"name": "d", "namespace": "web"}, "spec": spec}));
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
    world.put(&SERVICE, json!({"metadata": {"name": "svc", "namespace": "web"}, "spec": spec}));
    world
}

/// All controllers at work on one cluster.
struct Run {
    world: World,
    parts: Vec<Box<dyn Controller>>,
    queue: BTreeSet<(usize, QueueKey)>,
    /// What the controllers see.
    seen: View,
    /// What they have not seen yet, oldest first.
    pending: VecDeque<Change>,
    /// The revision of the last write of each key, from which on it is looked at again.
    written: BTreeMap<(usize, QueueKey), u64>,
    /// By how many changes their view lags behind.
    lag: usize,
    /// The change of which they are not told.
    hidden: Option<usize>,
    changes: usize,
    writes: usize,
    addresses: u16,
}

impl Run {
    fn of(mut world: World) -> Self {
        world.changes.clear();
        let mut run = Run {
            world,
            parts: Vec::new(),
            queue: BTreeSet::new(),
            seen: View::new(),
            pending: VecDeque::new(),
            written: BTreeMap::new(),
            lag: 0,
            hidden: None,
            changes: 0,
            writes: 0,
            addresses: 0,
        };
        run.start();
        run
    }

    /// A cluster in which all is done, and then `deed`.
    fn after(deed: Deed) -> Self {
        let mut run = Run::of(asked());
        run.finish();
        deed(&mut run.world);
        (run.changes, run.writes) = (0, 0);
        run
    }

    /// Controllers that know nothing but the view.
    fn start(&mut self) {
        let objects = KINDS.iter().flat_map(|kind| self.world.view.list(kind, None)).cloned().collect();
        self.seen = View::load(objects, self.world.view.revision());
        self.pending.clear();
        self.written.clear();
        self.world.changes.clear();
        self.parts = all(&Settings::new("", Vec::new(), 6443));
        let keys = self.parts.iter().map(|part| part.initial(&self.seen)).enumerate();
        self.queue = keys.flat_map(|(at, keys)| keys.into_iter().map(move |key| (at, key))).collect();
    }

    /// Tells the controllers of the next change.
    fn tell(&mut self) -> bool {
        let Some(change) = self.pending.pop_front() else { return false };
        let change = self.seen.apply(change.key.clone(), change.after.clone(), change.revision).unwrap_or(change);
        self.changes += 1;
        if self.hidden != Some(self.changes) {
            for (at, part) in self.parts.iter().enumerate() {
                let mut keys = Vec::new();
                part.keys(&change, &self.seen, &mut keys);
                self.queue.extend(keys.into_iter().map(|key| (at, key)));
            }
        }
        true
    }

    /// Runs until `writes` were made, or nothing is left to do. Returns whether something was left.
    fn run(&mut self, writes: usize) -> bool {
        for _ in 0..TURNS_MAX {
            self.pending.extend(self.world.changes.drain(..));
            while self.pending.len() > self.lag {
                self.tell();
            }
            let revision = self.seen.revision();
            let next = self.queue.iter().find(|entry| self.written.get(entry).is_none_or(|at| *at <= revision));
            match next.cloned() {
                Some(entry) => {
                    self.queue.remove(&entry);
                    if !self.turn(entry, writes) {
                        return true;
                    }
                }
                None if self.tell() || self.live() => {}
                None => return false,
            }
        }
        panic!("this does not come to an end: {:?}", self.queue);
    }

    fn finish(&mut self) {
        assert!(!self.run(usize::MAX));
        assert_eq!(converged(&self.world.view), []);
    }

    /// One turn of one key; `false` when the process died on the way.
    fn turn(&mut self, (at, key): (usize, QueueKey), writes: usize) -> bool {
        let Turn { now, uptime, seed, .. } = self.world.turn();
        let outcome = self.parts[at].reconcile(&key, Turn { now, uptime, seed, view: &self.seen });
        for intent in outcome.intents.iter().filter(|intent| !matches!(intent, Intent::Event { .. })) {
            if self.writes >= writes {
                return false;
            }
            if let Intent::Delete { uid, .. } = intent {
                assert!(!uid.is_empty(), "{intent:?} may meet another object of this name");
            }
            if self.world.carry_out(intent).is_err() {
                // By the time it is tried again, the view has moved on.
                self.queue.insert((at, key));
                self.tell();
                return true;
            }
            self.writes += 1;
            self.written.insert((at, key.clone()), self.world.view.revision());
            let active = self.world.view.list(&POD, None).filter(|pod| is_active(pod)).count();
            assert!(active <= ACTIVE_MAX, "{active} pods after {intent:?}");
            assert_eq!(check(&self.world.view), [], "after {intent:?}");
        }
        true
    }

    /// What nodes do: new pods become ready, those that are to end are gone. Returns whether there was anything.
    fn live(&mut self) -> bool {
        let before = self.world.view.revision();
        self.world.remove_terminating_pods();
        let new = self.world.view.list(&POD, None).filter(|pod| !PodFacts::of(pod).ready);
        for key in new.map(|pod| pod.key().clone()).collect::<Vec<_>>() {
            self.addresses += 1;
            let address = format!("10.42.0.{}", self.addresses);
            let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
            let status = json!({"phase": "Running", "conditions": ready, "podIPs": [{"ip": address}]});
            self.world.merge(&key, json!({"spec": {"nodeName": "n1"}, "status": status}));
        }
        self.world.view.revision() != before
    }

    /// Everything there is, without what differs from run to run: uids, revisions, generated names, addresses.
    fn state(&self) -> Vec<String> {
        let objects: Vec<&Object> =
            KINDS.iter().flat_map(|kind| self.world.view.list(kind, None)).map(|object| &**object).collect();
        let mut names: Vec<(String, String)> = Vec::new();
        for object in &objects {
            let kind = object.key().kind.kind;
            names.push((object.uid().to_owned(), format!("uid of a {kind}")));
            let value = object.value();
            if !value["metadata"]["generateName"].is_null() {
                names.push((object.name().to_owned(), format!("a {kind}")));
            }
            if let Some(address) = value.pointer("/status/podIPs/0/ip").and_then(Value::as_str) {
                names.push((address.to_owned(), "an address".to_owned()));
            }
        }
        names = names.into_iter().map(|(from, to)| (format!("\"{from}\""), format!("\"{to}\""))).collect();
        let plain = |object: &&Object| {
            let mut value = object.value();
            strip(&mut value);
            names.iter().fold(value.to_string(), |text, (from, to)| text.replace(from, to))
        };
        let mut state: Vec<String> = objects.iter().map(plain).collect();
        state.sort();
        state
    }

    /// Whether controllers that look at everything anew find something to do.
    fn check_nothing_left(&mut self, what: &str) {
        let before = self.world.view.revision();
        self.start();
        self.finish();
        assert_eq!(self.world.view.revision(), before, "{what}: something was left that nobody looked at");
    }
}

fn strip(value: &mut Value) {
    if let Value::Object(map) = value {
        for key in
            ["resourceVersion", "generation", "observedGeneration", "endpoints.kubernetes.io/last-change-trigger-time"]
        {
            map.remove(key);
        }
    }
    match value {
        Value::Object(map) => map.values_mut().for_each(strip),
        Value::Array(list) => {
            list.iter_mut().for_each(strip);
        }
        _ => {}
    }
}

fn same(run: &Run, expected: &[String], what: &str) {
    let state = run.state();
    let differs = |a: &[String], b: &[String]| a.iter().filter(|o| !b.contains(o)).cloned().collect::<Vec<_>>();
    let (more, fewer) = (differs(&state, expected), differs(expected, &state));
    assert!(state == expected, "{what}: there is {more:#?}, and there is not {fewer:#?}");
}

/// How it ends without any fault, after how many writes and changes.
fn reference(deed: Deed) -> (Vec<String>, usize, usize) {
    let mut run = Run::after(deed);
    run.finish();
    (run.state(), run.writes, run.changes)
}

#[test]
fn f13_a_crash_between_any_two_writes_changes_nothing_in_the_end() {
    for (name, deed) in DEEDS {
        let (expected, writes, _) = reference(deed);
        for crash in 0..writes {
            let mut run = Run::after(deed);
            assert!(run.run(crash), "{name} has {crash} writes only");
            run.start();
            run.finish();
            same(&run, &expected, &format!("{name}, after a crash behind {crash} writes"));
        }
    }
}

#[test]
fn f13_a_cluster_is_made_whatever_crashes_on_the_way() {
    let mut whole = Run::of(asked());
    whole.finish();
    let expected = whole.state();
    for crash in 0..whole.writes {
        let mut run = Run::of(asked());
        // Not only one crash: the next ones come as early in what is left.
        while run.run(run.writes + crash) && crash > 0 && run.writes < 4 * whole.writes {
            run.start();
        }
        run.start();
        run.finish();
        same(&run, &expected, &format!("crashes behind {crash} writes each"));
    }
}

#[test]
fn f14_a_change_that_nobody_was_told_of_is_made_up_for() {
    for (name, deed) in DEEDS {
        let (expected, _, changes) = reference(deed);
        for hidden in 1..=changes {
            let mut run = Run::after(deed);
            run.hidden = Some(hidden);
            run.run(usize::MAX);
            run.hidden = None;
            // A feed that has lost something says so, and its reader begins anew.
            run.start();
            run.finish();
            same(&run, &expected, &format!("{name}, without change {hidden}"));
        }
    }
}

#[test]
fn f14_changes_lead_to_every_key_that_has_something_to_do() {
    for (name, deed) in DEEDS {
        let mut run = Run::after(deed);
        run.finish();
        run.check_nothing_left(name);
    }
}

#[test]
fn f15_views_that_lag_behind_lead_to_the_same_end() {
    for (name, deed) in DEEDS {
        let (expected, ..) = reference(deed);
        for lag in 1..24 {
            let mut run = Run::after(deed);
            run.lag = lag;
            run.finish();
            same(&run, &expected, &format!("{name}, {lag} changes behind"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    /// Deeds, crashes and lags in any order: it ends as the last deeds alone would have it.
    #[test]
    fn f15_whatever_happens_on_the_way_it_ends_in_order(
        steps in prop::collection::vec((1..4_usize, 0..12_usize, 0..20_usize), 1..12),
    ) {
        let mut run = Run::of(asked());
        let mut calm = Run::of(asked());
        for (deed, lag, writes) in steps {
            let (_, deed) = DEEDS[deed];
            deed(&mut run.world);
            deed(&mut calm.world);
            run.lag = lag;
            if run.run(run.writes + writes) {
                run.start();
            }
        }
        (run.lag, calm.lag) = (0, 0);
        run.finish();
        calm.finish();
        let pods = |run: &Run| run.world.view.list(&POD, None).filter(|pod| is_active(pod)).count();
        prop_assert_eq!(pods(&run), pods(&calm));
        let replicas = |run: &Run| run.world.view.list(&REPLICA_SET, None)
            .filter(|set| set.value()["spec"]["replicas"] != 0).count();
        prop_assert_eq!(replicas(&run), 1);
        run.check_nothing_left("a random history");
    }
}
