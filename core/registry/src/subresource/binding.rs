//! `pods/binding`: the scheduler gives a pod its node.

use gantry_kinds::Status;
use gantry_kinds::tree::{list_at, str_at};
use serde_json::{Value, json};

use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::{Draft, success};
use crate::request::{Body, Decision};
use crate::{admission, meta};

pub(crate) fn decide(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    let expected = Expected::subresource(case.kind(), "binding");
    let decoded = body::decode(case, body, expected)?;
    let mut binding = decoded.value;
    let mut draft = Draft::warning(decoded.warnings);
    if meta::text(&binding, "name") != case.target().name {
        return Err(Status::bad_request("name in URL does not match name in Binding object").into());
    }
    admission::post(case, expected, &mut binding, &mut draft)?;
    check_target(&binding)?;
    let old = case.existing()?;
    let mut pod = old.value();
    check_pod(case, &pod, &binding, old.header.deleted.is_some())?;
    meta::map(&mut pod, "spec").insert("nodeName".to_owned(), str_at(&binding, "/target/name").into());
    for field in ["annotations", "labels"] {
        if let Some(entries) = binding["metadata"].get(field).and_then(Value::as_object) {
            meta::map(&mut pod["metadata"], field).extend(entries.clone());
        }
    }
    admission::topology::label(case, &mut pod);
    scheduled(case, &mut pod);
    draft.save_as(case, Some(old), pod, |_| success(201)).map(created)
}

fn created(decision: Decision) -> Decision {
    match decision {
        Decision::Commit { writes, guards, reply, warnings, .. } => {
            Decision::Commit { writes, guards, reply, code: 201, warnings }
        }
        Decision::Reply { reply, warnings, .. } => Decision::Reply { reply, code: 201, warnings },
        refusal => refusal,
    }
}

fn check_target(binding: &Value) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Status::bad_request(message).into());
    match str_at(binding, "/target/kind") {
        "" | "Node" => {}
        kind => {
            return refuse(format!(
                "target.kind: Unsupported value: {kind:?}: supported values: \"Node\", \"<empty>\""
            ));
        }
    }
    if str_at(binding, "/target/name").is_empty() { refuse("target.name: Required value".to_owned()) } else { Ok(()) }
}

fn check_pod(case: &Case<'_>, pod: &Value, binding: &Value, deleted: bool) -> Result<(), Refusal> {
    let name = case.target().name.as_str();
    meta::check_uid(case, binding)?;
    let revision = meta::text(binding, "resourceVersion");
    if !revision.is_empty() && revision != meta::text(pod, "resourceVersion") {
        return Err(meta::modified(case));
    }
    if deleted {
        return Err(conflict(name, &format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    let node = str_at(pod, "/spec/nodeName");
    if !node.is_empty() {
        return Err(conflict(name, &format!("pod {name} is already assigned to node {node:?}")));
    }
    if !list_at(pod, "/spec/schedulingGates").is_empty() {
        return Err(conflict(name, &format!("pod {name} has non-empty .spec.schedulingGates")));
    }
    Ok(())
}

fn conflict(name: &str, why: &str) -> Refusal {
    let message = format!("Operation cannot be fulfilled on pods/binding {name:?}: {why}");
    let mut status = Status::new(409, "Conflict", message);
    (status.name, status.kind) = (name.to_owned(), "pods/binding".to_owned());
    status.into()
}

fn scheduled(case: &Case<'_>, pod: &mut Value) {
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": case.now(),
    });
    let conditions = meta::list(meta::map(pod, "status"), "conditions");
    match conditions.iter_mut().find(|c| c["type"] == "PodScheduled") {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}
