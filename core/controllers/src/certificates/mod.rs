//! CertificateSigningRequests of the cluster's own signers: approved where a node asks for itself, signed once they are
//! approved, and removed when they are old. Keys and rights are the business of the `Signatory`, which the shell lends.
//!
//! Invariants: nothing is signed that is not approved, or that its signer does not vouch for; whoever asked for what
//! is refused is told by the condition `Failed`, once.

mod approving;
mod bundle;
mod cleaning;
mod signing;

use std::sync::Arc;

use gantry_kinds::CERTIFICATE_SIGNING_REQUEST;
use gantry_kinds::tree::{list_at, str_at};
use gantry_view::{Change, View};
use jiff::Timestamp;
use serde_json::Value;

use crate::{Controller, QueueKey, Settings};

pub(crate) use cleaning::{PodRequests, Requests};

/// What a request asks to be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The common name of the subject.
    pub common_name: String,
    /// The organizations of the subject.
    pub organizations: Vec<String>,
    /// Whether there are alternative names: of hosts.
    pub dns: bool,
    /// Of addresses.
    pub addresses: bool,
    /// Of mailboxes.
    pub mailboxes: bool,
    /// URIs.
    pub uris: bool,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What the certificate may be used for, in the words of the API.
    pub usages: Vec<String>,
    /// From when on.
    pub not_before: Timestamp,
    /// Until when, unless the authority ends before.
    pub not_after: Timestamp,
}

/// Who holds the authority's key and knows what users may do.
pub trait Signatory: Send + Sync {
    /// Reads a request, PEM, and checks that it is signed with its own key.
    fn read(&self, request: &str) -> Result<Asked, String>;
    /// The certificate, PEM.
    fn sign(&self, request: &str, plan: &Plan) -> Result<String, String>;
    /// The hexadecimal SHA-256 of a text.
    fn digest(&self, text: &str) -> String;
    /// Whether the user of the spec of a request may create a subresource of requests.
    fn may(&self, view: &View, spec: &Value, subresource: &str) -> bool;
}

/// The controllers that approve and sign, and publish whom to trust.
pub fn signers(settings: &Settings, signatory: &Arc<dyn Signatory>) -> Vec<Box<dyn Controller>> {
    let roots = settings.root_ca_pem.clone();
    let digest = signatory.digest(&roots);
    vec![
        Box::new(bundle::ServingBundle::new(roots, &digest)),
        Box::new(approving::Approver::new(signatory.clone())),
        Box::new(signing::Signer::new(signatory.clone())),
    ]
}

/// Name of the service account of all controllers of requests.
const NAME: &str = "certificate-controller";
/// Clients of the API.
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
/// Nodes as clients of the API.
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// Nodes as servers.
const NODE_SERVING: &str = "kubernetes.io/kubelet-serving";
/// What was there before signers had names: vouches for nothing.
const LEGACY: &str = "kubernetes.io/legacy-unknown";

fn all_requests(view: &View) -> Vec<QueueKey> {
    view.list(&CERTIFICATE_SIGNING_REQUEST, None).map(|object| QueueKey::of(object.key())).collect()
}

fn changed_requests(change: &Change, out: &mut Vec<QueueKey>) {
    if change.key.kind == &CERTIFICATE_SIGNING_REQUEST && change.after.is_some() {
        out.push(QueueKey::of(&change.key));
    }
}

fn is_issued(request: &Value) -> bool {
    !str_at(request, "/status/certificate").is_empty()
}

/// The PEM text of a request.
fn text(request: &Value) -> Option<String> {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    String::from_utf8(BASE64_STANDARD.decode(str_at(request, "/spec/request")).ok()?).ok()
}

/// What is asked for, in order and once each.
fn usages(request: &Value) -> Vec<&str> {
    let mut usages: Vec<&str> = list_at(request, "/spec/usages").iter().filter_map(Value::as_str).collect();
    usages.sort_unstable();
    usages.dedup();
    usages
}

/// Refuses what a node may not be called towards the API.
fn check_node_client(asked: &Asked, usages: &[&str]) -> Result<(), String> {
    check_node_group(asked)?;
    let present = [("DNS", asked.dns), ("Email", asked.mailboxes), ("IP", asked.addresses), ("URI", asked.uris)];
    if let Some((what, _)) = present.into_iter().find(|(_, present)| *present) {
        return Err(format!("{what} subjectAltNames are not allowed"));
    }
    check_node_name(asked)?;
    check_usages(usages, "client auth")
}

