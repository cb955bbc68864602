//! CertificateSigningRequests: who asks for a certificate, who approved it, and the certificate.
//!
//! Invariants: the spec never changes; only `approval` adds Approved and Denied, and nothing takes them away again; a
//! certificate that is there stays.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::age;
use crate::columns::{AGE, NAME, age_of, name};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{pem, signer};
use crate::names;
use crate::row::{Column, Kind, STATUS_VERBS, STORED_VERBS, Strategy, Subresource, Update};
use crate::rules;
use crate::tree::{int_at, keep, list_at, set_default, str_at};

/// The row of `CertificateSigningRequest`.
pub static CERTIFICATE_SIGNING_REQUEST: Kind = Kind {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "CertificateSigningRequest",
    plural: "certificatesigningrequests",
    singular: "certificatesigningrequest",
    version_of: None,
    short_names: &["csr"],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[
        Subresource {
            name: "approval",
            group_version: None,
            kind: "CertificateSigningRequest",
            schema: "io.k8s.api.certificates.v1.CertificateSigningRequest",
            verbs: STATUS_VERBS,
        },
        Subresource {
            name: "status",
            group_version: None,
            kind: "CertificateSigningRequest",
            schema: "io.k8s.api.certificates.v1.CertificateSigningRequest",
            verbs: STATUS_VERBS,
        },
    ],
    schema: "io.k8s.api.certificates.v1.CertificateSigningRequest",
    strategy: &RequestStrategy,
    columns: &[
        NAME,
        AGE,
        Column::field("SignerName", "io.k8s.api.certificates.v1.CertificateSigningRequestSpec.signerName"),
        Column::text("Requestor", "Base64-encoded PKCS#10 CSR data"),
        Column::field(
            "RequestedDuration",
            "io.k8s.api.certificates.v1.CertificateSigningRequestSpec.expirationSeconds",
        ),
        Column::text("Condition", "Conditions applied to the request, such as approval or denial."),
    ],
    cells,
    selectable: &[("spec.signerName", |o| crate::tree::text(o, "/spec/signerName"))],
};

const SHORTEST: i64 = 600;
const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];
/// The conditions that decide.
const DECISIONS: [&str; 2] = ["Approved", "Denied"];

fn cells(o: &Value, now: Timestamp) -> Vec<Value> {
    let duration = int_at(o, "/spec/expirationSeconds").map_or_else(|| "<none>".to_owned(), age::span);
    vec![
        name(o),
        age_of(o, now),
        Value::from(str_at(o, "/spec/signerName")),
        Value::from(str_at(o, "/spec/username")),
        Value::from(duration),
        Value::from(condition(o)),
    ]
}

fn condition(o: &Value) -> String {
    let has = |kind: &str| list_at(o, "/status/conditions").iter().any(|c| str_at(c, "/type") == kind);
    let mut words = vec![match (has("Denied"), has("Approved")) {
        (true, _) => "Denied",
        (_, true) => "Approved",
        _ => "Pending",
    }];
    if has("Failed") {
        words.push("Failed");
    }
    if !str_at(o, "/status/certificate").is_empty() {
        words.push("Issued");
    }
    words.join(",")
}

struct RequestStrategy;

impl Strategy for RequestStrategy {
    fn prepare_create(&self, object: &mut Value) {
        object["status"] = json!({});
    }

    fn prepare_update(&self, new: &mut Value, old: &Value, update: Update<'_>) {
        keep(new, old, "spec");
        match update {
            Update::Main => keep(new, old, "status"),
            Update::Sub("approval") => {
                let conditions = new.pointer("/status/conditions").cloned();
                keep(new, old, "status");
                if let Some(conditions) = conditions {
                    new["status"]["conditions"] = conditions;
                } else if let Some(status) = new.get_mut("status").and_then(Value::as_object_mut) {
                    status.remove("conditions");
                }
            }
            Update::Sub(_) => keep_decisions(new, old),
        }
    }

    fn stamp_update(&self, new: &mut Value, old: &Value, now: &str) {
        stamp_conditions(new, old, now);
    }

    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, update: Update<'_>) -> ErrorList {
        let mut errors = check_conditions(new);
        let path = Path::new("status").child("conditions");
        let decided =
            |o: &Value, kind: &str| list_at(o, "/status/conditions").iter().any(|c| str_at(c, "/type") == kind);
        for kind in DECISIONS {
            let verb = match (decided(old, kind), decided(new, kind)) {
                (true, false) => "remove",
                (false, true) if update != Update::Sub("approval") => "add",
                _ => continue,
            };
            let detail = format!("updates may not {verb} a condition of type \"{kind}\"");
            errors.push(FieldError::forbidden(&path, detail));
        }
        if update == Update::Sub("status") {
            check_certificate(new, old, &mut errors);
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        names::dns_subdomain(names::stem(name, prefix))
    }
}

