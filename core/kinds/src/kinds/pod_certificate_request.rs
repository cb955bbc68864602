//! PodCertificateRequests: a node asks for a certificate that a pod is known by.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::columns::{NAME, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{pem, signer};
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
/// Signers of this domain vouch for no more than a day.
const OWN_SIGNERS: &str = "kubernetes.io/";
/// The conditions that decide; there is no other.
const DECISIONS: [&str; 3] = ["Issued", "Denied", "Failed"];
/// Between the ends of a certificate and the time to renew it.
const REFRESH_MARGIN: SignedDuration = SignedDuration::from_mins(10);

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

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        if update == Update::Sub("status") {
            return check_status(new, old);
        }
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
        let path = path.child("unverifiedUserAnnotations");
        if !key.contains('/') {
            let detail = "must be a domain-prefixed key (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(&path, key.as_str(), detail));
        }
        rules::each(key, names::qualified_name(key), &path, &mut errors);
    }
    for (named, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        let name = str_at(spec, &format!("/{named}"));
        rules::each(name, names::dns_subdomain(name), &path.child(named), &mut errors);
        if str_at(spec, &format!("/{uid}")).is_empty() {
            errors.push(FieldError::invalid(&path.child(uid), "", "must not be empty"));
        }
    }
    let longest = if str_at(spec, "/signerName").starts_with(OWN_SIGNERS) { DEFAULT_SECONDS } else { LONGEST };
    if let Some(seconds) = int_at(spec, "/maxExpirationSeconds").filter(|s| !(SHORTEST..=longest).contains(s)) {
        let detail = format!("must be in the range [{SHORTEST}, {longest}]");
        errors.push(FieldError::invalid(&path.child("maxExpirationSeconds"), seconds, detail));
    }
    if str_at(spec, "/stubPKCS10Request").is_empty() {
        let detail = "exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set";
        let message = format!("Invalid value: {detail}");
        errors.push(FieldError { path, reason: "FieldValueInvalid", message });
    }
    errors
}

/// A status is written once: with the one condition that decides, and a certificate if there is one.
fn check_status(new: &Value, old: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (status, path) = (&new["status"], Path::new("status"));
    let decided = |object: &Value, kinds: &[&str]| {
        list_at(object, "/status/conditions").iter().any(|condition| kinds.contains(&str_at(condition, "/type")))
    };
    let wrong = |detail: &str| FieldError {
        path: path.clone(),
        reason: "FieldValueInvalid",
        message: format!("Invalid value: {detail}"),
    };
    check_conditions(status, &mut errors);
    let present = |field: &&str| status.get(*field).is_some_and(|value| !value.is_null() && value != "");
    if !errors.is_empty() || new.get("status") == old.get("status") {
        return errors;
    }
    if decided(old, &DECISIONS) {
        errors.push(wrong("immutable after PodCertificateRequest is issued, denied, or failed"));
    } else if decided(new, &["Denied", "Failed"]) {
        if ["certificateChain", "notBefore", "beginRefreshAt", "notAfter"].iter().any(present) {
            let detail = "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
            errors.push(wrong(detail));
        }
    } else if decided(new, &["Issued"]) {
        check_issued(status, &mut errors);
    } else {
        errors.push(wrong(r#"status is immutable unless transitioning to "Issued", "Denied", or "Failed""#));
    }
    errors
}

fn check_conditions(status: &Value, errors: &mut ErrorList) {
    let path = Path::new("status").child("conditions");
    let conditions = list_at(status, "/conditions");
    for (at, condition) in conditions.iter().enumerate() {
        // wire: upstream writes the index as a field of its own in these two.
        let odd = path.child(&format!("[{at}]"));
        rules::one_of(str_at(condition, "/type"), &DECISIONS, &odd.child("type"), errors);
        if at > 0 {
            let detail = r#"There may be at most one condition with type "Issued", "Denied", or "Failed""#;
            errors.push(FieldError::invalid(&odd.child("type"), str_at(condition, "/type"), detail));
        }
        rules::one_of(str_at(condition, "/status"), &["True"], &odd.child("status"), errors);
        rules::required(str_at(condition, "/reason"), &path.index(at).child("reason"), errors);
    }
}

fn check_issued(status: &Value, errors: &mut ErrorList) {
    let path = Path::new("status");
    let chain = str_at(status, "/certificateChain");
    let blocks = pem::blocks(chain);
    if blocks.is_empty() || blocks.iter().any(|block| block.label != "CERTIFICATE") {
        let detail = "issued certificate chain must contain at least one certificate";
        errors.push(FieldError::invalid(&path.child("certificateChain"), chain, detail));
        return;
    }
    let time = |field: &str| str_at(status, &format!("/{field}")).parse::<Timestamp>().ok();
    let (not_before, not_after) = (time("notBefore"), time("notAfter"));
    for (field, missing) in [("notBefore", not_before.is_none()), ("notAfter", not_after.is_none())] {
        if missing {
            let detail = "must be present and consistent with the issued certificate";
            errors.push(FieldError::required(&path.child(field), detail));
        }
    }
    let Some((not_before, not_after)) = not_before.zip(not_after) else { return };
    let refresh = path.child("beginRefreshAt");
    let Some(refresh_at) = time("beginRefreshAt") else {
        let detail = "must be present and in the range [notbefore+10min, notafter-10min]";
        errors.push(FieldError::required(&refresh, detail));
        return;
    };
    let shown = str_at(status, "/beginRefreshAt");
    if refresh_at.duration_since(not_before) < REFRESH_MARGIN {
        errors.push(FieldError::invalid(&refresh, shown, "must be at least 10 minutes after status.notBefore"));
    }
    if not_after.duration_since(refresh_at) < REFRESH_MARGIN {
        errors.push(FieldError::invalid(&refresh, shown, "must be at least 10 minutes before status.notAfter"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_written_once_and_whole() {
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "R"}]);
        let chain = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        let issued = json!({"conditions": condition("Issued"), "certificateChain": chain, "notBefore":
            "2026-01-01T00:00:00Z", "beginRefreshAt": "2026-01-01T00:30:00Z", "notAfter": "2026-01-01T01:00:00Z"});
        let texts = |old: &Value, new: &Value| {
            let errors = check_status(&json!({"status": new}), &json!({"status": old}));
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        let (none, denied) = (json!({}), json!({"conditions": condition("Denied")}));
        assert_eq!(texts(&none, &issued), "");
        assert_eq!(texts(&none, &denied), "");
        let why = "status: Invalid value: immutable after PodCertificateRequest is issued, denied, or failed";
        assert_eq!(texts(&denied, &issued), why);
        let mut late = issued.clone();
        late["beginRefreshAt"] = json!("2026-01-01T00:51:00Z");
        let why = "status.beginRefreshAt: Invalid value: \"2026-01-01T00:51:00Z\": must be at least 10 minutes before \
                   status.notAfter";
        assert_eq!(texts(&none, &late), why);
        let bare = json!({"certificateChain": chain});
        assert!(texts(&none, &bare).contains("status is immutable unless transitioning to"));
        let mut both = issued.clone();
        both["conditions"] = condition("Denied");
        assert!(texts(&none, &both).contains("non-condition status fields must be empty"));
        let other = json!({"conditions": condition("Foo")});
        let why = "status.conditions.[0].type: Unsupported value: \"Foo\": supported values: \"Issued\", \"Denied\", \
                   \"Failed\"";
        assert_eq!(texts(&none, &other), why);
    }

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