/// Refuses what a node may not be called as a server.
fn check_node_serving(asked: &Asked, usages: &[&str]) -> Result<(), String> {
    check_node_group(asked)?;
    if !asked.dns && !asked.addresses {
        return Err("DNS or IP subjectAltName is required".to_owned());
    }
    let present = [("Email", asked.mailboxes), ("URI", asked.uris)];
    if let Some((what, _)) = present.into_iter().find(|(_, present)| *present) {
        return Err(format!("{what} subjectAltNames are not allowed"));
    }
    check_usages(usages, "server auth")?;
    check_node_name(asked)
}

fn check_node_group(asked: &Asked) -> Result<(), String> {
    if asked.organizations == ["system:nodes"] {
        return Ok(());
    }
    Err("subject organization is not system:nodes".to_owned())
}

fn check_node_name(asked: &Asked) -> Result<(), String> {
    if asked.common_name.starts_with("system:node:") {
        return Ok(());
    }
    Err("subject common name does not begin with system:node:".to_owned())
}

/// Nodes sign with `purpose`, and may encipher keys as well; nothing less and nothing more.
fn check_usages(usages: &[&str], purpose: &str) -> Result<(), String> {
    let mut all = ["digital signature", "key encipherment", purpose];
    all.sort_unstable();
    let without_keys: Vec<&str> = all.into_iter().filter(|usage| *usage != "key encipherment").collect();
    if usages == all || usages == without_keys {
        return Ok(());
    }
    Err(format!("usages did not match [{}]", all.join(" ")))
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use serde_json::json;

    use super::*;

    /// Reads requests that are JSON, and signs with a word.
    pub(crate) struct Paper {
        pub(crate) rights: Vec<&'static str>,
    }

    impl Signatory for Paper {
        fn read(&self, request: &str) -> Result<Asked, String> {
            let asked: Value = serde_json::from_str(request).map_err(|error| error.to_string())?;
            let texts = |field: &str| -> Vec<String> {
                asked[field].as_array().into_iter().flatten().filter_map(|t| Some(t.as_str()?.to_owned())).collect()
            };
            let flag = |field: &str| !asked[field].is_null();
            let common_name = str_at(&asked, "/cn").to_owned();
            let (dns, addresses, mailboxes, uris) = (flag("dns"), flag("ip"), flag("mail"), flag("uri"));
            Ok(Asked { common_name, organizations: texts("o"), dns, addresses, mailboxes, uris })
        }

        fn sign(&self, _request: &str, plan: &Plan) -> Result<String, String> {
            Ok(format!("{} from {} to {}", plan.usages.join(","), plan.not_before, plan.not_after))
        }

        fn digest(&self, text: &str) -> String {
            text.to_owned()
        }

        fn may(&self, _view: &View, _spec: &Value, subresource: &str) -> bool {
            self.rights.contains(&subresource)
        }
    }

    /// A request by `user` that asks for `asked`.
    pub(crate) fn request(name: &str, signer: &str, user: &str, usages: Value, asked: Value) -> Value {
        let spec = json!({"signerName": signer, "username": user, "usages": usages,
            "request": BASE64_STANDARD.encode(asked.to_string())});
        json!({"metadata": {"name": name}, "spec": spec, "status": {}})
    }

    #[test]
    fn what_a_node_may_be_called() {
        let node = Asked {
            common_name: "system:node:a".to_owned(),
            organizations: vec!["system:nodes".to_owned()],
            ..Asked::default()
        };
        let usages = ["client auth", "digital signature"];
        assert_eq!(check_node_client(&node, &usages), Ok(()));
        let why = "usages did not match [client auth digital signature key encipherment]";
        assert_eq!(check_node_client(&node, &["client auth"]), Err(why.to_owned()));
        let host = Asked { dns: true, ..node.clone() };
        assert_eq!(check_node_client(&host, &usages), Err("DNS subjectAltNames are not allowed".to_owned()));
        assert_eq!(check_node_serving(&host, &["digital signature", "key encipherment", "server auth"]), Ok(()));
        let serving = ["digital signature", "server auth"];
        assert_eq!(check_node_serving(&node, &serving), Err("DNS or IP subjectAltName is required".to_owned()));
        let two = Asked { organizations: vec!["system:nodes".to_owned(), "x".to_owned()], ..host };
        assert_eq!(check_node_serving(&two, &serving), Err("subject organization is not system:nodes".to_owned()));
    }
}
