//! Every pod runs as a service account, and finds that account's token mounted unless somebody said otherwise.

use gantry_kinds::SERVICE_ACCOUNT;
use gantry_kinds::kinds::pod::references::{Place, Reference, Referent, references};
use gantry_kinds::tree::{list_at, str_at};
use serde_json::{Value, json};

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

/// Where containers look for the token.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Start of the volume's name.
const VOLUME: &str = "kube-api-access-";
/// Seconds that a token is good for: an hour, and some for clocks that differ.
const TOKEN_SECONDS: i64 = 3607;
/// By which an account asks that its pods use the secrets that it lists, and no others.
const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Account of pods that name none.
const DEFAULT: &str = "default";

pub(crate) fn admit(case: &Case<'_>, pod: &mut Value, draft: &mut Draft) -> Result<(), Refusal> {
    if pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some() {
        return mirror(case, pod);
    }
    let named = [str_at(pod, "/spec/serviceAccountName"), str_at(pod, "/spec/serviceAccount")];
    let name = named.into_iter().find(|name| !name.is_empty()).unwrap_or(DEFAULT).to_owned();
    let spec = meta::map(pod, "spec");
    spec.insert("serviceAccountName".to_owned(), name.clone().into());
    spec.insert("serviceAccount".to_owned(), name.clone().into());
    let namespace = case.target().namespace.as_str();
    let Some(account) = case.view.get(&SERVICE_ACCOUNT, namespace, &name) else {
        let why = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(forbidden(case, pod, &why));
    };
    draft.guards.push((account.key().clone(), account.header.revision));
    let account = account.value();
    let own = pod.pointer("/spec/automountServiceAccountToken").and_then(Value::as_bool);
    let theirs = account.get("automountServiceAccountToken").and_then(Value::as_bool);
    if own.or(theirs).unwrap_or(true) {
        mount(case, pod);
    }
    let pulls = list_at(&account, "/imagePullSecrets");
    if list_at(pod, "/spec/imagePullSecrets").is_empty() && !pulls.is_empty() {
        meta::map(pod, "spec").insert("imagePullSecrets".to_owned(), pulls.to_vec().into());
    }
    check_mountable(case, pod)
}

/// A mirror pod shows what a node runs on its own: it has no rights in the cluster.
fn mirror(case: &Case<'_>, pod: &Value) -> Result<(), Refusal> {
    if !str_at(pod, "/spec/serviceAccountName").is_empty() {
        return Err(forbidden(case, pod, "a mirror pod may not reference service accounts"));
    }
    if refers_to_secrets(&pod["spec"]) {
        return Err(forbidden(case, pod, "a mirror pod may not reference secrets"));
    }
    let sources = list_at(pod, "/spec/volumes").iter().flat_map(|volume| list_at(volume, "/projected/sources"));
    if sources.into_iter().any(|source| source.get("serviceAccountToken").is_some()) {
        return Err(forbidden(case, pod, "a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

fn refers_to_secrets(spec: &Value) -> bool {
    let mut found = false;
    references(spec, &mut |reference| found |= reference.to == Referent::Secret);
    found
}

/// Refuses what refers to secrets that the account does not list, where the account asks for it.
pub(crate) fn check_mountable(case: &Case<'_>, pod: &Value) -> Result<(), Refusal> {
    let name = str_at(pod, "/spec/serviceAccountName");
    let Some(account) = case.view.get(&SERVICE_ACCOUNT, &case.target().namespace, name) else { return Ok(()) };
    let account = account.value();
    if account["metadata"]["annotations"][ENFORCE_MOUNTABLE] != "true" {
        return Ok(());
    }
    let lists = |field: &str, name: &str| list_at(&account, field).iter().any(|known| str_at(known, "/name") == name);
    let mut wrong = None;
    references(&pod["spec"], &mut |reference| {
        let field = if let Place::Pull(_) = reference.place { "/imagePullSecrets" } else { "/secrets" };
        if reference.to == Referent::Secret && wrong.is_none() && !lists(field, reference.name) {
            wrong = Some(reference);
        }
    });
    let Some(Reference { name: secret, place, .. }) = wrong else { return Ok(()) };
    let unlisted = format!("is not allowed because service account {name} does not reference that");
    let referring = format!("referencing secret.secretName={secret:?} {unlisted} secret");
    let why = match place {
        Place::Pull(at) => format!("imagePullSecrets[{at}].name={secret:?} {unlisted} imagePullSecret"),
        Place::Pod => format!("volume with secret.secretName={secret:?} {unlisted} secret"),
        Place::Container { sort, name, variable: Some(variable) } => {
            format!("{sort} {name} with envVar {variable} {referring}")
        }
        Place::Container { sort, name, variable: None } => format!("{sort} {name} with envFrom {referring}"),
    };
    Err(forbidden(case, pod, &why))
}

fn mount(case: &Case<'_>, pod: &mut Value) {
    let volumes = list_at(pod, "/spec/volumes").iter();
    let there = volumes.map(|v| str_at(v, "/name")).find(|name| name.starts_with(VOLUME)).map(str::to_owned);
    let name = there.clone().unwrap_or_else(|| format!("{VOLUME}{}", case.draw("volume").suffix()));
    let mut used = false;
    for field in ["initContainers", "containers"] {
        let containers = meta::map(pod, "spec").get_mut(field).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            let mounts = meta::list(container, "volumeMounts");
            if !mounts.iter().any(|m| str_at(m, "/mountPath") == MOUNT) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": MOUNT}));
                used = true;
            }
        }
    }
    if used && there.is_none() {
        meta::list(meta::map(pod, "spec"), "volumes").push(volume(&name));
    }
}

fn volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}
