//! Looks at the other servers again and again: when something about them changed, and from time to time. The leader
//! writes down what was found, and what other servers must know to believe this one.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use futures_util::future::join_all;
use gantry_cluster::{Cluster, Topic};
use gantry_kinds::kinds::api_service::API_SERVICE;
use gantry_kinds::{CONFIG_MAP, KindRef};
use gantry_registry::{Body, Operation, Options, PatchKind, Request, Target, User};
use gantry_view::ObjectKey;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::check::Verdict;
use super::{Behind, FrontProxy, Remote};
use crate::app::App;
use crate::limits::{AGGREGATED_AGAIN, AGGREGATED_RETRY, AGGREGATED_SETTLE};

/// Where other servers read by what they know this one.
const TRUST: (&str, &str) = ("kube-system", "extension-apiserver-authentication");
const MANAGER: &str = "kube-apiserver";

/// Keeps what is known of other servers up to date, until the server stops.
pub(crate) async fn keep(app: Weak<App>, stop: CancellationToken) {
    loop {
        let Some(strong) = app.upgrade() else { return };
        let cluster = strong.cluster.clone();
        // The feed is from before the look, so that no change between look and wait is missed.
        let (mut targets, mut changes) = cluster.watch_snapshot(Topic::Kind(&API_SERVICE), Behind::all);
        if !targets.is_empty() {
            (targets, changes) = cluster.watch_snapshot(Topic::Everything, Behind::all);
        }
        let led = cluster.leads();
        let all_well = look(&strong, &targets).await;
        if led {
            tell_trust(&cluster, &strong.aggregation.front).await;
        }
        drop(strong);
        let mut leadership = cluster.leadership();
        let appointed = async { while leadership.changed().await.is_ok() && cluster.leads() == led {} };
        let pause = if all_well { AGGREGATED_AGAIN } else { AGGREGATED_RETRY };
        let changed = async {
            loop {
                match changes.next().await {
                    Ok(change) if concerns(&targets, &change.key) => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = changed => tokio::time::sleep(AGGREGATED_SETTLE).await,
            () = appointed => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn concerns(targets: &[Behind], key: &ObjectKey) -> bool {
    *key.kind == API_SERVICE || targets.iter().any(|target| target.concerns(key))
}

/// Asks all servers, and keeps what they say; false where one is not available.
async fn look(app: &App, targets: &[Behind]) -> bool {
    let known = app.aggregation.remotes();
    let before =
        |target: &Behind| known.by.get(&(target.group.clone(), target.version.clone())).map(|remote| &remote.served);
    let asked = targets.iter().map(|target| app.aggregation.check(&app.cluster, &app.tunnels, target, before(target)));
    let verdicts = join_all(asked).await;
    let mut by = BTreeMap::new();
    for (target, verdict) in targets.iter().zip(&verdicts) {
        let served = match verdict {
            Ok(contents) => contents.clone(),
            Err(_) => before(target).cloned().unwrap_or_default(),
        };
        let remote = Remote { behind: target.clone(), available: verdict.is_ok(), served };
        by.insert((target.group.clone(), target.version.clone()), remote);
    }
    app.aggregation.set(by);
    if app.cluster.leads() {
        for (target, verdict) in targets.iter().zip(&verdicts) {
            note(&app.cluster, target, verdict).await;
        }
    }
    verdicts.iter().all(Result::is_ok)
}

/// Writes the condition `Available` of an APIService, where it says something else.
async fn note(cluster: &Cluster, target: &Behind, verdict: &Verdict) {
    let (status, reason, message) = match verdict {
        Ok(_) => ("True", "Passed", "all checks passed"),
        Err((reason, message)) => ("False", *reason, message.as_str()),
    };
    let body = {
        let view = cluster.view();
        let Some(object) = view.at(&target.key) else { return };
        let value = object.value();
        let conditions = value["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let before = conditions.iter().find(|condition| condition["type"] == "Available");
        if before.is_some_and(|c| c["status"] == status && c["reason"] == reason && c["message"] == message) {
            return;
        }
        let same = before.filter(|c| c["status"] == status).map(|c| c["lastTransitionTime"].clone());
        let now = || Value::from(cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        let since = same.unwrap_or_else(now);
        let mut conditions: Vec<Value> = conditions.into_iter().filter(|c| c["type"] != "Available").collect();
        conditions.push(json!({"type": "Available", "status": status, "reason": reason, "message": message,
            "lastTransitionTime": since}));
        json!({"metadata": {"uid": object.uid()}, "status": {"conditions": conditions}})
    };
    let name = target.key.name.to_string();
    write(cluster, &API_SERVICE, "", name, "status", Operation::Patch(PatchKind::Merge, Body::from(body))).await;
}

/// Writes down what other servers must know to believe what this one says of its clients.
async fn tell_trust(cluster: &Cluster, front: &FrontProxy) {
    let (namespace, name) = TRUST;
    let list = |words: &[String]| Value::from(words).to_string();
    let header = |word: &str| list(&[word.to_owned()]);
    let data = json!({
        "client-ca-file": front.client_ca_pem,
        "requestheader-allowed-names": list(&front.names),
        "requestheader-client-ca-file": front.ca_pem,
        "requestheader-extra-headers-prefix": header("X-Remote-Extra-"),
        "requestheader-group-headers": header("X-Remote-Group"),
        "requestheader-username-headers": header("X-Remote-User"),
        "requestheader-uid-headers": header("X-Remote-Uid"),
    });
    let there = cluster.view().get(&CONFIG_MAP, namespace, name).map(|object| object.value());
    let operation = match there {
        Some(there) if there["data"] == data => return,
        Some(_) => Operation::Patch(PatchKind::Merge, Body::from(json!({ "data": data }))),
        None => Operation::Create(Body::from(json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace}, "data": data}))),
    };
    let name = if matches!(operation, Operation::Create(_)) { String::new() } else { name.to_owned() };
    write(cluster, &CONFIG_MAP, namespace, name, "", operation).await;
}

async fn write(
    cluster: &Cluster,
    kind: KindRef,
    namespace: &str,
    name: String,
    subresource: &str,
    operation: Operation,
) {
    const PATIENCE: Duration = AGGREGATED_RETRY;
    let target = Target { kind, namespace: namespace.to_owned(), name, subresource: subresource.to_owned() };
    let groups = ["system:masters", "system:authenticated"].map(str::to_owned).into();
    let user = User { name: "system:apiserver".to_owned(), groups, ..User::default() };
    let options = Options { field_manager: MANAGER.to_owned(), ..Options::default() };
    match tokio::time::timeout(PATIENCE, cluster.execute(Request { user, target, operation, options })).await {
        Ok(Ok(_)) => {}
        Ok(Err(status)) => tracing::debug!(%status, kind = kind.kind, "what was found of other servers"),
        Err(_) => tracing::debug!(kind = kind.kind, "what was found of other servers could not be written in time"),
    }
}
