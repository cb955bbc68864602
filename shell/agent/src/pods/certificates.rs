//! Certificates of a pod: keys are made here, requests go to the API, and whoever signs answers there.
//!
//! Invariants: at most one request for a slot is under way; a certificate that has not ended stays in use until there
//! is the next; what was refused before there was any certificate is not asked for again.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_client::{ClientError, Event};
use gantry_node::certificates::{self, Credential, NOT_ISSUED, Slot, Verdict};
use gantry_node::{Notice, pod};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodCertificateProjection;
use parking_lot::Mutex;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use serde_json::Value;

use super::worker::Scene;
use crate::limits::{CERTIFICATE_AGAIN, CERTIFICATE_GLANCE, CERTIFICATE_WAIT};

const FOLDER: &str = "/apis/certificates.k8s.io/v1/namespaces";

/// The certificates of a pod by their slots.
pub(super) type Certificates = Arc<Mutex<BTreeMap<Slot, State>>>;

/// One certificate over time.
#[derive(Clone, Default)]
pub(super) struct State {
    held: Option<Held>,
    pending: Option<Pending>,
    /// Why there will be none.
    refused: Option<String>,
}

#[derive(Clone)]
struct Held {
    credential: Credential,
    refresh_at: Timestamp,
    not_after: Timestamp,
}

/// A request that nobody has decided.
#[derive(Clone)]
struct Pending {
    name: String,
    key: String,
}

impl State {
    /// When something is to be done about it.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.held.as_ref().map(|held| held.refresh_at)
    }

    /// Takes what was decided of a request; what is to be told of it.
    fn decide(&mut self, verdict: Verdict, now: Timestamp) -> Option<String> {
        match (verdict, &mut self.held) {
            (Verdict::Pending, _) => None,
            (Verdict::Issued { chain, refresh_at, not_after }, _) => {
                let key = self.pending.take()?.key;
                self.held = Some(Held { credential: Credential { key, chain }, refresh_at, not_after });
                None
            }
            (Verdict::Refused(why), held) => {
                self.pending = None;
                match held {
                    Some(held) => held.refresh_at = later(now, CERTIFICATE_AGAIN),
                    None => self.refused = Some(why.clone()),
                }
                Some(why)
            }
        }
    }

    /// What a volume may hold now.
    fn credential(&self, now: Timestamp) -> Result<Credential, String> {
        match (&self.held, &self.refused) {
            (Some(held), _) if now < held.not_after => Ok(held.credential.clone()),
            (_, Some(why)) => Err(why.clone()),
            _ => Err(NOT_ISSUED.to_owned()),
        }
    }
}

fn later(now: Timestamp, by: std::time::Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| now.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}

impl Scene {
    /// All certificates of the pod; an error names the volume that cannot be made.
    pub(super) async fn certificates(&self) -> Result<BTreeMap<Slot, Credential>, (String, String)> {
        let mut found = BTreeMap::new();
        for (slot, wanted) in certificates::wanted(&self.pod) {
            let state = self.advance(&slot, &wanted).await;
            let credential = state.and_then(|state| state.credential(Timestamp::now()));
            let credential = credential.map_err(|why| (slot.0.clone(), why))?;
            found.insert(slot, credential);
        }
        Ok(found)
    }

    /// Brings a certificate as far as it comes in a short time.
    async fn advance(&self, slot: &Slot, wanted: &PodCertificateProjection) -> Result<State, String> {
        let mut state = self.certificates.lock().get(slot).cloned().unwrap_or_default();
        let now = Timestamp::now();
        let fresh = state.due().is_some_and(|due| now < due);
        if fresh || state.refused.is_some() {
            return Ok(state);
        }
        let usable = state.credential(now).is_ok();
        if state.pending.is_none() {
            match self.ask(wanted).await {
                Ok(pending) => state.pending = Some(pending),
                Err(why) if usable => tracing::warn!(pod = pod::name(&self.pod), why, "a certificate is not renewed"),
                Err(why) => return Err(why),
            }
            self.certificates.lock().insert(slot.clone(), state.clone());
        }
        if let Some(pending) = state.pending.clone() {
            let wait = if usable { CERTIFICATE_GLANCE } else { CERTIFICATE_WAIT };
            match tokio::time::timeout(wait, self.decided(&pending.name)).await {
                Ok(Some(verdict)) => {
                    if let Some(why) = state.decide(verdict, Timestamp::now()) {
                        self.notify(Notice::warning("FailedPodCertificate", None, why));
                    }
                }
                Ok(None) => state.pending = None,
                Err(_) => {}
            }
        }
        self.certificates.lock().insert(slot.clone(), state.clone());
        Ok(state)
    }

