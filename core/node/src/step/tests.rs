use serde_json::{Value, json};

use super::*;
use crate::action::{Done, Failure};
use crate::image::spec_hash;
use crate::observed::{Container, Exit, Sandbox, State};
use crate::pod::tests::pod;
use crate::probe::Outcome;

/// A pod on a made-up node: actions are done at once as long as nobody says otherwise.
struct World {
    pod: Pod,
    observed: Observed,
    memory: Memory,
    now: i64,
    log: Vec<String>,
    ids: u32,
    fail: Vec<(&'static str, Failure)>,
    probes_pass: bool,
    containers_exit: Option<i32>,
}

impl World {
    fn new(spec: Value) -> Self {
        World {
            pod: pod(spec),
            observed: Observed::default(),
            memory: Memory::default(),
            now: 1_000,
            log: Vec::new(),
            ids: 0,
            fail: Vec::new(),
            probes_pass: true,
            containers_exit: None,
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_second(self.now).unwrap()
    }

    fn step(&mut self) -> Step {
        let now = self.time();
        step(&self.pod, &self.observed, &mut self.memory, now)
    }

    /// Steps until nothing more is asked for; what was asked for and said.
    fn settle(&mut self) -> Vec<String> {
        for _ in 0..100 {
            let step = self.step();
            if step.actions.is_empty() {
                return std::mem::take(&mut self.log);
            }
            for action in step.actions {
                self.act(&action);
            }
        }
        panic!("the pod never comes to rest: {:?}", self.log);
    }

    fn act(&mut self, action: &Action) {
        let word = match action {
            Action::Notify(notice) => {
                self.log.push(format!("{}: {}", notice.reason, notice.message));
                return;
            }
            Action::CreateSandbox { attempt } => format!("sandbox {attempt}"),
            Action::StopSandbox { id } => format!("stop {id}"),
            Action::EnsureImage { container } => format!("image {container}"),
            Action::StartContainer { container, attempt, .. } => format!("start {container}.{attempt}"),
            Action::StopContainer { container, grace, .. } => format!("stop {container} {}s", grace.as_secs()),
            Action::PostStart { container, .. } => format!("postStart {container}"),
            Action::Probe { container, kind, .. } => format!("{} {container}", kind.title()),
            Action::RemoveContainer { id } => format!("remove {id}"),
            other => format!("{other:?}"),
        };
        let failure = self.fail.iter().find(|(prefix, _)| word.starts_with(prefix)).map(|(_, failure)| failure.clone());
        self.log.push(word);
        let now = self.time();
        let done = match (failure, action) {
            (Some(failure), _) => Done::Failed(failure),
            (None, Action::Probe { .. }) if self.probes_pass => Done::Probed(Outcome::Success),
            (None, Action::Probe { .. }) => Done::Probed(Outcome::Failure("no".to_owned())),
            (None, _) => {
                self.happen(action, now);
                Done::Well
            }
        };
        for notice in self.memory.done(&self.pod, action, &done, now) {
            self.log.push(format!("{}: {}", notice.reason, notice.message));
        }
    }

    fn happen(&mut self, action: &Action, now: Timestamp) {
        self.ids += 1;
        match action {
            Action::CreateSandbox { attempt } => self.observed.put_sandbox(Sandbox {
                id: format!("s{attempt}"),
                attempt: *attempt,
                ready: true,
                created: now,
                ips: vec!["10.42.0.2".to_owned()],
            }),
            Action::StopSandbox { id } => {
                self.observed.sandboxes.iter_mut().filter(|s| s.id == *id).for_each(|s| s.ready = false);
                let inside = self.observed.containers.clone().into_iter().filter(|c| c.sandbox == *id && c.alive());
                inside.for_each(|c| self.exit(&c.name, 137));
            }
            Action::StartContainer { container, attempt, sandbox } => {
                let spec = pod::container(&self.pod, container).unwrap().1;
                self.observed.put_container(Container {
                    id: format!("c{}", self.ids),
                    sandbox: sandbox.clone(),
                    name: container.clone(),
                    attempt: *attempt,
                    created: now,
                    state: State::Running { since: now },
                    image: String::new(),
                    image_id: String::new(),
                    hash: spec_hash(spec),
                    user: None,
                });
                if let Some(code) = self.containers_exit {
                    self.exit(container, code);
                }
            }
            Action::StopContainer { container, .. } => self.exit(container, 143),
            Action::RemoveContainer { id } => self.observed.containers.retain(|container| container.id != *id),
            _ => {}
        }
    }

    fn exit(&mut self, name: &str, code: i32) {
        let at = self.time();
        let latest = self.observed.latest(name).unwrap().id.clone();
        let container = self.observed.containers.iter_mut().find(|container| container.id == latest).unwrap();
        let exit = Exit { since: Some(at), at, code, reason: "Error".to_owned(), message: String::new() };
        container.state = State::Exited(exit);
    }
}

fn named(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({"name": name, "image": "web:1"})).collect()
}

#[test]
fn init_containers_run_one_by_one_then_sidecars_then_the_main_ones_together() {
    let sidecar = json!({"name": "proxy", "image": "p", "restartPolicy": "Always"});
    let inits = [named(&["one"]), vec![sidecar], named(&["two"])].concat();
    let mut world = World::new(json!({"initContainers": inits, "containers": named(&["a", "b"])}));
    assert_eq!(world.settle(), ["sandbox 0", "PrepareVolumes", "image one", "start one.0"]);
    world.exit("one", 0);
    assert_eq!(world.settle(), ["image proxy", "start proxy.0", "image two", "start two.0"]);
    world.exit("two", 0);
    assert_eq!(world.settle(), ["image a", "image b", "start a.0", "start b.0"]);
    world.exit("proxy", 1);
    assert_eq!(world.settle(), ["image proxy", "start proxy.1"]);
}

#[test]
fn a_failing_container_waits_longer_each_time() {
    let mut world = World::new(json!({"containers": named(&["a"])}));
    world.settle();
    let mut starts = Vec::new();
    for _ in 0..4 {
        world.exit("a", 1);
        let said = world.settle();
        let wait = world.step().again_at;
        starts.push(wait.map_or(0, |at| at.as_second() - world.now));
        if let Some(at) = wait {
            let words = "BackOff: Back-off restarting failed container a in pod web_shop(u1)";
            assert_eq!(said, [words]);
            world.now = at.as_second();
            world.settle();
        }
    }
    assert_eq!(starts, [0, 10, 20, 40]);
    assert_eq!(world.observed.latest("a").unwrap().attempt, 4);
}

#[test]
fn a_pod_that_has_done_its_work_is_released_but_stays() {
    let mut world = World::new(json!({"restartPolicy": "OnFailure", "containers": named(&["a"])}));
    world.settle();
    world.exit("a", 0);
    assert_eq!(world.settle(), ["stop s0", "Release"]);
    assert!(!world.memory.finished());
    world.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.time()));
    assert_eq!(world.settle(), ["Discard", "Finish"]);
    assert!(world.memory.finished());
}

