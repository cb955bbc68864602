use gantry_kinds::{NODE, POD, POD_DISRUPTION_BUDGET, PRIORITY_CLASS, RUNTIME_CLASS, SERVICE_ACCOUNT};
use serde_json::json;

use super::*;

#[test]
fn a_new_pod_runs_as_an_account_with_its_token() {
    let mut world = World::new();
    let body = json!({"metadata": {"name": "sa1"}, "imagePullSecrets": [{"name": "ps"}]});
    world.create(&SERVICE_ACCOUNT, "web", body).expect("created");
    let (_, made) = world.create(&POD, "web", pod("p", json!({"serviceAccountName": "sa1"}))).expect("created");
    let spec = &made["spec"];
    assert_eq!((&spec["serviceAccount"], &spec["imagePullSecrets"]), (&json!("sa1"), &json!([{"name": "ps"}])));
    let volume = &spec["volumes"][0];
    let name = volume["name"].as_str().unwrap_or_default();
    assert!(name.starts_with("kube-api-access-") && name.len() == 21, "{name}");
    assert_eq!(
        volume["projected"]["sources"][0],
        json!({"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}})
    );
    let mount = json!({"name": name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"});
    assert_eq!(spec["containers"][0]["volumeMounts"], json!([mount]));
    assert_eq!((&spec["priority"], &spec["preemptionPolicy"]), (&json!(0), &json!("PreemptLowerPriority")));
    let keys: Vec<_> = spec["tolerations"].as_array().into_iter().flatten().map(|t| t["key"].clone()).collect();
    assert_eq!(keys, ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);
}

#[test]
fn what_a_pod_says_itself_is_left() {
    let mut world = World::new();
    let tolerations = json!([{"operator": "Exists"}]);
    let spec = json!({"automountServiceAccountToken": false, "tolerations": tolerations,
                      "priorityClassName": "system-node-critical"});
    let (_, made) = world.create(&POD, "web", pod("p", spec)).expect("created");
    assert_eq!((made["spec"].get("volumes"), &made["spec"]["tolerations"]), (None, &tolerations));
    assert_eq!(made["spec"]["priority"], 2_000_001_000);
}

#[test]
fn pods_that_cannot_be_admitted() {
    let mut world = World::new();
    let mut check = |spec: Value, why: &str| {
        let message = format!("pods \"p\" is forbidden: {why}");
        refused(world.create(&POD, "web", pod("p", spec)), 403, &message);
    };
    check(
        json!({"serviceAccountName": "nope"}),
        "error looking up service account web/nope: serviceaccount \"nope\" not found",
    );
    check(json!({"priorityClassName": "nope"}), "no PriorityClass with name nope was found");
    check(
        json!({"priority": 5}),
        "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name",
    );
}

fn post(world: &mut World, name: &str, subresource: &str, body: Value) -> Answer {
    world.execute(&sub(request(&POD, "web", name, Operation::Create(body.into())), subresource))
}

#[test]
fn binding_gives_a_pod_its_node_once() {
    let mut world = World::new();
    world.create(&POD, "web", pod("p", json!({}))).expect("created");
    let bind = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    let (code, reply) = post(&mut world, "p", "binding", bind("n1")).expect("bound");
    assert_eq!((code, &reply["status"]), (201, &json!("Success")));
    let there = world.get(&POD, "web", "p").expect("a pod");
    assert_eq!(there["spec"]["nodeName"], "n1");
    assert_eq!(there["status"]["conditions"][0]["type"], "PodScheduled");
    let why = "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"";
    refused(post(&mut world, "p", "binding", bind("n2")), 409, why);
    let body = json!({"metadata": {"name": "q"}, "target": {"name": "n"}});
    refused(post(&mut world, "p", "binding", body), 400, "name in URL does not match name in Binding object");
    world.delete(&POD, "web", "p", DeleteOptions::default()).expect("marked");
    let why =
        "Operation cannot be fulfilled on pods/binding \"p\": pod p is being deleted, cannot be assigned to a host";
    refused(post(&mut world, "p", "binding", bind("n2")), 409, why);
}

#[test]
fn eviction_deletes() {
    let mut world = World::new();
    world.create(&POD, "web", pod("p", json!({}))).expect("created");
    let dry = json!({"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["All"]}});
    post(&mut world, "p", "eviction", dry).expect("would be evicted");
    assert!(world.get(&POD, "web", "p").is_some());
    let (code, reply) = post(&mut world, "p", "eviction", json!({"metadata": {"name": "p"}})).expect("evicted");
    assert_eq!((code, &reply["code"]), (201, &json!(201)));
    assert!(world.get(&POD, "web", "p").is_none());
}

#[test]
fn an_eviction_takes_from_the_budget_of_its_pod() {
    let mut world = World::new();
    let status_of = |kind, name: &str, status: Value| {
        sub(request(kind, "web", name, Operation::Patch(PatchKind::Merge, json!({"status": status}).into())), "status")
    };
    for name in ["p", "q", "pending"] {
        let mut body = pod(name, json!({}));
        body["metadata"]["labels"] = json!({"a": "b"});
        world.create(&POD, "web", body).expect("created");
    }
    let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    for name in ["p", "q"] {
        world.execute(&status_of(&POD, name, ready.clone())).expect("running");
    }
    let spec = json!({"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}});
    let body = json!({"metadata": {"name": "b1"}, "spec": spec});
    world.create(&POD_DISRUPTION_BUDGET, "web", body).expect("created");
    let evict = |world: &mut World, name: &str| post(world, name, "eviction", json!({"metadata": {"name": name}}));
    let said = |answer: Answer| answer.expect_err("refused").causes[0].message.clone();
    assert_eq!(said(evict(&mut world, "p")), "The disruption budget b1 is still being processed by the server.");
    let counted = json!({"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1,
        "expectedPods": 2});
    world.execute(&status_of(&POD_DISRUPTION_BUDGET, "b1", counted)).expect("counted");
    evict(&mut world, "pending").expect("nobody is disrupted");
    evict(&mut world, "p").expect("one may go");
    let left = world.get(&POD_DISRUPTION_BUDGET, "web", "b1").expect("a budget")["status"].clone();
    assert_eq!((&left["disruptionsAllowed"], left["disruptedPods"].get("p").is_some()), (&json!(0), true));
    let why = "The disruption budget b1 needs 1 healthy pods and has 2 currently";
    assert_eq!(said(evict(&mut world, "q")), why);
    assert!(world.get(&POD, "web", "q").is_some());
    let spec = json!({"maxUnavailable": 1, "selector": {}});
    let body = json!({"metadata": {"name": "b2"}, "spec": spec});
    world.create(&POD_DISRUPTION_BUDGET, "web", body).expect("created");
    let why = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    refused(evict(&mut world, "q"), 500, why);
}

#[test]
fn nodes_touch_only_what_is_theirs() {
    let mut world = World::new();
    for request in bootstrap::requests(&world.view, &world.settings.clone()) {
        world.execute(&request).expect("a start");
    }
    world.create(&POD, "web", pod("p", json!({}))).expect("created");
    let bind = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    post(&mut world, "p", "binding", bind).expect("bound");
    let as_node = |node: &str, mut request: Request| {
        request.user = user(&format!("system:node:{node}"), &["system:nodes", "system:authenticated"]);
        request
    };
    let register = |name: &str| request(&NODE, "", "", Operation::Create(json!({"metadata": {"name": name}}).into()));
    let why = "nodes \"n2\" is forbidden: node \"n1\" is not allowed to modify node \"n2\"";
    refused(world.execute(&as_node("n1", register("n2"))), 403, why);
    let (_, node) = world.execute(&as_node("n1", register("n1"))).expect("registered");
    assert_eq!(node["spec"]["taints"], json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]));
    let status = || {
        let patch = json!({"status": {"phase": "Running"}});
        sub(request(&POD, "web", "p", Operation::Patch(PatchKind::Merge, patch.into())), "status")
    };
    let why =
        "pods \"p\" is forbidden: node \"n2\" can only update pod status for pods with spec.nodeName set to itself";
    refused(world.execute(&as_node("n2", status())), 403, why);
    world.execute(&as_node("n1", status())).expect("reported");
    assert_eq!(world.get(&POD, "web", "p").map(|p| p["status"]["phase"].clone()), Some(json!("Running")));
}

#[test]
fn classes_give_pods_priority_and_overhead() {
    let mut world = World::new();
    let low = json!({"metadata": {"name": "low"}, "value": 7, "preemptionPolicy": "Never", "globalDefault": true});
    world.create(&PRIORITY_CLASS, "", low).expect("created");
    let class = json!({"metadata": {"name": "vm"}, "handler": "vm", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "k", "operator": "Exists"}]}});
    world.create(&RUNTIME_CLASS, "", class).expect("created");
    let (_, made) = world.create(&POD, "web", pod("p", json!({"runtimeClassName": "vm"}))).expect("created");
    let spec = &made["spec"];
    assert_eq!((&spec["priorityClassName"], &spec["priority"]), (&json!("low"), &json!(7)));
    assert_eq!(spec["preemptionPolicy"], "Never");
    assert_eq!((&spec["overhead"], &spec["nodeSelector"]), (&json!({"cpu": "250m"}), &json!({"a": "b"})));
    assert_eq!(spec["tolerations"][2], json!({"key": "k", "operator": "Exists"}));
    let mut check = |spec: Value, why: &str| {
        let message = format!("pods \"q\" is forbidden: {why}");
        refused(world.create(&POD, "web", pod("q", spec)), 403, &message);
    };
    check(json!({"runtimeClassName": "zz"}), "pod rejected: RuntimeClass \"zz\" not found");
    check(
        json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}}),
        "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    );
    check(
        json!({"runtimeClassName": "vm", "nodeSelector": {"a": "c"}}),
        "conflict: runtimeClass.scheduling.nodeSelector[a] = b; pod.spec.nodeSelector[a] = c",
    );
}

#[test]
fn the_clusters_own_classes_stay() {
    let mut world = World::new();
    let (name, value) = ("system-node-critical", 2_000_001_000);
    world.create(&PRIORITY_CLASS, "", json!({"metadata": {"name": name}, "value": value})).expect("created");
    let message = "priorityclasses.scheduling.k8s.io \"system-node-critical\" is forbidden: this is a system priority \
                   class and cannot be deleted";
    refused(world.delete(&PRIORITY_CLASS, "", name, DeleteOptions::default()), 403, message);
}

#[test]
fn an_account_that_asks_for_it_lends_its_own_secrets_alone() {
    let mut world = World::new();
    let account = json!({"metadata": {"name": "m", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "ok"}], "imagePullSecrets": [{"name": "pull"}]});
    world.create(&SERVICE_ACCOUNT, "web", account).expect("an account");
    let mut why = |field: &str, value: Value| {
        let mut body = pod("p", json!({"serviceAccountName": "m"}));
        body["spec"][field] = value;
        world.create(&POD, "web", body).expect_err("a refusal").message.clone()
    };
    let end = "is not allowed because service account m does not reference that";
    let start = "pods \"p\" is forbidden:";
    let volume = json!([{"name": "v", "csi": {"driver": "a.b", "nodePublishSecretRef": {"name": "no"}}}]);
    assert_eq!(why("volumes", volume), format!("{start} volume with secret.secretName=\"no\" {end} secret"));
    let init = json!([{"name": "i", "image": "x", "envFrom": [{"secretRef": {"name": "no"}}]}]);
    let words = "init container i with envFrom referencing secret.secretName=\"no\"";
    assert_eq!(why("initContainers", init), format!("{start} {words} {end} secret"));
    let pulls = json!([{"name": "pull"}, {"name": "no"}]);
    let words = format!("{start} imagePullSecrets[1].name=\"no\" {end} imagePullSecret");
    assert_eq!(why("imagePullSecrets", pulls), words);
    let mut body = pod("p", json!({"serviceAccountName": "m"}));
    body["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "ok"}}]);
    world.create(&POD, "web", body).expect("what it lists");
    let variable = json!({"name": "E", "valueFrom": {"secretKeyRef": {"name": "no", "key": "k"}}});
    let more = json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "x", "env": [variable]}]}});
    let patch = Operation::Patch(PatchKind::Strategic, more.into());
    let refused = world.execute(&sub(request(&POD, "web", "p", patch), "ephemeralcontainers"));
    let words = "ephemeral container e with envVar E referencing secret.secretName=\"no\"";
    assert_eq!(refused.expect_err("a refusal").message, format!("{start} {words} {end} secret"));
}
