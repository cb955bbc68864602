//! Pod security: a namespace says by labels which level of restriction its pods must keep (`enforce`), and of which
//! their creators are warned (`warn`); a configuration speaks for namespaces that say nothing, and exempts. Templates of
//! pods are only warned of.
//!
//! Invariants: the checks are pure functions of a pod and a version; all of them see its containers by one walk.

mod baseline;
mod config;
mod pod;
mod policy;
mod restricted;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use gantry_kinds::{NAMESPACE, POD, Status, Update};
use serde_json::Value;

pub use self::config::PodSecurity;
use self::pod::{Pod, plural};
use self::policy::{Level, Policies, Policy};
use super::forbidden;
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::meta;

/// The minor version of a policy.
type Minor = u32;
/// Since when pods whose users are mapped may be root inside.
const USERS_MAPPED: Minor = 35;
/// Since when pods of Windows are not held to what Windows does not have.
const WINDOWS_APART: Minor = 25;
/// Pods of a namespace that are looked at when its policy changes.
const PODS_CHECKED: usize = 3000;

/// What is wrong with a pod: in short, and who must do what about it.
#[derive(Debug, PartialEq)]
struct Violation {
    reason: String,
    detail: String,
}

fn violation(reason: &str, detail: String) -> Violation {
    Violation { reason: reason.to_owned(), detail }
}

