//! `pods/eviction`: deletes a pod the polite way, if its disruption budget allows it, and says so in its status.

use gantry_kinds::Status;
use serde_json::{Value, json};

use super::budget;
use crate::body::{self, Expected};
use crate::case::{Case, Refusal};
use crate::commit::{Draft, success};
use crate::request::{Body, Decision, DeleteOptions};
use crate::{admission, delete, meta};

pub(crate) fn decide(case: &Case<'_>, body: &Body) -> Result<Decision, Refusal> {
    let expected = Expected::subresource(case.kind(), "eviction");
    let decoded = body::decode(case, body, expected)?;
    let mut eviction = decoded.value;
    if meta::text(&eviction, "name") != case.target().name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object").into());
    }
    let old = case.existing()?;
    admission::delete(case, old)?;
    let mut draft = Draft::default();
    admission::post(case, expected, &mut eviction, &mut draft)?;
    let options = delete_options(&eviction);
    let dry = eviction.pointer("/deleteOptions/dryRun").and_then(Value::as_array).is_some_and(|run| !run.is_empty());
    let mut pod = old.value();
    let taken = budget::take(case, old, &pod)?;
    if old.header.deleted.is_none() {
        disrupted(case, &mut pod);
    }
    let decision = delete::delete(case, old, pod, &options)?.warning(draft.warnings);
    Ok(match decision {
        Decision::Commit { warnings, .. } if dry => Decision::Reply { reply: success(201), code: 201, warnings },
        Decision::Commit { mut writes, guards, warnings, .. } => {
            writes.extend(taken);
            Decision::Commit { writes, guards, reply: success(201), code: 201, warnings }
        }
        Decision::Reply { warnings, .. } => Decision::Reply { reply: success(201), code: 201, warnings },
        ended @ (Decision::Refuse(_) | Decision::Ask(_)) => ended,
    })
}

fn delete_options(eviction: &Value) -> DeleteOptions {
    let text = |pointer: &str| eviction.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    DeleteOptions {
        grace_seconds: eviction.pointer("/deleteOptions/gracePeriodSeconds").and_then(Value::as_i64),
        propagation: text("/deleteOptions/propagationPolicy"),
        uid: text("/deleteOptions/preconditions/uid"),
        revision: text("/deleteOptions/preconditions/resourceVersion"),
        collection: false,
    }
}

fn disrupted(case: &Case<'_>, pod: &mut Value) {
    let conditions = meta::list(meta::map(pod, "status"), "conditions");
    conditions.retain(|c| c["type"] != "DisruptionTarget");
    conditions.push(json!({
        "type": "DisruptionTarget", "status": "True", "lastProbeTime": null, "lastTransitionTime": case.now(),
        "reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting",
    }));
}
