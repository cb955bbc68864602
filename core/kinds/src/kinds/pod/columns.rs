//! The row of a pod in tables; above all its STATUS, which is the most telling reason found in its containers.

use jiff::Timestamp;
use serde_json::Value;

use crate::age::{self, moment};
use crate::columns::{AGE, NAME, age_of, name, or_none};
use crate::row::Column;
use crate::tree::{int_at, list_at, str_at};

/// The columns of pods.
pub static COLUMNS: &[Column] = &[
    NAME,
    Column::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
    Column::text("Status", "The aggregate status of the containers in this pod."),
    Column::text(
        "Restarts",
        "The number of times the containers in this pod have been restarted and when the last container in this pod \
         has restarted.",
    ),
    AGE,
    Column::field("IP", "io.k8s.api.core.v1.PodStatus.podIP").wide(),
    Column::field("Node", "io.k8s.api.core.v1.PodSpec.nodeName").wide(),
    Column::field("Nominated Node", "io.k8s.api.core.v1.PodStatus.nominatedNodeName").wide(),
    Column::field("Readiness Gates", "io.k8s.api.core.v1.PodSpec.readinessGates").wide(),
];

/// The cells of a pod.
pub fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let sum = summarize(pod);
    let mut restarts = sum.restarts.count.to_string();
    if let Some(last) = sum.restarts.last.filter(|_| sum.restarts.count != 0) {
        restarts.push_str(&format!(" ({} ago)", age::between(last, now)));
    }
    let first_ip = list_at(pod, "/status/podIPs").first().map_or("", |ip| str_at(ip, "/ip"));
    vec![
        name(pod),
        Value::from(format!("{}/{}", sum.ready, sum.total)),
        Value::from(sum.reason),
        Value::from(restarts),
        age_of(pod, now),
        or_none(if first_ip.is_empty() { str_at(pod, "/status/podIP") } else { first_ip }),
        or_none(str_at(pod, "/spec/nodeName")),
        or_none(str_at(pod, "/status/nominatedNodeName")),
        or_none(gates(pod)),
    ]
}

fn gates(pod: &Value) -> String {
    let gates = list_at(pod, "/spec/readinessGates");
    let passed = gates.iter().filter(|gate| condition(pod, str_at(gate, "/conditionType")) == "True");
    if gates.is_empty() { String::new() } else { format!("{}/{}", passed.count(), gates.len()) }
}

/// The status of a condition; empty where the pod has no such condition.
fn condition<'a>(pod: &'a Value, kind: &str) -> &'a str {
    let found = list_at(pod, "/status/conditions").iter().find(|c| str_at(c, "/type") == kind);
    found.map_or("", |c| str_at(c, "/status"))
}

#[derive(Default)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, status: &Value) {
        self.count += int_at(status, "/restartCount").unwrap_or(0);
        let ended = moment(status, "/lastState/terminated/finishedAt");
        if ended > self.last {
            self.last = ended;
        }
    }
}

struct Summary {
    reason: String,
    restarts: Restarts,
    ready: usize,
    total: usize,
}

fn stays(container: &Value) -> bool {
    str_at(container, "/restartPolicy") == "Always"
}

fn summarize(pod: &Value) -> Summary {
    let phase = str_at(pod, "/status/phase");
    let reason = str_at(pod, "/status/reason");
    let sidecars = list_at(pod, "/spec/initContainers").iter().filter(|c| stays(c)).count();
    let mut sum = Summary {
        reason: if reason.is_empty() { phase } else { reason }.to_owned(),
        restarts: Restarts::default(),
        ready: 0,
        total: list_at(pod, "/spec/containers").len() + sidecars,
    };
    let gated = |c: &&Value| str_at(c, "/type") == "PodScheduled" && str_at(c, "/reason") == "SchedulingGated";
    if list_at(pod, "/status/conditions").iter().any(|c| gated(&c)) {
        sum.reason = "SchedulingGated".to_owned();
    }
    let mut sidecar_restarts = Restarts::default();
    let initializing = add_init_containers(pod, &mut sum, &mut sidecar_restarts);
    if !initializing || condition(pod, "Initialized") == "True" {
        sum.restarts = sidecar_restarts;
        add_containers(pod, &mut sum);
    }
    if pod.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null()) {
        if reason == "NodeLost" {
            sum.reason = "Unknown".to_owned();
        } else if !matches!(phase, "Succeeded" | "Failed") {
            sum.reason = "Terminating".to_owned();
        }
    }
    sum
}

/// Goes through the init containers up to the first that has not done its part; whether there is one.
fn add_init_containers(pod: &Value, sum: &mut Summary, sidecar_restarts: &mut Restarts) -> bool {
    let specs = list_at(pod, "/spec/initContainers");
    for (at, status) in list_at(pod, "/status/initContainerStatuses").iter().enumerate() {
        sum.restarts.add(status);
        let sidecar = specs.iter().any(|c| str_at(c, "/name") == str_at(status, "/name") && stays(c));
        if sidecar {
            sidecar_restarts.add(status);
        }
        let waiting = str_at(status, "/state/waiting/reason");
        let terminated = status.pointer("/state/terminated").filter(|t| !t.is_null());
        if terminated.is_some_and(|t| int_at(t, "/exitCode").unwrap_or(0) == 0) {
            continue;
        }
        if sidecar && status.get("started") == Some(&Value::Bool(true)) {
            sum.ready += usize::from(status.get("ready") == Some(&Value::Bool(true)));
            continue;
        }
        sum.reason = match terminated {
            Some(ended) => format!("Init:{}", ending(ended)),
            None if !waiting.is_empty() && waiting != "PodInitializing" => format!("Init:{waiting}"),
            None => format!("Init:{at}/{}", specs.len()),
        };
        return true;
    }
    false
}

