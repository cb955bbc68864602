//! Certificates of pods: what a node asks the API for, and what the answer means for the volume.
//!
//! Invariants: a key never leaves the node; what a signer has refused is not asked for again on its behalf.

use std::collections::BTreeMap;

use gantry_kinds::tree::{list_at, str_at};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodCertificateProjection};
use serde_json::{Value, json};

use crate::pod;

/// The lifetime where the volume names none.
const DEFAULT_SECONDS: i32 = 86_400;

/// Why there is no certificate as long as nobody has decided.
pub const NOT_ISSUED: &str = "credential bundle is not issued yet";

/// A certificate that a volume holds: the volume, and the place of the source in it.
pub type Slot = (String, usize);

/// A key with the certificates that were issued for it, both PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credential {
    /// The private key, PKCS#8.
    pub key: String,
    /// The leaf first, exactly as the signer wrote it.
    pub chain: String,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has decided yet.
    Pending,
    /// There is a certificate.
    Issued {
        /// The certificates, PEM.
        chain: String,
        /// When the next one is to be asked for.
        refresh_at: Timestamp,
        /// When it ends.
        not_after: Timestamp,
    },
    /// There will be none; in the words that the pod's events carry.
    Refused(String),
}

/// The certificates of a pod's projected volumes.
pub fn wanted(pod: &Pod) -> BTreeMap<Slot, PodCertificateProjection> {
    let mut wanted = BTreeMap::new();
    for volume in pod::spec(pod).volumes.iter().flatten() {
        let sources = volume.projected.iter().flat_map(|source| source.sources.iter().flatten());
        for (at, source) in sources.enumerate() {
            let certificate = source.pod_certificate.clone();
            wanted.extend(certificate.map(|certificate| ((volume.name.clone(), at), certificate)));
        }
    }
    wanted
}

/// The request for a certificate; `account` and `node` are the uids of the service account and the node, and `request`
/// is the base64 of a PKCS#10 request signed with the new key.
pub fn request(
    pod: &Pod,
    wanted: &PodCertificateProjection,
    account: &str,
    node: (&str, &str),
    request: &str,
) -> Value {
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": pod::name(pod), "uid": pod::uid(pod)});
    let mut spec = json!({
        "signerName": wanted.signer_name,
        "podName": pod::name(pod),
        "podUID": pod::uid(pod),
        "serviceAccountName": pod::spec(pod).service_account_name.as_deref().unwrap_or("default"),
        "serviceAccountUID": account,
        "nodeName": node.0,
        "nodeUID": node.1,
        "maxExpirationSeconds": wanted.max_expiration_seconds.unwrap_or(DEFAULT_SECONDS),
        "stubPKCS10Request": request,
    });
    if let Some(annotations) = wanted.user_annotations.as_ref().filter(|annotations| !annotations.is_empty()) {
        spec["unverifiedUserAnnotations"] = json!(annotations);
    }
    json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "PodCertificateRequest",
        "metadata": {"namespace": pod::namespace(pod), "generateName": "req-", "ownerReferences": [owner]},
        "spec": spec,
    })
}

/// What a request says by now.
pub fn verdict(object: &Value) -> Verdict {
    let condition = |kind: &str| {
        let conditions = list_at(object, "/status/conditions");
        conditions.iter().find(|c| str_at(c, "/type") == kind && str_at(c, "/status") == "True")
    };
    for (kind, word) in [("Denied", "denied"), ("Failed", "failed")] {
        if let Some(condition) = condition(kind) {
            let (name, namespace) = (str_at(object, "/metadata/name"), str_at(object, "/metadata/namespace"));
            let (reason, message) = (str_at(condition, "/reason"), str_at(condition, "/message"));
            return Verdict::Refused(format!(
                "PodCertificateRequest {:?} was permanently {word}: reason={reason:?} message={message:?}",
                format!("{namespace}/{name}")
            ));
        }
    }
    let chain = str_at(object, "/status/certificateChain");
    let time = |field: &str| str_at(object, &format!("/status/{field}")).parse::<Timestamp>().ok();
    match (condition("Issued"), time("notAfter")) {
        (Some(_), Some(not_after)) if !chain.is_empty() => {
            let refresh_at = time("beginRefreshAt").unwrap_or(not_after);
            Verdict::Issued { chain: chain.to_owned(), refresh_at, not_after }
        }
        _ => Verdict::Pending,
    }
}

