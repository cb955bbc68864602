//! `scale`: the replicas of a Deployment or ReplicaSet as an `autoscaling/v1` Scale.

use gantry_kinds::{FieldError, LabelSelector, Path, Status, Update};
use serde_json::{Map, Value, json};

use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::Draft;
use crate::create::track;
use crate::request::{Body, Decision, PatchKind};
use crate::update::prepare;
use crate::{custom, meta, patch as patching, refuse};

/// The Scale of an object; `None` where the object has no spec.
pub fn to_scale(object: &Value) -> Option<Value> {
    let spec = object.get("spec")?;
    let mut metadata = Map::new();
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let mut wanted = Map::new();
    let replicas = spec.get("replicas").and_then(Value::as_i64).unwrap_or_default();
    if replicas != 0 {
        wanted.insert("replicas".to_owned(), replicas.into());
    }
    let there = object.pointer("/status/replicas").and_then(Value::as_i64).unwrap_or_default();
    let mut status = json!({"replicas": there});
    let selector = spec.get("selector").and_then(|s| LabelSelector::from_value(s).ok());
    let selector = selector.map(|s| s.to_string()).unwrap_or_default();
    if !selector.is_empty() {
        status["selector"] = selector.into();
    }
    Some(json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": wanted, "status": status,
    }))
}

/// The Scale of an object of the request's kind.
pub(crate) fn shown(case: &Case<'_>, object: &Value) -> Option<Value> {
    match case.view.custom(case.kind()) {
        Some(version) => custom::to_scale(version, object),
        None => to_scale(object),
    }
}

/// The replicas that a Scale asks for.
pub(crate) fn wanted(scale: &Value) -> i64 {
    scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or_default()
}

/// Puts replicas where an object of the request's kind has them.
pub(crate) fn set(case: &Case<'_>, object: &mut Value, replicas: i64) {
    match case.view.custom(case.kind()) {
        Some(version) => custom::set_replicas(version, object, replicas),
        None => drop(meta::map(object, "spec").insert("replicas".to_owned(), replicas.into())),
    }
}

pub(crate) fn update(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    let decoded = body::decode(case, body, Expected::subresource(case.kind(), "scale"))?;
    rescale(case, decoded.value, Draft::warning(decoded.warnings))
}

pub(crate) fn patch(case: &Case<'_>, how: PatchKind, body: &Body) -> Result<Decision, Refusal> {
    if how == PatchKind::Apply {
        return apply(case, body);
    }
    let live = shown(case, &case.value(case.existing()?)?).ok_or_else(Status::no_such_path)?;
    let mut draft = Draft::default();
    let expected = Expected::subresource(case.kind(), "scale");
    let scale = patching::patched(case, how, body, &live, expected, &mut draft)?;
    rescale(case, scale, draft)
}

/// Server-side apply of a Scale: the manager comes to own the replicas of the object itself.
fn apply(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    let scale = &body.value;
    patching::check_options(case, PatchKind::Apply)?;
    patching::check_identity(scale, "Scale", "autoscaling/v1")?;
    let old = case.existing()?;
    let before = case.value(old)?;
    let mut config = json!({
        "apiVersion": case.kind().api_version(), "kind": case.kind().kind, "metadata": {"name": case.target().name},
    });
    if let Some(replicas) = scale.pointer("/spec/replicas") {
        match case.view.custom(case.kind()) {
            Some(version) => custom::set_replicas(version, &mut config, replicas.as_i64().unwrap_or_default()),
            None => config["spec"] = json!({"replicas": replicas}),
        }
    }
    let mut new = patching::applied(case, Some(&before), &config, Update::Sub("scale"))?;
    body::normalize(case, Expected::object(case.kind()), &mut new);
    let replicas = shown(case, &new).and_then(|scale| scale["spec"]["replicas"].as_i64()).unwrap_or_default();
    check_replicas(case, replicas)?;
    let mut draft = Draft::default();
    let new = prepare(case, old, new, Update::Main, &mut draft)?;
    draft.save_as(case, Some(old), new, |object| shown(case, object).unwrap_or_default())
}

fn check_replicas(case: &Case<'_>, replicas: i64) -> Result<(), Refusal> {
    if replicas >= 0 {
        return Ok(());
    }
    let path = Path::new("spec").child("replicas");
    let error = FieldError::invalid(&path, replicas, "must be greater than or equal to 0");
    Err(refuse::invalid("autoscaling", "Scale", &case.target().name, &error))
}

fn rescale(case: &Case<'_>, mut scale: Value, mut draft: Draft) -> Result<Decision, Refusal> {
    meta::matches_path(case, &mut scale)?;
    let old = case.existing()?;
    let replicas = wanted(&scale);
    check_replicas(case, replicas)?;
    meta::check_uid(case, &scale)?;
    meta::check_revision(case, &scale, Update::Sub("scale"))?;
    let before = case.value(old)?;
    let mut new = before.clone();
    set(case, &mut new, replicas);
    track(case, Some(&before), &mut new, Update::Sub("scale"))?;
    let new = prepare(case, old, new, Update::Main, &mut draft)?;
    draft.save_as(case, Some(old), new, |object| shown(case, object).unwrap_or_default())
}
