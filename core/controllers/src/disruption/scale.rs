//! How many pods whatever manages them is to have: the replicas of all owners together.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_kinds::custom::Version;
use gantry_kinds::tree::{int_at, str_at};
use gantry_kinds::{DEPLOYMENT, KindRef, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET};
use gantry_view::{Object, Owner, View};
use serde_json::Value;

use crate::owners;

/// Kinds whose `spec.replicas` says how many pods there are to be.
const SCALED: [KindRef; 4] = [&DEPLOYMENT, &REPLICA_SET, &REPLICATION_CONTROLLER, &STATEFUL_SET];

/// What owners want.
pub(super) struct Expected {
    /// Pods that there are to be.
    pub(super) pods: i64,
    /// Whether some pods are managed by nobody, and so do not count.
    pub(super) unmanaged: bool,
}

/// Whether objects of that kind say how many pods there are to be.
pub(super) fn is_scaled(view: &View, kind: KindRef) -> bool {
    let custom = || view.definition(kind).is_some_and(|d| d.served().any(|version| version.scale.is_some()));
    SCALED.contains(&kind) || kind.is_custom() && custom()
}

/// The replicas of all that manage these pods; why not, where that of one of them cannot be told.
pub(super) fn expected(view: &View, pods: &[&Arc<Object>]) -> Result<Expected, String> {
    let (mut scales, mut unmanaged) = (BTreeMap::<String, i64>::new(), false);
    for pod in pods {
        let Some(controller) = pod.controller() else {
            unmanaged = true;
            continue;
        };
        if scales.contains_key(&controller.uid) {
            continue;
        }
        let (uid, replicas) = match SCALED.iter().find_map(|kind| owners::manager(view, kind, pod)) {
            Some(manager) => built_in(view, manager),
            None => custom(view, pod, controller)?,
        };
        scales.insert(uid, replicas);
    }
    Ok(Expected { pods: scales.values().sum(), unmanaged })
}

/// A ReplicaSet of a deployment has as many as the deployment, whatever it has in the middle of a rollout.
fn built_in(view: &View, manager: &Arc<Object>) -> (String, i64) {
    let top = owners::manager(view, &DEPLOYMENT, manager).unwrap_or(manager);
    (top.uid().to_owned(), int_at(&top.value(), "/spec/replicas").unwrap_or(1))
}

fn custom(view: &View, pod: &Object, controller: &Owner) -> Result<(String, i64), String> {
    let (group, version) = controller.api_version.split_once('/').unwrap_or(("", &controller.api_version));
    let kind = view
        .by_kind(group, version, &controller.kind)
        .ok_or_else(|| format!("no matches for kind {:?} in version {:?}", controller.kind, controller.api_version))?;
    if !is_scaled(view, kind) {
        return Err(format!("{} does not implement the scale subresource", kind.group_resource()));
    }
    let owner = view.get(kind.home(), pod.namespace(), &controller.name).filter(|owner| owner.uid() == controller.uid);
    let owner = owner.ok_or_else(|| format!("found no controllers for pod {:?}", pod.name()))?;
    let value = owner.value();
    let stored = str_at(&value, "/apiVersion").rsplit('/').next().unwrap_or_default();
    let version = view.definition(kind).and_then(|definition| definition.version(stored));
    let replicas = replicas(version, &value)
        .map_err(|path| format!("Internal error occurred: the spec replicas field {path:?} does not exist"))?;
    Ok((controller.uid.clone(), replicas))
}

/// What stands where the definition has the replicas; the path where nothing does.
fn replicas(version: Option<&Version>, object: &Value) -> Result<i64, String> {
    let path =
        version.and_then(|version| version.scale.as_ref()).map(|scale| scale.spec.as_slice()).unwrap_or_default();
    let found = path.iter().try_fold(object, |value, name| value.get(name)).and_then(Value::as_i64);
    found.ok_or_else(|| format!(".{}", path.join(".")))
}