    /// Makes a key and asks for its certificate.
    async fn ask(&self, wanted: &PodCertificateProjection) -> Result<Pending, String> {
        let kind = wanted.key_type.clone();
        let made = tokio::task::spawn_blocking(move || make(&kind)).await.map_err(|error| error.to_string())?;
        let (key, request) = made.map_err(|why| format!("generating key pair: {why}"))?;
        let refuse = |error: ClientError| format!("while creating PodCertificateRequest: {error}");
        let namespace = pod::namespace(&self.pod);
        let account = pod::spec(&self.pod).service_account_name.as_deref().unwrap_or("default");
        let uid = |object: Value| object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        let client = &self.shared.client;
        let account = client.get(&format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}")).await;
        let account = uid(account.map_err(refuse)?);
        let name = self.shared.node.borrow().name.clone();
        let node = uid(client.get(&format!("/api/v1/nodes/{name}")).await.map_err(refuse)?);
        let body = certificates::request(&self.pod, wanted, &account, (&name, &node), &request);
        let path = format!("{FOLDER}/{namespace}/podcertificaterequests");
        let made = client.create(&path, &body).await.map_err(refuse)?;
        Ok(Pending { name: made["metadata"]["name"].as_str().unwrap_or_default().to_owned(), key })
    }

    /// Waits until a request is decided; `None` when it is gone.
    async fn decided(&self, name: &str) -> Option<Verdict> {
        let path = format!("{FOLDER}/{}/podcertificaterequests", pod::namespace(&self.pod));
        let node = self.shared.node.borrow().name.clone();
        let query = format!("fieldSelector=metadata.name={name},spec.nodeName={node}");
        let mut watch = self.shared.client.watch(&path, &query);
        loop {
            let object = match watch.next().await {
                Event::Restarted(objects) => objects.into_iter().next()?,
                Event::Applied(object) => object,
                Event::Deleted(_) => return None,
            };
            match certificates::verdict(&object) {
                Verdict::Pending => {}
                verdict => return Some(verdict),
            }
        }
    }
}

/// A new key (PKCS#8 PEM), and the base64 of a request signed with it.
fn make(kind: &str) -> Result<(String, String), String> {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
    let pair = match kind {
        "RSA3072" => rsa(RsaKeySize::_3072),
        "RSA4096" => rsa(RsaKeySize::_4096),
        "ECDSAP256" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        "ECDSAP384" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        "ECDSAP521" => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512),
        "ED25519" => KeyPair::generate_for(&rcgen::PKCS_ED25519),
        other => return Err(format!("unknown key type {other:?}")),
    };
    let pair = pair.map_err(|error| error.to_string())?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).map_err(|error| error.to_string())?;
    Ok((pair.serialize_pem(), STANDARD.encode(request.der())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(chain: &str, refresh_at: i64, not_after: i64) -> Verdict {
        let [refresh_at, not_after] = [refresh_at, not_after].map(at);
        Verdict::Issued { chain: chain.to_owned(), refresh_at, not_after }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pending(key: &str) -> Option<Pending> {
        Some(Pending { name: "r".to_owned(), key: key.to_owned() })
    }

    #[test]
    fn every_type_of_key_can_be_made() {
        for kind in ["RSA3072", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"] {
            let (key, request) = make(kind).unwrap();
            assert!(key.starts_with("-----BEGIN PRIVATE KEY-----") && !request.is_empty(), "{kind}");
        }
        assert!(make("DSA").is_err());
    }

    #[test]
    fn a_first_refusal_is_final_and_a_later_one_is_not() {
        let mut state = State { pending: pending("k1"), ..State::default() };
        assert_eq!(state.credential(at(0)), Err(NOT_ISSUED.to_owned()));
        assert_eq!(state.decide(Verdict::Refused("no".to_owned()), at(0)), Some("no".to_owned()));
        assert_eq!(state.credential(at(0)), Err("no".to_owned()));
        let mut state = State { pending: pending("k1"), ..State::default() };
        assert_eq!(state.decide(issued("c1", 50, 100), at(0)), None);
        let first = Credential { key: "k1".to_owned(), chain: "c1".to_owned() };
        assert_eq!((state.credential(at(60)), state.due()), (Ok(first.clone()), Some(at(50))));
        state.pending = pending("k2");
        assert!(state.decide(Verdict::Refused("no".to_owned()), at(60)).is_some());
        assert_eq!((state.credential(at(60)), state.refused.is_none()), (Ok(first), true));
        assert_eq!(state.credential(at(100)), Err(NOT_ISSUED.to_owned()), "an ended certificate is not handed out");
        state.pending = pending("k3");
        state.decide(issued("c3", 150, 200), at(100));
        assert_eq!(state.credential(at(100)), Ok(Credential { key: "k3".to_owned(), chain: "c3".to_owned() }));
    }
}
