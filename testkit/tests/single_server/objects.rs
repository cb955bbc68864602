//! What the tests ask for.

use std::sync::Mutex;
use std::time::Duration;

use gantry_testkit::api::{Answer, Client};
use gantry_testkit::{Alone, Api, PATIENCE, hollow_node};
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// What a request is given.
pub const REQUEST: Duration = Duration::from_secs(60);
pub const CONFIGMAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
/// How long a node may be silent, in the servers of these tests; the shortest that there is.
pub const GRACE: Duration = Duration::from_secs(10);
/// The argument that says so.
pub const GRACE_ARGUMENT: &str = "--node-monitor-grace-period 10";

/// Seconds from the environment, so that a pause can be as long as it is in the field.
pub fn seconds(name: &str, otherwise: u64) -> Duration {
    let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(otherwise))
}

pub fn config_map(name: &str, bytes: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x".repeat(bytes)}})
}

pub async fn create(client: &mut Client, name: &str, bytes: usize) -> Answer {
    let made = client.ask(Method::POST, CONFIGMAPS, Some(&config_map(name, bytes)), REQUEST).await;
    made.unwrap_or_else(|why| panic!("creating {name}: {why:?}"))
}

#[track_caller]
pub fn revision(answer: &Answer) -> u64 {
    let text = answer.body["metadata"]["resourceVersion"].as_str();
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no revision: {}", answer.body))
}

/// A deployment whose pods go at once when their node is lost.
pub fn deployment(replicas: u64, revision: u64) -> Value {
    let labels = json!({"app": "web"});
    let at_once = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1});
    let tolerations = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(at_once);
    let container = json!({"name": "web", "image": format!("example.com/web:{revision}")});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2, "maxSurge": 3}},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], "tolerations": tolerations}}}})
}

/// A node that only says that it is one; `server` is asked for the way to the API at each attempt.
pub fn node(server: &Alone) -> JoinHandle<()> {
    let kubeconfig = server.kubeconfig();
    tokio::spawn(async move { hollow_node("node1", || Api::from_kubeconfig(&kubeconfig).ok()).await })
}

/// Makes the deployment and waits until all its pods are available.
pub async fn deploy(client: &mut Client, replicas: u64) {
    let made = client.ask(Method::POST, DEPLOYMENTS, Some(&deployment(replicas, 1)), REQUEST).await.expect("an answer");
    assert_eq!(made.code, 201, "{}", made.body);
    until("all pods are available", client, &format!("{DEPLOYMENTS}/web"), |web| {
        web["status"]["availableReplicas"] == replicas
    })
    .await;
}

/// Reads until what is there is as it should be.
pub async fn until(what: &str, client: &mut Client, path: &str, is_so: impl Fn(&Value) -> bool) {
    let begun = Instant::now();
    loop {
        let last = client.get(path, REQUEST).await;
        if last.as_ref().is_ok_and(|answer| answer.code == 200 && is_so(&answer.body)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: {last:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Something that must be said of the whole test.
#[derive(Default)]
pub struct Complaints(Mutex<Vec<String>>);

impl Complaints {
    pub fn add(&self, complaint: String) {
        self.0.lock().expect("the complaints").push(complaint);
    }

    #[track_caller]
    pub fn must_be_none(&self) {
        let complaints = self.0.lock().expect("the complaints");
        assert!(
            complaints.is_empty(),
            "{} complaints: {:#?}",
            complaints.len(),
            &complaints[..complaints.len().min(5)]
        );
    }
}