#[test]
fn an_init_container_that_fails_for_good_ends_the_pod() {
    let spec = json!({"restartPolicy": "Never", "initContainers": named(&["i"]), "containers": named(&["a"])});
    let mut world = World::new(spec);
    world.settle();
    world.exit("i", 3);
    assert_eq!(world.settle(), ["stop s0", "Release"]);
}

#[test]
fn deletion_stops_main_containers_first_and_sidecars_backwards() {
    let sidecars = ["x", "y"].map(|name| json!({"name": name, "image": "p", "restartPolicy": "Always"}));
    let mut world = World::new(json!({"initContainers": sidecars, "containers": named(&["a"])}));
    world.settle();
    world.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.time()));
    world.pod.metadata.deletion_grace_period_seconds = Some(7);
    let stops = ["stop a 7s", "stop y 7s", "stop x 7s", "stop s0", "Discard", "Finish"];
    let said: Vec<_> = world.settle().into_iter().filter(|word| !word.starts_with("Killing")).collect();
    assert_eq!(said, stops);
}

#[test]
fn a_shorter_grace_overrules_a_longer_one() {
    let mut world = World::new(json!({"containers": named(&["a"])}));
    world.settle();
    world.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(world.time()));
    let mut graces = Vec::new();
    for grace in [30, 30, 0] {
        world.pod.metadata.deletion_grace_period_seconds = Some(grace);
        let actions = world.step().actions;
        let stops = actions.iter().filter_map(|action| match action {
            Action::StopContainer { grace, hook, .. } => Some((grace.as_secs(), *hook)),
            _ => None,
        });
        graces.push(stops.collect::<Vec<_>>());
    }
    assert_eq!(graces, [vec![(30, true)], vec![], vec![(0, false)]]);
}

#[test]
fn a_dead_sandbox_is_replaced_and_its_containers_start_anew() {
    let mut world = World::new(json!({"containers": named(&["a"])}));
    world.settle();
    world.observed.sandboxes[0].ready = false;
    let said = world.settle();
    let expected = [
        "SandboxChanged: Pod sandbox changed, it will be killed and re-created.",
        "stop s0",
        "image a",
        "sandbox 1",
        "start a.1",
    ];
    assert_eq!(said, expected);
}

