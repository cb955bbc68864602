//! Signs what is approved, each signer within what it vouches for.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gantry_kinds::tree::{int_at, str_at};
use gantry_view::{Change, Outcome, Turn, View};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    CLIENT, LEGACY, NODE_CLIENT, NODE_SERVING, Plan, Signatory, all_requests, changed_requests, check_node_client,
    check_node_serving, text, usages,
};
use crate::{Controller, QueueKey, conditions, write};

/// Clocks of other machines may be behind by this much.
const BACKDATE: SignedDuration = SignedDuration::from_mins(5);
/// The life of a certificate, and the longest that may be asked for.
const LONGEST_SECONDS: i64 = 365 * 24 * 3600;
/// The shortest that may be asked for.
const SHORTEST_SECONDS: i64 = 600;

/// The controller that signs.
pub(crate) struct Signer {
    signatory: Arc<dyn Signatory>,
}

impl Signer {
    pub(crate) fn new(signatory: Arc<dyn Signatory>) -> Self {
        Signer { signatory }
    }

    /// The certificate, or why there is none.
    fn sign(&self, request: &Value, now: Timestamp) -> Result<String, String> {
        let text = text(request).ok_or("unable to parse csr")?;
        let asked = self.signatory.read(&text).map_err(|why| format!("unable to parse csr {why:?}"))?;
        let usages = usages(request);
        match str_at(request, "/spec/signerName") {
            CLIENT => check_client(&usages)?,
            NODE_CLIENT => check_node_client(&asked, &usages)?,
            NODE_SERVING => check_node_serving(&asked, &usages)?,
            _ => {}
        }
        self.signatory.sign(&text, &plan(request, &usages, now))
    }
}

/// What a client of the API may be signed for.
fn check_client(usages: &[&str]) -> Result<(), String> {
    let known = ["digital signature", "key encipherment", "client auth"];
    if let Some(usage) = usages.iter().find(|usage| !known.contains(usage)) {
        return Err(format!("invalid usage for client certificate: {usage}"));
    }
    if usages.contains(&"client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn plan(request: &Value, usages: &[&str], now: Timestamp) -> Plan {
    let wanted = int_at(request, "/spec/expirationSeconds").unwrap_or(LONGEST_SECONDS);
    let life = SignedDuration::from_secs(wanted.clamp(SHORTEST_SECONDS, LONGEST_SECONDS));
    // Those who ask for much get no more for the clocks of others.
    let not_before = now.checked_sub(BACKDATE).unwrap_or(now);
    let begin = if wanted >= LONGEST_SECONDS { not_before } else { now };
    let not_after = begin.checked_add(life).unwrap_or(Timestamp::MAX);
    Plan { usages: usages.iter().map(ToString::to_string).collect(), not_before, not_after }
}

impl Controller for Signer {
    fn name(&self) -> &'static str {
        super::NAME
    }

    fn initial(&self, view: &View) -> Vec<QueueKey> {
        all_requests(view)
    }

    fn keys(&self, change: &Change, _view: &View, out: &mut Vec<QueueKey>) {
        changed_requests(change, out);
    }

    fn reconcile(&mut self, key: &QueueKey, turn: Turn<'_>) -> Outcome {
        let mut outcome = Outcome::nothing();
        let Some(object) = key.object().and_then(|key| turn.view.at(key)) else { return outcome };
        let request = object.value();
        let ours = [CLIENT, NODE_CLIENT, NODE_SERVING, LEGACY].contains(&str_at(&request, "/spec/signerName"));
        let over =
            super::is_issued(&request) || ["Denied", "Failed"].iter().any(|k| conditions::find(&request, k).is_some());
        if !ours || over || conditions::find(&request, "Approved").is_none() {
            return outcome;
        }
        let status = match self.sign(&request, turn.now) {
            Ok(certificate) => json!({"certificate": BASE64_STANDARD.encode(certificate)}),
            Err(why) => {
                json!({"conditions": conditions::with(&request, "Failed", "SignerValidationFailure", &why)})
            }
        };
        outcome.push(write::patch(object, "status", json!({"status": status})));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use gantry_kinds::CERTIFICATE_SIGNING_REQUEST;

    use super::super::tests::{Paper, request};
    use super::*;
    use crate::harness::World;

    /// What becomes of a request: its certificate, or why it failed.
    fn signed(signer: &str, usages: Value, conditions: Value, seconds: Option<i64>) -> String {
        let mut world = World::new();
        let mut object = request("r", signer, "jane", usages, json!({"cn": "jane"}));
        object["status"] = json!({"conditions": conditions});
        if let Some(seconds) = seconds {
            object["spec"]["expirationSeconds"] = json!(seconds);
        }
        let key = world.put(&CERTIFICATE_SIGNING_REQUEST, object);
        world.settle(&mut [&mut Signer::new(Arc::new(Paper { rights: vec![] }))]);
        let found = world.view.at(&key).unwrap().value();
        let failed = conditions::find(&found, "Failed").map(|condition| str_at(condition, "/message").to_owned());
        let certificate = BASE64_STANDARD.decode(str_at(&found, "/status/certificate")).unwrap();
        failed.unwrap_or_else(|| String::from_utf8(certificate).unwrap())
    }

    #[test]
    fn what_is_approved_is_signed_or_told_to_have_failed() {
        let approved = json!([{"type": "Approved", "status": "True"}]);
        let client = json!(["client auth"]);
        assert_eq!(
            signed(CLIENT, client.clone(), approved.clone(), Some(1200)),
            "client auth from 2025-12-31T23:55:00Z to 2026-01-01T00:20:00Z"
        );
        assert_eq!(
            signed(CLIENT, client.clone(), approved.clone(), None),
            "client auth from 2025-12-31T23:55:00Z to 2026-12-31T23:55:00Z"
        );
        assert_eq!(signed(CLIENT, client.clone(), json!([]), None), "");
        assert_eq!(signed("example.com/other", client.clone(), approved.clone(), None), "");
        let denied = json!([{"type": "Denied", "status": "True"}]);
        assert_eq!(signed(CLIENT, client, denied, None), "");
        let server = json!(["server auth", "client auth"]);
        assert_eq!(signed(CLIENT, server, approved.clone(), None), "invalid usage for client certificate: server auth");
        let signature = json!(["digital signature"]);
        let why = "missing required usage for client certificate: client auth";
        assert_eq!(signed(CLIENT, signature, approved, None), why);
    }
}
