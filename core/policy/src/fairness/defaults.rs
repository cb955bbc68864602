//! The schemas and levels that a cluster begins with: upstream's names and numbers.

use serde_json::{Value, json};

/// Name, shares, percentage that may be lent, and how requests wait: queues and hand.
type Level = (&'static str, u32, u32, Option<(u32, u32)>);

const LEVELS: [Level; 7] = [
    ("catch-all", 5, 0, None),
    ("global-default", 20, 50, Some((128, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("node-high", 40, 25, Some((64, 6))),
    ("system", 30, 33, Some((64, 6))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
];
/// Requests that wait in one queue.
const QUEUE_LENGTH: u32 = 50;
/// Marks objects that follow the program until somebody changes them.
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// All of them.
pub fn objects() -> Vec<Value> {
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let mut all = vec![object("PriorityLevelConfiguration", "exempt", exempt)];
    for (name, shares, lendable, queuing) in LEVELS {
        let response = match queuing {
            None => json!({"type": "Reject"}),
            Some((queues, hand)) => json!({"type": "Queue",
                "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": QUEUE_LENGTH}}),
        };
        let limited =
            json!({"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable});
        all.push(object("PriorityLevelConfiguration", name, json!({"type": "Limited", "limited": limited})));
    }
    all.extend(schemas());
    all
}

fn schemas() -> Vec<Value> {
    let everybody = || vec![group("system:unauthenticated"), group("system:authenticated")];
    let any = || json!([resources(&["*"], &["*"], &["*"], true)]);
    let paths = || json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
    let rule =
        |subjects: Vec<Value>| json!([{"subjects": subjects, "resourceRules": any(), "nonResourceRules": paths()}]);
    let leases = resources(&["get", "create", "update"], &["coordination.k8s.io"], &["leases"], false);
    let leaders = vec![user("system:kube-controller-manager"), user("system:kube-scheduler"), kube_system()];
    let of_nodes = json!([
        resources(&["*"], &[""], &["nodes", "nodes/status"], true),
        resources(&["*"], &["coordination.k8s.io"], &["leases"], false)
    ]);
    let probes = json!([{"subjects": everybody(),
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}]);
    vec![
        schema("exempt", "exempt", 1, "", rule(vec![group("system:masters")])),
        schema("probes", "exempt", 2, "", probes),
        schema(
            "system-leader-election",
            "leader-election",
            100,
            "ByUser",
            json!([{"subjects": leaders, "resourceRules": [leases]}]),
        ),
        schema(
            "system-node-high",
            "node-high",
            400,
            "ByUser",
            json!([{"subjects": [group("system:nodes")], "resourceRules": of_nodes}]),
        ),
        schema("system-nodes", "system", 500, "ByUser", rule(vec![group("system:nodes")])),
        schema(
            "kube-controller-manager",
            "workload-high",
            800,
            "ByNamespace",
            rule(vec![user("system:kube-controller-manager")]),
        ),
        schema("kube-scheduler", "workload-high", 800, "ByNamespace", rule(vec![user("system:kube-scheduler")])),
        schema("kube-system-service-accounts", "workload-high", 900, "ByNamespace", rule(vec![kube_system()])),
        schema("service-accounts", "workload-low", 9000, "ByUser", rule(vec![group("system:serviceaccounts")])),
        schema("global-default", "global-default", 9900, "ByUser", rule(everybody())),
        schema("catch-all", "catch-all", 10000, "ByUser", rule(everybody())),
    ]
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "metadata": {"name": name, "annotations": {AUTOUPDATE: "true"}}, "spec": spec})
}

fn schema(name: &str, level: &str, precedence: u32, by: &str, rules: Value) -> Value {
    let mut spec =
        json!({"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": rules});
    if !by.is_empty() {
        spec["distinguisherMethod"] = json!({"type": by});
    }
    object("FlowSchema", name, spec)
}

fn resources(verbs: &[&str], groups: &[&str], resources: &[&str], cluster: bool) -> Value {
    let mut rule = json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"]});
    if cluster {
        rule["clusterScope"] = json!(true);
    }
    rule
}

fn group(name: &str) -> Value {
    json!({"kind": "Group", "group": {"name": name}})
}

fn user(name: &str) -> Value {
    json!({"kind": "User", "user": {"name": name}})
}

fn kube_system() -> Value {
    json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": "*"}})
}