fn check(object: &Value) -> ErrorList {
    let path = Path::new("spec");
    let spec = &object["spec"];
    let mut errors = ErrorList::new();
    let request = str_at(spec, "/request");
    let blocks = decoded(request).map(|text| pem::blocks(&text)).unwrap_or_default();
    if blocks.first().is_none_or(|block| block.label != "CERTIFICATE REQUEST") {
        let shown = spec.get("request").cloned().unwrap_or_default();
        errors.push(FieldError::invalid(&path.child("request"), shown, "PEM block type must be CERTIFICATE REQUEST"));
    }
    let usages: Vec<_> = list_at(spec, "/usages").iter().filter_map(Value::as_str).collect();
    if usages.is_empty() {
        errors.push(FieldError::required(&path.child("usages"), ""));
    }
    for (at, usage) in usages.iter().enumerate() {
        let path = path.child("usages").index(at);
        rules::one_of(usage, &USAGES, &path, &mut errors);
        if usages[..at].contains(usage) {
            errors.push(FieldError::duplicate(&path, *usage));
        }
    }
    let name = str_at(spec, "/signerName");
    if name == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(&path.child("signerName"), name, detail));
    } else {
        signer::check(name, &path.child("signerName"), &mut errors);
    }
    if let Some(seconds) = int_at(spec, "/expirationSeconds").filter(|seconds| *seconds < SHORTEST) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(&path.child("expirationSeconds"), seconds, detail));
    }
    errors
}

fn conditions_of(object: &mut Value) -> &mut [Value] {
    object.pointer_mut("/status/conditions").and_then(Value::as_array_mut).map_or(&mut [], Vec::as_mut_slice)
}

fn same_type<'a>(conditions: &'a [Value], condition: &Value) -> Option<&'a Value> {
    conditions.iter().find(|other| str_at(other, "/type") == str_at(condition, "/type"))
}

/// What was decided stays as it was said.
fn keep_decisions(new: &mut Value, old: &Value) {
    let before = list_at(old, "/status/conditions");
    for condition in conditions_of(new).iter_mut().filter(|c| DECISIONS.contains(&str_at(c, "/type"))) {
        if let Some(decided) = same_type(before, condition) {
            *condition = decided.clone();
        }
    }
}

/// Conditions that name no times are given them: updated now, and turned when their status last changed.
fn stamp_conditions(new: &mut Value, old: &Value, now: &str) {
    let before = list_at(old, "/status/conditions");
    if list_at(new, "/status/conditions") == before {
        return;
    }
    for condition in conditions_of(new) {
        let same = same_type(before, condition).filter(|old| str_at(old, "/status") == str_at(condition, "/status"));
        let turned = same.map(|old| str_at(old, "/lastTransitionTime")).filter(|time| !time.is_empty()).unwrap_or(now);
        let Some(condition) = condition.as_object_mut() else { continue };
        set_default(condition, "lastUpdateTime", now);
        set_default(condition, "lastTransitionTime", turned);
    }
}

fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}

/// The organizations that a request names for its subject, which become the groups of a client.
pub fn organizations(request: &str) -> Vec<String> {
    /// The identifier of the attribute, and before it its type and length.
    const ATTRIBUTE: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0a];
    let blocks = decoded(request).map(|text| pem::blocks(&text)).unwrap_or_default();
    let Some(content) = blocks.into_iter().next().map(|block| block.content) else { return Vec::new() };
    let ends = content.windows(ATTRIBUTE.len()).enumerate().filter(|(_, window)| *window == ATTRIBUTE);
    let values = ends.filter_map(|(at, _)| match content.get(at + ATTRIBUTE.len()..)? {
        // The type of the text, its length, and the text; names as long as need more octets are of no known group.
        [_, length, text @ ..] if *length < 0x80 => text.get(..usize::from(*length)),
        _ => None,
    });
    values.map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn check_conditions(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("status").child("conditions");
    let conditions = list_at(object, "/status/conditions");
    let kinds: Vec<_> = conditions.iter().map(|c| str_at(c, "/type")).collect();
    for (at, condition) in conditions.iter().enumerate() {
        let (path, kind, status) = (path.index(at), kinds[at], str_at(condition, "/status"));
        rules::required(kind, &path.child("type"), &mut errors);
        let decisive = DECISIONS.contains(&kind) || kind == "Failed";
        let known: &[&str] = if decisive { &["True"] } else { &["True", "False", "Unknown"] };
        rules::required_one_of(status, known, &path.child("status"), &mut errors);
        if kinds[..at].contains(&kind) {
            errors.push(FieldError::duplicate(&path.child("type"), kind));
        }
    }
    if DECISIONS.iter().all(|kind| kinds.contains(kind)) {
        let which = |kind: &str| format!("conditions[{{\"type\": \"{kind}\"}}]");
        let both = format!("{{{}, {}}}", which("Approved"), which("Denied"));
        let detail = format!("must specify at most one of: `{}`, `{}`", which("Approved"), which("Denied"));
        errors.push(FieldError::invalid(&path, both, detail));
    }
    errors
}