/// The reason of a container's end, or how it ended.
fn ending(terminated: &Value) -> String {
    let reason = str_at(terminated, "/reason");
    let signal = int_at(terminated, "/signal").unwrap_or(0);
    if !reason.is_empty() {
        reason.to_owned()
    } else if signal != 0 {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", int_at(terminated, "/exitCode").unwrap_or(0))
    }
}

fn add_containers(pod: &Value, sum: &mut Summary) {
    let mut running = false;
    for status in list_at(pod, "/status/containerStatuses").iter().rev() {
        sum.restarts.add(status);
        let waiting = str_at(status, "/state/waiting/reason");
        let present = |state: &str| status.pointer(state).filter(|s| !s.is_null());
        if !waiting.is_empty() {
            sum.reason = waiting.to_owned();
        } else if let Some(ended) = present("/state/terminated") {
            sum.reason = ending(ended);
        } else if status.get("ready") == Some(&Value::Bool(true)) && present("/state/running").is_some() {
            running = true;
            sum.ready += 1;
        }
    }
    if sum.reason == "Completed" && running {
        sum.reason = if condition(pod, "Ready") == "True" { "Running" } else { "NotReady" }.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(pod: Value, expected: [&str; 3]) {
        let row = cells(&pod, "2026-01-01T01:00:00Z".parse().unwrap());
        assert_eq!(Value::from(&row[1..4]), json!(expected), "{pod}");
    }

    fn pod(status: Value) -> Value {
        json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}, "status": status})
    }

    #[test]
    fn one_container() {
        let of =
            |state: Value| pod(json!({"phase": "Running", "containerStatuses": [{"state": state, "restartCount": 0}]}));
        check(pod(json!({"phase": "Pending"})), ["0/1", "Pending", "0"]);
        check(of(json!({"waiting": {"reason": "ContainerCreating"}})), ["0/1", "ContainerCreating", "0"]);
        check(of(json!({"waiting": {"reason": "ImagePullBackOff"}})), ["0/1", "ImagePullBackOff", "0"]);
        check(of(json!({"terminated": {"exitCode": 2, "reason": "Error"}})), ["0/1", "Error", "0"]);
        check(of(json!({"terminated": {"exitCode": 2}})), ["0/1", "ExitCode:2", "0"]);
        check(of(json!({"terminated": {"exitCode": 0, "signal": 9}})), ["0/1", "Signal:9", "0"]);
    }

    #[test]
    fn restarts_say_when() {
        let status = json!({"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 3,
            "state": {"running": {}}, "lastState": {"terminated": {"finishedAt": "2026-01-01T00:55:00Z"}}}]});
        check(pod(status), ["1/1", "Running", "3 (5m ago)"]);
    }

    #[test]
    fn init_containers_come_first() {
        let of = |status: Value| {
            let mut pod = pod(json!({"phase": "Pending", "initContainerStatuses": [status],
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}));
            pod["spec"]["initContainers"] = json!([{"name": "i"}, {"name": "j"}]);
            pod
        };
        check(of(json!({"state": {"running": {}}})), ["0/1", "Init:0/2", "0"]);
        check(of(json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}})), ["0/1", "Init:CrashLoopBackOff", "0"]);
        check(of(json!({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}})), ["0/1", "Init:Error", "0"]);
        check(of(json!({"state": {"terminated": {"exitCode": 0}}})), ["0/1", "PodInitializing", "0"]);
    }

    #[test]
    fn sidecars_count() {
        let mut sidecar = pod(json!({"phase": "Running", "initContainerStatuses": [{"name": "s", "started": true,
            "ready": true}], "containerStatuses": [{"ready": true, "state": {"running": {}}}]}));
        sidecar["spec"]["initContainers"] = json!([{"name": "s", "restartPolicy": "Always"}]);
        check(sidecar, ["2/2", "Running", "0"]);
    }

    #[test]
    fn some_done_and_some_running() {
        let of = |ready: &str| {
            pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}], "containerStatuses": [
                {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
                {"ready": true, "state": {"running": {}}}]}))
        };
        check(of("True"), ["1/1", "Running", "0"]);
        check(of("False"), ["1/1", "NotReady", "0"]);
    }

    #[test]
    fn a_deleted_pod_terminates_unless_it_has_ended() {
        let of = |phase: &str| {
            let mut pod = pod(json!({ "phase": phase }));
            pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            pod
        };
        check(of("Running"), ["0/1", "Terminating", "0"]);
        check(of("Succeeded"), ["0/1", "Succeeded", "0"]);
    }
}
