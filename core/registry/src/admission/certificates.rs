//! Requests for certificates: who asks is what the server knows of the user, never what the body says; who approves and
//! who signs needs that right for the signer; and nobody asks for the group that may do everything.

use gantry_kinds::kinds::certificate_signing_request::organizations;
use gantry_kinds::tree::str_at;
use gantry_kinds::{CERTIFICATE_SIGNING_REQUEST, Update};
use gantry_policy::{Attributes, authorize};
use serde_json::{Map, Value, json};

use super::forbidden;
use crate::case::{Case, Refusal};
use crate::meta;

/// The signer of certificates by which clients of the API say who they are.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";
/// Whose members may do everything.
const MASTERS: &str = "system:masters";

/// Writes the requester into a new request.
pub(super) fn name_requester(case: &Case<'_>, object: &mut Value) {
    if case.kind() != &CERTIFICATE_SIGNING_REQUEST {
        return;
    }
    let user = &case.request.user;
    let spec = meta::map(object, "spec");
    ["username", "uid", "groups", "extra"].iter().for_each(|field| drop(spec.remove(*field)));
    spec.insert("username".to_owned(), user.name.as_str().into());
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), user.uid.as_str().into());
    }
    if !user.groups.is_empty() {
        spec.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        spec.insert("extra".to_owned(), Value::Object(extra));
    }
}

/// Refuses a request for a client that may do everything.
pub(super) fn check_create(case: &Case<'_>, object: &Value) -> Result<(), Refusal> {
    if case.kind() != &CERTIFICATE_SIGNING_REQUEST || str_at(object, "/spec/signerName") != CLIENT_SIGNER {
        return Ok(());
    }
    if organizations(str_at(object, "/spec/request")).iter().any(|organization| organization == MASTERS) {
        let why = format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed");
        return Err(forbidden(case, object, &why));
    }
    Ok(())
}

/// Refuses approval and signatures by those who may not give them for the signer.
pub(super) fn check_update(case: &Case<'_>, new: &Value, old: &Value, way: Update<'_>) -> Result<(), Refusal> {
    if case.kind() != &CERTIFICATE_SIGNING_REQUEST {
        return Ok(());
    }
    let differs = |pointer| new.pointer(pointer) != old.pointer(pointer);
    let verb = match way {
        Update::Sub("approval") => "approve",
        Update::Sub("status") if differs("/status/certificate") || differs("/status/conditions") => "sign",
        _ => return Ok(()),
    };
    let signer = str_at(old, "/spec/signerName");
    if may(case, verb, signer) {
        return Ok(());
    }
    Err(forbidden(case, new, &format!("user not permitted to {verb} requests with signerName {signer:?}")))
}

/// Whether the user has the right for the signer, or for all of its domain.
fn may(case: &Case<'_>, verb: &str, signer: &str) -> bool {
    let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    [signer, &domain].into_iter().any(|name| {
        let asked = Attributes::resource(case.user(), verb, &CERTIFICATE_SIGNING_REQUEST, "", name);
        authorize(case.view, &Attributes { resource: "signers", ..asked }).allowed
    })
}
