//! Requests for certificates: who asks is what the server knows of the user, never what the body says; who approves and
//! who signs needs that right for the signer; and nobody asks for the group that may do everything.

use gantry_kinds::field::{FieldError, Path};
use gantry_kinds::kinds::certificate_signing_request::organizations;
use gantry_kinds::tree::str_at;
use gantry_kinds::{CERTIFICATE_SIGNING_REQUEST, POD_CERTIFICATE_REQUEST, Update};
use gantry_policy::Attributes;
use serde_json::Value;

use super::{Plugin, forbidden};
use crate::case::{Case, Refusal};
use crate::{meta, refuse};

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
    spec.extend(user.shown("username"));
}

/// Refuses a request for a client that may do everything.
pub(super) fn check_create(case: &Case<'_>, object: &Value) -> Result<(), Refusal> {
    let acts = case.kind() == &CERTIFICATE_SIGNING_REQUEST && case.has(Plugin::CertificateSubjectRestriction);
    if !acts || str_at(object, "/spec/signerName") != CLIENT_SIGNER {
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
    if case.kind() == &POD_CERTIFICATE_REQUEST && way == Update::Sub("status") {
        return check_signer(case, old);
    }
    if case.kind() != &CERTIFICATE_SIGNING_REQUEST {
        return Ok(());
    }
    let differs = |pointer| new.pointer(pointer) != old.pointer(pointer);
    let verb = match way {
        Update::Sub("approval") if case.has(Plugin::CertificateApproval) => "approve",
        Update::Sub("status")
            if case.has(Plugin::CertificateSigning)
                && (differs("/status/certificate") || differs("/status/conditions")) =>
        {
            "sign"
        }
        _ => return Ok(()),
    };
    let signer = str_at(old, "/spec/signerName");
    if may(case, verb, signer)? {
        return Ok(());
    }
    Err(forbidden(case, new, &format!("user not permitted to {verb} requests with signerName {signer:?}")))
}

/// Who answers a node's request for a pod signs in the name of the signer.
fn check_signer(case: &Case<'_>, request: &Value) -> Result<(), Refusal> {
    let signer = str_at(request, "/spec/signerName");
    if may(case, "sign", signer)? {
        return Ok(());
    }
    let detail = format!("User {:?} is not permitted to \"sign\" for signer {signer:?}", case.user().name);
    let error = FieldError::forbidden(&Path::new("spec").child("signerName"), detail);
    let (group, name) = (POD_CERTIFICATE_REQUEST.group, &case.target().name);
    Err(refuse::invalid(group, POD_CERTIFICATE_REQUEST.kind, name, &error))
}

/// Whether the user has the right for the signer, or for all of its domain.
pub(super) fn may(case: &Case<'_>, verb: &str, signer: &str) -> Result<bool, Refusal> {
    let domain = format!("{}/*", signer.split('/').next().unwrap_or_default());
    for name in [signer, &domain] {
        let asked = Attributes::resource(case.user(), verb, &CERTIFICATE_SIGNING_REQUEST, "", name);
        if case.authorize(&Attributes { resource: "signers", version: "*", ..asked })?.allowed {
            return Ok(true);
        }
    }
    Ok(false)
}