struct Check {
    level: Level,
    since: Minor,
    /// Since when a check of the next level stands in the place of this one.
    replaced: Option<Minor>,
    run: fn(&Pod<'_>, Minor) -> Option<Violation>,
}

const fn basic(run: fn(&Pod<'_>, Minor) -> Option<Violation>) -> Check {
    Check { level: Level::Baseline, since: 0, replaced: None, run }
}

const fn strict(since: Minor, run: fn(&Pod<'_>, Minor) -> Option<Violation>) -> Check {
    Check { level: Level::Restricted, since, replaced: None, run }
}

/// In the order in which they are told.
const CHECKS: [Check; 18] = [
    basic(baseline::app_armor),
    Check { replaced: Some(22), ..basic(baseline::capabilities) },
    basic(baseline::host_namespaces),
    Check { replaced: Some(0), ..basic(baseline::host_paths) },
    basic(baseline::host_ports),
    Check { since: 34, ..basic(baseline::probe_hosts) },
    basic(baseline::privileged),
    basic(baseline::proc_mount),
    basic(baseline::se_linux),
    Check { since: 19, replaced: Some(19), ..basic(baseline::seccomp) },
    basic(baseline::sysctls),
    basic(baseline::host_process),
    strict(8, restricted::escalation),
    strict(22, restricted::capabilities),
    strict(0, restricted::volumes),
    strict(0, restricted::non_root),
    strict(23, restricted::user),
    strict(19, restricted::seccomp),
];

fn violations(policy: Policy, object: &Value) -> Vec<Violation> {
    let pod = Pod::of(object);
    let Policy { level, version } = policy;
    let replaced = |check: &Check| level == Level::Restricted && check.replaced.is_some_and(|since| version >= since);
    let checks = CHECKS.iter().filter(|check| level >= check.level && version >= check.since && !replaced(check));
    checks.filter_map(|check| (check.run)(&pod, version)).collect()
}

/// What the pod violates of the policy, in one line.
fn violated(policy: Policy, pod: &Value) -> Option<String> {
    let found = violations(policy, pod);
    let texts: Vec<String> = found.iter().map(|found| format!("{} ({})", found.reason, found.detail)).collect();
    (!texts.is_empty()).then(|| format!("PodSecurity \"{policy}\": {}", texts.join(", ")))
}

/// Checks a new object: a pod, a template, or a namespace whose labels ask for something.
pub(super) fn create(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    if case.kind() == &NAMESPACE {
        return labels(case, object, None);
    }
    pods(case, object, draft)
}

/// Checks a change.
pub(super) fn update(
    case: &Case<'_>,
    new: &Value,
    old: &Value,
    way: Update<'_>,
    draft: &mut Draft,
) -> Result<(), Refusal> {
    if case.kind() == &NAMESPACE && way == Update::Main {
        labels(case, new, Some(old))?;
        draft.warnings.extend(existing(case, new, old));
        return Ok(());
    }
    let checked = way == Update::Main || way == Update::Sub("ephemeralcontainers");
    if checked && (case.kind() != &POD || is_significant(new, old)) { pods(case, new, draft) } else { Ok(()) }
}

/// Whether a pod's change can have to do with security: the rest was looked at when it was made.
fn is_significant(new: &Value, old: &Value) -> bool {
    let harmless = |pod: &Value| {
        let mut spec = pod["spec"].clone();
        for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "nodeSelector", "affinity"] {
            gantry_kinds::tree::remove(&mut spec, field);
        }
        spec
    };
    harmless(new) != harmless(old) || new["metadata"]["annotations"] != old["metadata"]["annotations"]
}

fn labels(case: &Case<'_>, new: &Value, old: Option<&Value>) -> Result<(), Refusal> {
    let errors = policy::errors(new);
    if errors.is_empty() || old.is_some_and(|old| !policy::errors(old).is_empty()) {
        return Ok(());
    }
    let name = if case.target().name.is_empty() { meta::text(new, "name") } else { &case.target().name };
    Err(Status::invalid(&NAMESPACE, name, &errors).into())
}

fn pods(case: &Case<'_>, object: &Value, draft: &mut Draft) -> Result<(), Refusal> {
    let Some(pointer) = template(case) else { return Ok(()) };
    let Some(pod) = object.pointer(pointer) else { return Ok(()) };
    let Some(namespace) = case.view.get(&NAMESPACE, "", &case.target().namespace) else { return Ok(()) };
    let settings = &case.context.settings.pod_security;
    if settings.exempts(case, pod) {
        return Ok(());
    }
    let Policies { enforce, warn } = Policies::of(&namespace.value(), settings);
    if case.kind() == &POD
        && let Some(why) = violated(enforce, pod)
    {
        return Err(forbidden(case, object, &format!("violates {why}")));
    }
    draft.warnings.extend(violated(warn, pod).map(|why| format!("would violate {why}")));
    Ok(())
}

/// Where objects of the kind hold a pod.
fn template(case: &Case<'_>) -> Option<&'static str> {
    let kind = case.kind();
    match (kind.group, kind.plural) {
        ("", "pods") => Some(""),
        ("", "podtemplates") => Some("/template"),
        ("", "replicationcontrollers")
        | ("apps", "deployments" | "replicasets" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => Some("/spec/template"),
        ("batch", "cronjobs") => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

/// Warnings of pods that a namespace has and would not take any more. Of those with one owner the first stands for all.
fn existing(case: &Case<'_>, new: &Value, old: &Value) -> Vec<String> {
    let all = &case.context.settings.pod_security;
    let (policy, before) = (Policies::of(new, all).enforce, Policies::of(old, all).enforce);
    if policy == before || policy.level == Level::Privileged {
        return Vec::new();
    }
    if policy.version == before.version && policy.level < before.level {
        return Vec::new();
    }
    let name = case.target().name.as_str();
    let (mut groups, mut owners) = (Vec::<(String, String, usize)>::new(), BTreeSet::new());
    for pod in case.view.list(&POD, Some(name)).take(PODS_CHECKED) {
        if pod.controller().is_some_and(|owner| !owners.insert(owner.uid.clone())) {
            continue;
        }
        let reasons: Vec<String> = violations(policy, &pod.value()).into_iter().map(|found| found.reason).collect();
        if reasons.is_empty() {
            continue;
        }
        let reasons = reasons.join(", ");
        match groups.iter_mut().find(|(known, ..)| *known == reasons) {
            Some((.., others)) => *others += 1,
            None => groups.push((reasons, pod.name().to_owned(), 0)),
        }
    }
    if groups.is_empty() {
        return Vec::new();
    }
    let head = format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level \"{policy}\"");
    let line = |(reasons, first, others): (String, String, usize)| match others {
        0 => format!("{first}: {reasons}"),
        _ => format!("{first} (and {others} other {}): {reasons}", plural(others, "pod", "pods")),
    };
    [head].into_iter().chain(groups.into_iter().map(line)).collect()
}