#[test]
fn liveness_kills_and_the_container_comes_back() {
    let probe = json!({"exec": {"command": ["x"]}, "failureThreshold": 1, "terminationGracePeriodSeconds": 2});
    let containers = json!([{"name": "a", "image": "web:1", "livenessProbe": probe}]);
    let mut world = World::new(json!({"containers": containers}));
    world.settle();
    world.probes_pass = false;
    world.now += 10;
    let said = world.settle();
    let expected = [
        "Liveness a",
        "Unhealthy: Liveness probe failed: no",
        "Killing: Container a failed liveness probe, will be restarted",
        "stop a 2s",
        "image a",
        "start a.1",
    ];
    assert_eq!(said, expected);
}

#[test]
fn an_image_that_cannot_be_pulled_backs_off() {
    let mut world = World::new(json!({"containers": named(&["a"])}));
    world.fail.push(("image", Failure::new("ErrImagePull", "no such host")));
    let expected = [
        "sandbox 0",
        "PrepareVolumes",
        "image a",
        "Failed: Error: ErrImagePull",
        "BackOff: Back-off pulling image \"web:1\"",
        "Failed: Error: ImagePullBackOff",
    ];
    assert_eq!(world.settle(), expected);
    let trouble = world.memory.known("a").unwrap().trouble.clone().unwrap();
    assert_eq!(trouble.message, "Back-off pulling image \"web:1\": ErrImagePull: no such host");
    world.now += 10;
    world.fail.clear();
    assert_eq!(world.settle(), ["image a", "start a.0"]);
}

#[test]
fn what_runs_when_memory_is_lost_is_left_alone() {
    let hook = json!({"postStart": {"exec": {"command": ["x"]}}});
    let containers = json!([{"name": "a", "image": "web:1", "lifecycle": hook}]);
    let mut world = World::new(json!({"containers": containers}));
    assert!(world.settle().contains(&"postStart a".to_owned()));
    world.memory = Memory::adopt(&world.pod, &world.observed);
    assert_eq!(world.settle(), ["PrepareVolumes"]);
}

#[test]
fn a_changed_image_restarts_its_container_alone() {
    let mut world = World::new(json!({"containers": named(&["a", "b"])}));
    world.settle();
    world.pod.spec.as_mut().unwrap().containers[0].image = Some("web:2".to_owned());
    let expected = ["Killing: Container a definition changed, will be restarted", "stop a 30s", "image a", "start a.1"];
    assert_eq!(world.settle(), expected);
}

#[test]
fn a_pod_past_its_deadline_fails() {
    let mut world = World::new(json!({"activeDeadlineSeconds": 5, "containers": named(&["a"])}));
    world.settle();
    let again = world.step().again_at;
    assert_eq!(again.map(|at| at.as_second()), Some(1005));
    world.now = 1005;
    assert!(world.settle().ends_with(&["stop s0".to_owned(), "Release".to_owned()]));
    assert_eq!(world.memory.verdict.as_ref().unwrap().reason, "DeadlineExceeded");
}

#[test]
fn a_container_made_but_not_started_is_removed_first() {
    let mut world = World::new(json!({"containers": named(&["a"])}));
    world.settle();
    world.observed.containers[0].state = State::Created;
    assert_eq!(world.settle(), ["remove c4", "image a", "start a.0"]);
}

#[test]
fn a_failed_hook_kills_its_container() {
    let hook = json!({"postStart": {"exec": {"command": ["x"]}}});
    let mut world = World::new(json!({"containers": [{"name": "a", "image": "web:1", "lifecycle": hook}]}));
    world.fail.push(("postStart", Failure::new("PostStartHookError", "PostStartHook failed")));
    let said = world.settle();
    let expected = ["FailedPostStartHook: PostStartHook failed", "Killing: FailedPostStartHook", "stop a 30s"];
    assert!(said.windows(3).any(|window| window == expected), "{said:?}");
}

#[test]
fn f10_a_fenced_pod_is_stopped_for_good_within_the_common_grace() {
    let mut world = World::new(json!({"terminationGracePeriodSeconds": 300, "containers": named(&["a"])}));
    world.settle();
    world.memory.fence();
    let expected = ["Killing: Stopping container a", "stop a 10s", "stop s0", "Release"];
    assert_eq!(world.settle(), expected);
    let verdict = world.memory.verdict.as_ref().unwrap();
    assert_eq!(verdict.reason, "StoppedAfterDisconnect");
    assert!(world.settle().is_empty(), "it does not come back");
}
