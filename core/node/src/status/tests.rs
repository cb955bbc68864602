use k8s_openapi::api::core::v1::ContainerStatus;
use serde_json::{Value, json};

use super::*;
use crate::action::{Action, Done, Failure};
use crate::observed::{Container, Exit, Sandbox, State};
use crate::pod::tests::pod;
use crate::step::step;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn observed(containers: &[(&str, u32, Option<i32>)]) -> Observed {
    let sandbox =
        Sandbox { id: "s".to_owned(), attempt: 0, ready: true, created: at(1), ips: vec!["10.42.0.2".to_owned()] };
    let containers = containers.iter().map(|(name, attempt, code)| Container {
        id: format!("{name}{attempt}"),
        sandbox: "s".to_owned(),
        name: (*name).to_owned(),
        attempt: *attempt,
        created: at(2),
        state: match code {
            None => State::Running { since: at(3) },
            Some(code) => {
                let reason = if *code == 0 { "Completed" } else { "Error" }.to_owned();
                State::Exited(Exit { since: Some(at(3)), at: at(4), code: *code, reason, message: String::new() })
            }
        },
        image: "docker.io/library/web:1".to_owned(),
        image_id: "sha256:1".to_owned(),
        hash: String::new(),
        user: None,
    });
    Observed { sandboxes: vec![sandbox], containers: containers.collect() }
}

fn node() -> NodeFacts {
    NodeFacts { ips: vec!["10.0.0.1".to_owned()], ..NodeFacts::default() }
}

/// The status once the steps that need no doing were taken.
fn of(spec: Value, observed: &Observed) -> PodStatus {
    let pod = pod(spec);
    let mut memory = Memory::adopt(&pod, observed);
    step(&pod, observed, &mut memory, at(5));
    status(&pod, &PodStatus::default(), observed, &memory, &node(), at(5))
}

fn conditions(status: &PodStatus) -> Vec<(String, String, String)> {
    let conditions = status.conditions.iter().flatten();
    conditions.map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone().unwrap_or_default())).collect()
}

fn one(status: &PodStatus) -> ContainerStatus {
    status.container_statuses.as_ref().unwrap()[0].clone()
}

#[test]
fn a_running_pod_reads_like_upstreams() {
    let resources = json!({"requests": {"cpu": "100m"}});
    let mount = json!({"name": "v", "mountPath": "/v", "readOnly": true});
    let container = json!({"name": "a", "image": "web:1", "resources": resources, "volumeMounts": [mount]});
    let status = of(json!({"containers": [container]}), &observed(&[("a", 2, None)]));
    let time = |seconds| at(seconds).to_string();
    let condition =
        |name: &str| json!({"type": name, "status": "True", "observedGeneration": 3, "lastTransitionTime": time(5)});
    let names = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    let expected = json!({
        "phase": "Running", "hostIP": "10.0.0.1", "hostIPs": [{"ip": "10.0.0.1"}],
        "podIP": "10.42.0.2", "podIPs": [{"ip": "10.42.0.2"}], "qosClass": "Burstable", "observedGeneration": 3,
        "startTime": time(5), "conditions": names.map(condition),
        "containerStatuses": [{
            "name": "a", "image": "docker.io/library/web:1", "imageID": "sha256:1", "containerID": "containerd://a2",
            "restartCount": 2, "ready": true, "started": true, "state": {"running": {"startedAt": time(3)}},
            "lastState": {}, "allocatedResources": {"cpu": "100m"}, "resources": resources,
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Disabled"}],
        }],
    });
    assert_eq!(serde_json::to_value(&status).unwrap(), expected);
}

#[test]
fn phases() {
    let check = |policy: &str, containers: &[(&str, u32, Option<i32>)], expected: &str| {
        let spec =
            json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
        let status = of(spec, &observed(containers));
        assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {containers:?}");
    };
    check("Always", &[], "Pending");
    check("Always", &[("a", 0, None)], "Pending");
    check("Always", &[("a", 0, None), ("b", 0, Some(1))], "Running");
    check("Never", &[("a", 0, Some(0)), ("b", 0, Some(0))], "Succeeded");
    check("Never", &[("a", 0, Some(0)), ("b", 0, Some(1))], "Failed");
    check("OnFailure", &[("a", 0, Some(0)), ("b", 0, Some(1))], "Running");
    check("Never", &[("a", 0, None), ("b", 0, Some(1))], "Running");
}

