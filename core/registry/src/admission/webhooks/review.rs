//! One question to one webhook, and what of its answer is taken.
//!
//! Invariants: an answer counts only for the question that it names, and a webhook that validates changes nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_kinds::tree::str_at;
use serde_json::{Value, json};

/// The group of reviews.
const GROUP: &str = "admission.k8s.io";
const KIND: &str = "AdmissionReview";
/// The version whose answers name the question that they are for.
const STRICT: &str = "v1";
const PATCH_TYPE: &str = "JSONPatch";

/// What one webhook is asked about one request.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmissionReview {
    /// The configuration that the webhook belongs to, as `KIND "NAME"`.
    pub configuration: String,
    /// The webhook's name.
    pub webhook: String,
    /// `clientConfig`: where it is, and how it is known.
    pub client: Value,
    /// How long it may take.
    pub seconds: u64,
    /// The version of the review that it understands.
    pub version: &'static str,
    /// Whether it may change the object.
    pub mutating: bool,
    /// The request, without a uid.
    pub request: Value,
}

impl AdmissionReview {
    /// The body that the webhook is sent.
    pub fn body(&self, uid: &str) -> Value {
        let mut request = self.request.clone();
        request["uid"] = uid.into();
        json!({"kind": KIND, "apiVersion": format!("{GROUP}/{}", self.version), "request": request})
    }

    /// The response in an answer, checked; else why it is none.
    pub fn accept(&self, uid: &str, answer: &Value) -> Result<Value, String> {
        self.checked(uid, answer).map_err(|why| format!("received invalid webhook response: {why}"))
    }

    fn checked(&self, uid: &str, answer: &Value) -> Result<Value, String> {
        let Some(response) = answer.get("response").filter(|response| response.is_object()) else {
            return Err("webhook response was absent".to_owned());
        };
        if response.get("allowed").is_some_and(|allowed| !allowed.is_boolean()) {
            return Err("response.allowed must be a boolean".to_owned());
        }
        let has = |key: &str| response.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
        let (patch, patch_type) = (has("patch"), has("patchType"));
        if self.version == STRICT {
            let named = str_at(response, "/uid");
            if named != uid {
                return Err(format!("expected response.uid={uid:?}, got {named:?}"));
            }
            let expected = format!("{GROUP}/{}, Kind={KIND}", self.version);
            let got = format!("{}, Kind={}", shown(str_at(answer, "/apiVersion")), str_at(answer, "/kind"));
            if got != expected {
                return Err(format!("expected webhook response of {expected}, got {got}"));
            }
            match str_at(response, "/patchType") {
                "" if patch && self.mutating => {
                    return Err("webhook returned response.patch but not response.patchType".to_owned());
                }
                "" | PATCH_TYPE => {}
                other if self.mutating => {
                    return Err(format!("webhook returned invalid response.patchType of {other:?}"));
                }
                _ => {}
            }
            if self.mutating && patch_type && !patch {
                return Err("webhook returned response.patchType but not response.patch".to_owned());
            }
        }
        if !self.mutating && patch {
            return Err("validating webhook may not return response.patch".to_owned());
        }
        if !self.mutating && patch_type {
            return Err("validating webhook may not return response.patchType".to_owned());
        }
        Ok(response.clone())
    }
}

/// A group and version as the words for kinds have them.
fn shown(api_version: &str) -> &str {
    if api_version.is_empty() { "/" } else { api_version }
}

/// The operations of a response; `None` where it changes nothing.
pub(super) fn patch(response: &Value) -> Result<Option<Value>, String> {
    let encoded = str_at(response, "/patch");
    if encoded.is_empty() {
        return Ok(None);
    }
    let bytes =
        STANDARD.decode(encoded).map_err(|error| format!("failed to call webhook: illegal base64 data: {error}"))?;
    let undecodable = |why: &str| format!("received undecodable patch in webhook response: {why}");
    let operations: Value = serde_json::from_slice(&bytes).map_err(|error| undecodable(&error.to_string()))?;
    let Some(list) = operations.as_array() else { return Err(undecodable("not a list of operations")) };
    Ok((!list.is_empty()).then_some(operations))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(mutating: bool, version: &'static str) -> AdmissionReview {
        AdmissionReview {
            configuration: String::new(),
            webhook: "w".to_owned(),
            client: Value::Null,
            seconds: 1,
            version,
            mutating,
            request: json!({"name": "a"}),
        }
    }

    #[test]
    fn an_answer_is_for_the_question_that_it_names() {
        let review = review(true, "v1");
        assert_eq!(review.body("u")["request"], json!({"name": "a", "uid": "u"}));
        let check = |answer: Value, expected: Result<(), &str>| {
            let got = review.accept("u", &answer).map(drop);
            let known = "received invalid webhook response: ";
            assert_eq!(
                got.as_ref().map_err(|why| why.strip_prefix(known).unwrap()),
                expected.as_ref().map_err(|why| *why)
            );
        };
        let of = |response: Value| json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        check(json!({}), Err("webhook response was absent"));
        check(of(json!({"uid": "u", "allowed": "yes"})), Err("response.allowed must be a boolean"));
        check(of(json!({"uid": "v"})), Err("expected response.uid=\"u\", got \"v\""));
        check(
            json!({"response": {"uid": "u"}}),
            Err("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind="),
        );
        check(
            of(json!({"uid": "u", "patch": "W10="})),
            Err("webhook returned response.patch but not response.patchType"),
        );
        check(
            of(json!({"uid": "u", "patch": "W10=", "patchType": "x"})),
            Err("webhook returned invalid response.patchType of \"x\""),
        );
        check(
            of(json!({"uid": "u", "patchType": "JSONPatch"})),
            Err("webhook returned response.patchType but not response.patch"),
        );
        check(of(json!({"uid": "u", "patch": "W10=", "patchType": "JSONPatch"})), Ok(()));
    }

    #[test]
    fn old_reviews_are_taken_as_they_are_and_checks_change_nothing() {
        let old = json!({"response": {"allowed": true, "patch": "W10="}});
        assert!(review(true, "v1beta1").accept("u", &old).is_ok());
        let why = review(false, "v1beta1").accept("u", &old).unwrap_err();
        assert!(why.ends_with("validating webhook may not return response.patch"), "{why}");
        assert_eq!(patch(&json!({"patch": "W10="})), Ok(None));
        for undecodable in ["!", "e30=", "aGVsbG8="] {
            assert!(patch(&json!({"patch": undecodable})).is_err(), "{undecodable}");
        }
    }
}
