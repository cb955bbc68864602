//! What hardens a pod: no rights that it does not need.

use gantry_kinds::tree::{list_at, str_at};
use serde_json::Value;

use super::baseline::{added, unfiltered};
use super::pod::{Pod, containers, context, plural, quoted, setters, sorted};
use super::{Minor, Violation, WINDOWS_APART, violation};

const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Whether the check says nothing about pods of that system.
fn is_apart(pod: &Pod<'_>, version: Minor) -> bool {
    version >= WINDOWS_APART && pod.is_windows()
}

pub(super) fn escalation(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    let named = pod.named(|container| context(container, "/allowPrivilegeEscalation") != Some(&Value::Bool(false)));
    let detail = || format!("{} must set securityContext.allowPrivilegeEscalation=false", containers(&named));
    let bad = !is_apart(pod, version) && !named.is_empty();
    bad.then(|| violation("allowPrivilegeEscalation != false", detail()))
}

pub(super) fn capabilities(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    if is_apart(pod, version) {
        return None;
    }
    let drops_all =
        |container: &Value| list_at(container, "/securityContext/capabilities/drop").iter().any(|c| c == "ALL");
    let keeping = pod.named(|container| !drops_all(container));
    let drop = (!keeping.is_empty())
        .then(|| format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers(&keeping)));
    let wrong: Vec<String> = drop.into_iter().chain(added(pod, &["NET_BIND_SERVICE"])).collect();
    (!wrong.is_empty()).then(|| violation("unrestricted capabilities", wrong.join("; ")))
}

pub(super) fn volumes(pod: &Pod<'_>, _: Minor) -> Option<Violation> {
    let source = |volume: &Value| {
        let fields = volume.as_object().into_iter().flatten();
        let source = fields.map(|(field, _)| field.as_str()).find(|field| *field != "name").unwrap_or("unknown");
        (!VOLUMES.contains(&source)).then(|| source.to_owned())
    };
    let bad =
        list_at(pod.spec, "/volumes").iter().filter_map(|volume| Some((str_at(volume, "/name"), source(volume)?)));
    let (names, sources): (Vec<&str>, Vec<String>) = bad.unzip();
    let sources = sorted(sources);
    let detail = || {
        let (volume, uses) = (plural(names.len(), "volume", "volumes"), plural(names.len(), "uses", "use"));
        let kind = plural(sources.len(), "type", "types");
        format!("{volume} {} {uses} restricted volume {kind} {}", quoted(&names), quoted(&sources))
    };
    (!names.is_empty()).then(|| violation("restricted volume types", detail()))
}

pub(super) fn non_root(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    if version >= super::USERS_MAPPED && pod.maps_users() {
        return None;
    }
    const REASON: &str = "runAsNonRoot != true";
    let own = pod.own("/runAsNonRoot").and_then(Value::as_bool);
    let said = |container: &Value| context(container, "/runAsNonRoot").and_then(Value::as_bool);
    let (refusing, silent) =
        (pod.named(|container| said(container) == Some(false)), pod.named(|container| said(container).is_none()));
    let who = setters(own == Some(false), &refusing).join(" and ");
    if !who.is_empty() {
        return Some(violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false")));
    }
    let detail = || format!("pod or {} must set securityContext.runAsNonRoot=true", containers(&silent));
    (own.is_none() && !silent.is_empty()).then(|| violation(REASON, detail()))
}

pub(super) fn user(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    if version >= super::USERS_MAPPED && pod.maps_users() {
        return None;
    }
    let root = |user: Option<&Value>| user.and_then(Value::as_i64) == Some(0);
    let named = pod.named(|container| root(context(container, "/runAsUser")));
    let who = setters(root(pod.own("/runAsUser")), &named).join(" and ");
    (!who.is_empty()).then(|| violation("runAsUser=0", format!("{who} must not set runAsUser=0")))
}

pub(super) fn seccomp(pod: &Pod<'_>, version: Minor) -> Option<Violation> {
    const REASON: &str = "seccompProfile";
    if is_apart(pod, version) {
        return None;
    }
    if let Some(detail) = unfiltered(pod) {
        return Some(violation(REASON, detail));
    }
    let silent = pod.named(|container| context(container, "/seccompProfile").is_none());
    let detail = || {
        let who = containers(&silent);
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"")
    };
    (pod.own("/seccompProfile").is_none() && !silent.is_empty()).then(|| violation(REASON, detail()))
}
