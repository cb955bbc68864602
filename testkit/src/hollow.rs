//! A node without a machine: it says that it is Ready, says of each pod bound to it that it runs, and lets those go
//! that are deleted. What a cluster does is then the server's doing alone.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::api::{Api, Client, NoAnswer};

/// What a request is given.
const REQUEST: Duration = Duration::from_secs(10);
/// Pause before the server is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How often the node says that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// A moment in the past, for conditions.
const SINCE: &str = "2026-01-01T00:00:00Z";

/// Plays the node of that name for as long as it is polled, also over restarts of the server. `api` is asked anew
/// for every connection.
pub async fn hollow_node(name: &str, api: impl Fn() -> Option<Api>) {
    loop {
        if let Some(api) = api() {
            // Whatever goes wrong, the server is to be found again.
            let _ = play(name, &api).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn play(name: &str, api: &Api) -> Result<(), NoAnswer> {
    let mut client = api.client();
    say_ready(name, &mut client).await?;
    let selector = format!("fieldSelector=spec.nodeName%3D{name}");
    let list = client.get(&format!("/api/v1/pods?{selector}"), REQUEST).await?;
    for pod in list.body["items"].as_array().into_iter().flatten() {
        drive(&mut client, pod).await?;
    }
    let from = list.body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    let mut events = api.client().lines(&format!("/api/v1/pods?watch=1&resourceVersion={from}&{selector}")).await?;
    let mut signs = tokio::time::interval(SIGN_OF_LIFE);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) if event["type"] == "ERROR" => return Ok(()),
                Some(event) if event["type"] != "DELETED" => drive(&mut client, &event["object"]).await?,
                Some(_) => {}
                None => return Ok(()),
            },
            _ = signs.tick() => say_ready(name, &mut client).await?,
        }
    }
}

async fn say_ready(name: &str, client: &mut Client) -> Result<(), NoAnswer> {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    client.ask(Method::POST, "/api/v1/nodes", Some(&node), REQUEST).await?;
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "500"});
    let status = json!({"status": {"capacity": room, "allocatable": room, "conditions": [
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": null,
         "lastTransitionTime": SINCE}]}});
    client.ask(Method::PATCH, &format!("/api/v1/nodes/{name}/status"), Some(&status), REQUEST).await?;
    renew(name, client).await
}

async fn renew(name: &str, client: &mut Client) -> Result<(), NoAnswer> {
    const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 40, "leaseTransitions": now.as_secs()});
    let lease =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec});
    let patched = client.ask(Method::PATCH, &format!("{LEASES}/{name}"), Some(&json!({"spec": spec})), REQUEST).await?;
    if patched.code == 404 {
        client.ask(Method::POST, LEASES, Some(&lease), REQUEST).await?;
    }
    Ok(())
}

/// Brings one pod on: it runs as soon as it is there, and is gone as soon as it is to go.
async fn drive(client: &mut Client, pod: &Value) -> Result<(), NoAnswer> {
    let (meta, status) = (&pod["metadata"], &pod["status"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let path = format!("/api/v1/namespaces/{}/pods/{}", text(&meta["namespace"]), text(&meta["name"]));
    if !meta["deletionTimestamp"].is_null() {
        let options = json!({"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}});
        client.ask(Method::DELETE, &path, Some(&options), REQUEST).await?;
    } else if status["phase"] == "Pending" || status["phase"].is_null() {
        let condition = |kind| json!({"type": kind, "status": "True", "lastTransitionTime": SINCE});
        let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
        let running = json!({"metadata": {"uid": meta["uid"]},
            "status": {"phase": "Running", "startTime": SINCE, "podIP": "10.42.0.2", "conditions": conditions}});
        client.ask(Method::PATCH, &format!("{path}/status"), Some(&running), REQUEST).await?;
    }
    Ok(())
}
