//! PodCertificateRequests: a node asks for a certificate that a pod is known by.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::columns::{NAME, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::signer;
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules::{self, IMMUTABLE};
use crate::tree::{child, int_at, keep, list_at, map_at, set_default, str_at, text};

/// The row of `PodCertificateRequest`.
pub static POD_CERTIFICATE_REQUEST: Kind = Kind {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "PodCertificateRequest",
    plural: "podcertificaterequests",
    singular: "podcertificaterequest",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: true,
    verbs: STORED_VERBS,
    subresources: &[Subresource {
        name: "status",
        group_version: None,
        kind: "PodCertificateRequest",
        schema: "io.k8s.api.certificates.v1.PodCertificateRequest",
        verbs: STATUS_VERBS,
    }],
    schema: "io.k8s.api.certificates.v1.PodCertificateRequest",
    strategy: &PodRequestStrategy,
    columns: &[
        NAME,
        Column::field("PodName", "io.k8s.api.certificates.v1.PodCertificateRequestSpec.podName"),
        Column::field("ServiceAccountName", "io.k8s.api.certificates.v1.PodCertificateRequestSpec.serviceAccountName"),
        Column::field("NodeName", "io.k8s.api.certificates.v1.PodCertificateRequestSpec.nodeName"),
        Column::field("SignerName", "io.k8s.api.certificates.v1.PodCertificateRequestSpec.signerName"),
        Column::text("State", "Is the request Pending, Issued, Denied, or Failed?"),
        Column::field(
            "UnverifiedUserAnnotations",
            "io.k8s.api.certificates.v1.PodCertificateRequestSpec.unverifiedUserAnnotations",
        ),
    ],
    cells,
    selectable: &[
        ("spec.signerName", |o| text(o, "/spec/signerName")),
        ("spec.podName", |o| text(o, "/spec/podName")),
        ("spec.nodeName", |o| text(o, "/spec/nodeName")),
    ],
};

const SHORTEST: i64 = 3600;
const LONGEST: i64 = 7_862_400;
const DEFAULT_SECONDS: i64 = 86_400;

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    let part = |field: &str| Value::from(str_at(o, &format!("/spec/{field}")));
    let state = list_at(o, "/status/conditions").iter().map(|c| str_at(c, "/type"));
    let state = state.into_iter().find(|kind| ["Issued", "Denied", "Failed"].contains(kind)).unwrap_or("Pending");
    let notes: Vec<_> = map_at(o, "/spec/unverifiedUserAnnotations")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    vec![
        name(o),
        part("podName"),
        part("serviceAccountName"),
        part("nodeName"),
        part("signerName"),
        Value::from(state),
        Value::from(notes.join(",")),
    ]
}

struct PodRequestStrategy;

impl Strategy for PodRequestStrategy {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.as_object_mut().and_then(|object| child(object, "spec")) {
            set_default(spec, "maxExpirationSeconds", DEFAULT_SECONDS);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, if update == Update::Sub("status") { "spec" } else { "status" });
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = ErrorList::new();
        if new.get("spec") != old.get("spec") {
            errors.push(FieldError::invalid(&Path::new("spec"), new["spec"].clone(), IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    signer::check(str_at(spec, "/signerName"), &path.child("signerName"), &mut errors);
    for (key, _) in map_at(spec, "/unverifiedUserAnnotations") {
        rules::each(key, names::qualified_name(key), &path.child("unverifiedUserAnnotations"), &mut errors);
    }
    for (named, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        let name = str_at(spec, &format!("/{named}"));
        rules::each(name, names::dns_subdomain(name), &path.child(named), &mut errors);
        if str_at(spec, &format!("/{uid}")).is_empty() {
            errors.push(FieldError::invalid(&path.child(uid), "", "must not be empty"));
        }
    }
    if let Some(seconds) = int_at(spec, "/maxExpirationSeconds").filter(|s| !(SHORTEST..=LONGEST).contains(s)) {
        let detail = format!("must be in the range [{SHORTEST}, {LONGEST}]");
        errors.push(FieldError::invalid(&path.child("maxExpirationSeconds"), seconds, detail));
    }
    if str_at(spec, "/stubPKCS10Request").is_empty() {
        let detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        let message = format!("Invalid value: {detail}");
        errors.push(FieldError { path, reason: "FieldValueInvalid", message });
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_for_whom() {
        let request = json!({"spec": {"signerName": "a.b/c", "podName": "p", "podUID": "u", "serviceAccountName": "s",
            "serviceAccountUID": "u", "nodeName": "n", "maxExpirationSeconds": 5}});
        let texts: Vec<_> = check(&request).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "spec.nodeUID: Invalid value: \"\": must not be empty",
                "spec.maxExpirationSeconds: Invalid value: 5: must be in the range [3600, 7862400]",
                "spec: Invalid value: exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set",
            ]
        );
        assert_eq!(cells(&request, Timestamp::UNIX_EPOCH)[5], "Pending");
    }
}