/// The files of one source, by path.
pub(crate) fn files(wanted: &PodCertificateProjection, credential: &Credential) -> Vec<(String, Vec<u8>)> {
    let Credential { key, chain } = credential;
    let named = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
    let bundle = named(&wanted.credential_bundle_path).map(|path| (path, format!("{key}{chain}")));
    let key = named(&wanted.key_path).map(|path| (path, key.clone()));
    let chain = named(&wanted.certificate_chain_path).map(|path| (path, chain.clone()));
    [bundle, key, chain].into_iter().flatten().map(|(path, text)| (path, text.into_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(source: Value) -> Pod {
        let token = json!({"serviceAccountToken": {"path": "t"}});
        let volume = json!({"name": "v", "projected": {"sources": [token, {"podCertificate": source}]}});
        crate::pod::tests::pod(json!({"containers": [], "volumes": [volume]}))
    }

    #[test]
    fn a_request_names_pod_account_and_node() {
        let pod = example(
            json!({"signerName": "a.b/c", "keyType": "ED25519", "userAnnotations": {"a.b/x": "1"}, "keyPath": "k"}),
        );
        let wanted = wanted(&pod);
        let (slot, source) = wanted.first_key_value().unwrap();
        assert_eq!(*slot, ("v".to_owned(), 1));
        let made = request(&pod, source, "sa-uid", ("n1", "n-uid"), "cmVx");
        let spec = &made["spec"];
        assert_eq!((&spec["podUID"], &spec["serviceAccountUID"]), (&json!(pod::uid(&pod)), &json!("sa-uid")));
        assert_eq!((&spec["nodeName"], &spec["nodeUID"]), (&json!("n1"), &json!("n-uid")));
        assert_eq!(spec["maxExpirationSeconds"], 86_400);
        assert_eq!(spec["unverifiedUserAnnotations"], json!({"a.b/x": "1"}));
    }

    #[test]
    fn a_verdict_is_what_the_signer_says() {
        let says = |status: Value| verdict(&json!({"metadata": {"name": "r", "namespace": "n"}, "status": status}));
        let condition = |kind: &str| json!([{"type": kind, "status": "True", "reason": "R", "message": "M"}]);
        assert_eq!(says(json!({})), Verdict::Pending);
        let refused = |word: &str| {
            Verdict::Refused(format!(
                "PodCertificateRequest \"n/r\" was permanently {word}: reason=\"R\" message=\"M\""
            ))
        };
        assert_eq!(says(json!({"conditions": condition("Denied")})), refused("denied"));
        assert_eq!(says(json!({"conditions": condition("Failed")})), refused("failed"));
        let issued = json!({"conditions": condition("Issued"), "certificateChain": "PEM",
            "beginRefreshAt": "2026-01-01T00:00:00Z", "notAfter": "2026-01-01T01:00:00Z"});
        let [refresh_at, not_after] = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"].map(|t| t.parse().unwrap());
        assert_eq!(says(issued), Verdict::Issued { chain: "PEM".to_owned(), refresh_at, not_after });
    }

    #[test]
    fn files_are_where_the_source_says() {
        let credential = Credential { key: "K".to_owned(), chain: "C".to_owned() };
        let of = |source: Value| files(&serde_json::from_value(source).unwrap(), &credential);
        let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
        let base = json!({"signerName": "a.b/c", "keyType": "ED25519"});
        let with = |more: Value| {
            let mut source = base.clone();
            source.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            of(source)
        };
        assert_eq!(with(json!({"credentialBundlePath": "b"})), [file("b", "KC")]);
        assert_eq!(with(json!({"keyPath": "k", "certificateChainPath": "c"})), [file("k", "K"), file("c", "C")]);
    }
}
