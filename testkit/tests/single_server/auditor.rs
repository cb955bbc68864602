//! Follows objects through every change, and says when something was so that must never be.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gantry_testkit::{Alone, Api};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::objects::{Complaints, REQUEST};

/// The objects of a list as they are after each change, by name.
pub type Objects = BTreeMap<String, Value>;

/// Follows `path`, also over restarts of the server, and lets `look` judge each state of it.
pub fn audit(
    server: &Alone,
    path: &'static str,
    look: impl Fn(&Objects) -> Result<(), String> + Send + Sync + 'static,
) -> (Arc<Complaints>, JoinHandle<()>) {
    let complaints = Arc::new(Complaints::default());
    let (told, kubeconfig) = (complaints.clone(), server.kubeconfig());
    let task = tokio::spawn(async move {
        loop {
            if let Ok(api) = Api::from_kubeconfig(&kubeconfig) {
                follow(&api, path, &look, &told).await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    (complaints, task)
}

async fn follow(api: &Api, path: &str, look: &impl Fn(&Objects) -> Result<(), String>, told: &Complaints) {
    let Ok(list) = api.client().get(path, REQUEST).await else { return };
    let items = list.body["items"].as_array().cloned().unwrap_or_default();
    let mut objects: Objects = items.into_iter().map(|item| (name(&item), item)).collect();
    let judge = |objects: &Objects| {
        if let Err(complaint) = look(objects) {
            told.add(complaint);
        }
    };
    judge(&objects);
    let from = list.body["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let Ok(mut events) = api.client().lines(&format!("{path}?watch=1&resourceVersion={from}")).await else { return };
    while let Some(event) = events.next().await {
        let object = event["object"].clone();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => drop(objects.insert(name(&object), object)),
            Some("DELETED") => drop(objects.remove(&name(&object))),
            _ => return,
        }
        judge(&objects);
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

/// No node was ever anything but Ready, once it was.
pub fn nodes_stay_ready(nodes: &Objects) -> Result<(), String> {
    let conditions = |node: &Value| node["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let unready = |node: &&Value| conditions(node).iter().any(|c| c["type"] == "Ready" && c["status"] != "True");
    nodes.values().find(unready).map_or(Ok(()), |node| Err(format!("not Ready: {node}")))
}

/// No pod was ever told to go.
pub fn pods_stay(pods: &Objects) -> Result<(), String> {
    let going = |pod: &&Value| !pod["metadata"]["deletionTimestamp"].is_null();
    pods.values().find(going).map_or(Ok(()), |pod| Err(format!("told to go: {pod}")))
}