#[test]
fn a_pod_in_its_init_containers_says_which() {
    let spec = json!({"initContainers": [{"name": "i", "image": "x"}], "containers": [{"name": "a", "image": "x"}]});
    let status = of(spec, &observed(&[("i", 0, None)]));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let found = status.conditions.clone().unwrap();
    assert_eq!(found[1].message.as_deref(), Some("containers with incomplete status: [i]"));
    assert_eq!(found[2].message.as_deref(), Some("containers with unready status: [a]"));
    let waiting = one(&status).state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("PodInitializing"));
}

#[test]
fn a_completed_pod_is_not_ready_and_says_so() {
    let status = of(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}), &observed(&[("a", 0, Some(0))]));
    let expected = [
        ("PodReadyToStartContainers", "True", ""),
        ("Initialized", "True", "PodCompleted"),
        ("Ready", "False", "PodCompleted"),
        ("ContainersReady", "False", "PodCompleted"),
        ("PodScheduled", "True", ""),
    ];
    assert_eq!(conditions(&status), expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    let ended = one(&status).state.unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (0, Some("Completed")));
}

#[test]
fn a_pod_without_its_sandbox_says_so() {
    let check = |seen: &Observed, expected: (&str, &str)| {
        let status = of(json!({"containers": [{"name": "a", "image": "x"}]}), seen);
        let first = &status.conditions.as_ref().unwrap()[0];
        assert_eq!(first.reason.as_deref(), Some(expected.0));
        assert_eq!(first.message.as_deref(), Some(expected.1));
    };
    let mut seen = observed(&[]);
    seen.sandboxes[0].ips.clear();
    check(&seen, ("NetworkNotReady", "pod sandbox does not have an IP address"));
    seen.sandboxes[0].ready = false;
    check(&seen, ("PodSandboxNotReady", "pod sandbox is not ready"));
    seen.sandboxes.clear();
    check(&seen, ("PodSandboxNotReady", "no pod sandbox exists"));
}

#[test]
fn a_crashing_container_waits_and_shows_how_it_ended() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}]}));
    let observed = observed(&[("a", 0, Some(7)), ("a", 1, Some(9))]);
    let mut memory = Memory::default();
    memory.container("a").crashes.attempt(at(2), at(2));
    step(&pod, &observed, &mut memory, at(5));
    let status = status(&pod, &PodStatus::default(), &observed, &memory, &node(), at(5));
    let found = one(&status);
    let waiting = found.state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CrashLoopBackOff"));
    let words = "back-off 10s restarting failed container=a pod=web_shop(u1)";
    assert_eq!(waiting.message.as_deref(), Some(words));
    assert_eq!(found.last_state.unwrap().terminated.unwrap().exit_code, 9);
    assert_eq!((found.restart_count, found.ready), (1, false));
}

#[test]
fn trouble_before_the_first_start_is_shown() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}]}));
    let mut memory = Memory::default();
    let start = Action::StartContainer { container: "a".to_owned(), attempt: 0, sandbox: "s".to_owned() };
    let failure = Failure::new("CreateContainerConfigError", "configmap \"x\" not found");
    memory.done(&pod, &start, &Done::Failed(failure), at(5));
    let status = status(&pod, &PodStatus::default(), &observed(&[]), &memory, &node(), at(5));
    let waiting = one(&status).state.unwrap().waiting.unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("CreateContainerConfigError"));
    assert_eq!(waiting.message.as_deref(), Some("configmap \"x\" not found"));
}

#[test]
fn readiness_gates_and_foreign_conditions_are_kept() {
    let pod = pod(json!({"containers": [{"name": "a", "image": "x"}], "readinessGates": [{"conditionType": "x/lb"}]}));
    let observed = observed(&[("a", 0, None)]);
    let memory = Memory::adopt(&pod, &observed);
    let foreign = json!({"conditions": [{"type": "x/lb", "status": "False"}, {"type": "Ready", "status": "False"}]});
    let before: PodStatus = serde_json::from_value(foreign).unwrap();
    let status = status(&pod, &before, &observed, &memory, &node(), at(5));
    let ready = status.conditions.as_ref().unwrap().iter().find(|c| c.type_ == "Ready").unwrap();
    let words = "the status of pod readiness gate \"x/lb\" is not \"True\", but False";
    assert_eq!(ready.message.as_deref(), Some(words));
    assert!(conditions(&status).contains(&("x/lb".to_owned(), "False".to_owned(), String::new())));
}