fn check_certificate(new: &Value, old: &Value, errors: &mut ErrorList) {
    let path = Path::new("status").child("certificate");
    let (certificate, before) = (str_at(new, "/status/certificate"), str_at(old, "/status/certificate"));
    if certificate == before {
        return;
    }
    if !before.is_empty() {
        errors.push(FieldError::forbidden(&path, "updates may not modify existing certificate content"));
        return;
    }
    let blocks = decoded(certificate).map(|text| pem::blocks(&text)).unwrap_or_default();
    if !blocks.iter().any(|block| block.label == "CERTIFICATE") {
        let detail = "must contain at least one CERTIFICATE PEM block";
        errors.push(FieldError::invalid(&path, "<certificate data>", detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Value {
        let text =
            BASE64_STANDARD.encode("-----BEGIN CERTIFICATE REQUEST-----\nYWJj\n-----END CERTIFICATE REQUEST-----\n");
        json!({"metadata": {"name": "r"}, "spec": {"request": text, "signerName": "a.b/c", "usages": ["client auth"]}, "status": {}})
    }

    fn update(old: &Value, status: Value, update: Update<'_>) -> (Value, Vec<String>) {
        let mut new = old.clone();
        new["status"] = status;
        RequestStrategy.prepare_update(&mut new, old, update);
        let errors = RequestStrategy.validate_update(&new, old, update);
        (new, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn only_approval_decides_and_only_once() {
        let old = request();
        assert!(check(&old).is_empty());
        let approved = json!({"conditions": [{"type": "Approved", "status": "True"}]});
        let (_, errors) = update(&old, approved.clone(), Update::Sub("status"));
        assert_eq!(errors, ["status.conditions: Forbidden: updates may not add a condition of type \"Approved\""]);
        let (new, errors) = update(&old, approved.clone(), Update::Sub("approval"));
        assert_eq!((condition(&new), errors.len()), ("Approved".to_owned(), 0));
        let (_, errors) = update(&new, json!({}), Update::Sub("approval"));
        assert_eq!(errors, ["status.conditions: Forbidden: updates may not remove a condition of type \"Approved\""]);
        let (same, _) = update(&new, json!({}), Update::Main);
        assert_eq!(same, new);
    }

    #[test]
    fn conditions_tell_when_they_turned_and_decisions_stay() {
        let times = |object: &Value, at: usize| {
            let condition = &object["status"]["conditions"][at];
            ["lastUpdateTime", "lastTransitionTime"].map(|key| str_at(condition, &format!("/{key}")).to_owned())
        };
        let say = |old: &Value, conditions: Value, how: &str, now: &str| {
            let (mut new, _) = update(old, json!({ "conditions": conditions }), Update::Sub(how));
            RequestStrategy.stamp_update(&mut new, old, now);
            new
        };
        let approved = json!([{"type": "Approved", "status": "True", "message": "m"}]);
        let first = say(&request(), approved, "approval", "1");
        assert_eq!(times(&first, 0), ["1", "1"]);
        let failed = json!([{"type": "Approved", "status": "True"}, {"type": "X", "status": "True"}]);
        let second = say(&first, failed, "status", "2");
        assert_eq!((times(&second, 0), times(&second, 1)), (times(&first, 0), ["2", "2"].map(str::to_owned)));
        assert_eq!(second["status"]["conditions"][0]["message"], "m");
        let again = json!([{"type": "Approved", "status": "True"}, {"type": "X", "status": "True", "message": "n"}]);
        let third = say(&second, again.clone(), "status", "3");
        assert_eq!(times(&third, 1), ["3", "2"]);
        let mut turned = again;
        turned[1]["status"] = json!("False");
        assert_eq!(times(&say(&third, turned, "status", "4"), 1), ["4", "4"]);
    }

    #[test]
    fn a_request_is_checked() {
        let mut bad = request();
        bad["spec"] = json!({"request": "YWJj", "signerName": "a/b", "usages": ["X"], "expirationSeconds": 5});
        assert_eq!(
            check(&bad).iter().map(|e| e.path.to_string()).collect::<Vec<_>>(),
            ["spec.request", "spec.usages[0]", "spec.signerName", "spec.expirationSeconds",]
        );
    }
}
