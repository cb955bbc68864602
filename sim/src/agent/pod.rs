//! The worker of one pod: starts its container, says how it is, and ends it when the API wants it gone.

use std::sync::Arc;
use std::time::Duration;

use gantry_kinds::{NODE, POD, fencing};
use gantry_registry::DeleteOptions;
use gantry_view::Object;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use super::machine::Container;
use super::process::Context;
use crate::plan::Fault;

const RETRY: Duration = Duration::from_secs(1);

/// Works on a pod from when it is heard of until it is gone. `told` holds it as it is now, `None` once it is gone.
pub(super) async fn work(context: Context, mut told: watch::Receiver<Option<Arc<Object>>>) {
    let Some(pod) = told.borrow_and_update().clone() else { return };
    let uid = pod.uid().to_owned();
    let ears = told.clone();
    tokio::select! {
        biased;
        _ = told.wait_for(Option::is_none) => {}
        () = carry(&context, pod, ears) => {}
    }
    context.machine.stop(context.world(), &uid);
}

async fn carry(context: &Context, pod: Arc<Object>, mut told: watch::Receiver<Option<Arc<Object>>>) {
    if !has_ended(&pod) {
        let container = match context.machine.container(pod.uid()) {
            // An agent that was restarted finds what runs.
            Some(container) => Some(container),
            None => start(context, &pod, &mut told).await,
        };
        if let Some(container) = container {
            report_while_it_runs(context, &pod, container, &mut told).await;
        }
    }
    finish(context, &pod, &mut told).await;
}

/// Starts the container; `None` when the pod is to end before.
async fn start(context: &Context, pod: &Object, told: &mut watch::Receiver<Option<Arc<Object>>>) -> Option<Container> {
    let world = context.world();
    let delay = world.rng.millis(50, 3000);
    let name = format!("{}/{}", pod.namespace(), pod.name());
    tokio::select! {
        biased;
        _ = told.wait_for(|pod| pod.as_ref().is_none_or(|pod| pod.header.deleted.is_some())) => return None,
        () = sleep(delay) => {}
    }
    loop {
        let node = context.client.get(context.server(), &NODE, "", &context.machine.name).await;
        let cidr = node.ok().flatten().map(|node| node.value()["spec"]["podCIDR"].clone());
        if told.borrow().as_ref().is_none_or(|pod| pod.header.deleted.is_some()) {
            return None;
        }
        if let Some(cidr) = cidr.as_ref().and_then(Value::as_str) {
            return Some(context.machine.start(world, pod.uid(), &name, cidr, stop_after(pod)));
        }
        sleep(RETRY).await;
    }
}

/// How long the pod may run without contact to a server, if it is fenced.
fn stop_after(pod: &Object) -> Option<Duration> {
    let value = pod.value();
    let said = value["metadata"]["annotations"][fencing::STOP_AFTER_DISCONNECT].as_str()?;
    fencing::parse(said).ok()
}

/// Says how the pod is, until it is to end.
async fn report_while_it_runs(
    context: &Context,
    pod: &Object,
    mut container: Container,
    told: &mut watch::Receiver<Option<Arc<Object>>>,
) {
    let world = context.world();
    loop {
        let Some(now) = told.borrow_and_update().clone() else { return };
        if now.header.deleted.is_some() {
            return;
        }
        if context.machine.container(pod.uid()).is_none() {
            // It was fenced, and does not come back.
            let failed = json!({"phase": "Failed", "reason": "Disconnected"});
            while !report(context, pod, &failed).await {
                sleep(RETRY).await;
            }
            return;
        }
        if !shows(&now, &container) && !report(context, pod, &running(context, &container)).await {
            sleep(RETRY).await;
            continue;
        }
        let crashes = world.strikes(Fault::ContainerCrash, 0.3);
        let crash = world.rng.millis(1000, 60_000);
        tokio::select! {
            biased;
            changed = told.changed() => if changed.is_err() { return },
            () = sleep(RETRY), if container.stop_after.is_some() => {}
            () = sleep(crash), if crashes => {
                if world.is_calm() {
                    continue;
                }
                container = context.machine.restart(pod.uid()).unwrap_or(container);
                world.say(format_args!("{}: {} starts anew", context.machine.name, container.pod));
            }
        }
    }
}

/// Ends the container, says so, and asks for the object to be removed.
async fn finish(context: &Context, pod: &Object, told: &mut watch::Receiver<Option<Arc<Object>>>) {
    let world = context.world();
    if told.wait_for(|pod| pod.as_ref().is_none_or(|pod| pod.header.deleted.is_some())).await.is_err() {
        return;
    }
    world.pause(10, 2000).await;
    context.machine.stop(world, pod.uid());
    let ended = json!({"phase": "Succeeded", "conditions": [
        {"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": context.stamp()}]});
    while !report(context, pod, &ended).await {
        sleep(RETRY).await;
    }
    loop {
        let options =
            DeleteOptions { grace_seconds: Some(0), uid: Some(pod.uid().to_owned()), ..DeleteOptions::default() };
        let answer = context.client.delete(context.server(), &POD, pod.namespace(), pod.name(), options).await;
        match answer {
            Ok(_) => return,
            Err(refusal) if [404, 409].contains(&refusal.code()) => return,
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Writes a status; false when that has to be tried again.
async fn report(context: &Context, pod: &Object, status: &Value) -> bool {
    let patch = json!({"metadata": {"uid": pod.uid()}, "status": status});
    let at = (&POD, pod.namespace(), pod.name(), "status");
    match context.client.patch(context.server(), at, patch).await {
        Ok(_) => true,
        // Gone, or another pod of that name: nobody is left to be told.
        Err(refusal) => [404, 409, 422].contains(&refusal.code()),
    }
}

fn running(context: &Context, container: &Container) -> Value {
    let now = context.stamp();
    let yes = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    json!({
        "phase": "Running", "podIP": container.ip, "podIPs": [{"ip": container.ip}],
        "conditions": [yes("PodScheduled"), yes("Initialized"), yes("ContainersReady"), yes("Ready")],
        "containerStatuses": [{
            "name": "main", "image": "app", "imageID": "app", "ready": true, "restartCount": container.restarts,
            "state": {"running": {"startedAt": now}},
        }],
    })
}

/// Whether the API has it as it is.
fn shows(pod: &Object, container: &Container) -> bool {
    let status = &pod.value()["status"];
    let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
    status["podIP"] == *container.ip
        && status["containerStatuses"][0]["restartCount"] == container.restarts
        && status["conditions"].as_array().is_some_and(|conditions| conditions.iter().any(ready))
}

fn has_ended(pod: &Object) -> bool {
    matches!(pod.field("status.phase"), Some("Failed" | "Succeeded"))
}
