//! ClusterTrustBundles: whom a signer's certificates are checked against.

use jiff::Timestamp;
use serde_json::Value;

use crate::columns::{NAME, name, or_none};
use crate::field::{ErrorList, FieldError, Path};
use crate::kinds::{pem, signer};
use crate::names;
use crate::row::{Column, Kind, STORED_VERBS, Strategy, Update};
use crate::rules::IMMUTABLE;
use crate::tree::str_at;

/// The row of `ClusterTrustBundle`.
pub static CLUSTER_TRUST_BUNDLE: Kind = Kind {
    group: "certificates.k8s.io",
    version: "v1",
    kind: "ClusterTrustBundle",
    plural: "clustertrustbundles",
    singular: "clustertrustbundle",
    version_of: None,
    short_names: &[],
    categories: &[],
    namespaced: false,
    verbs: STORED_VERBS,
    subresources: &[],
    schema: "io.k8s.api.certificates.v1.ClusterTrustBundle",
    strategy: &BundleStrategy,
    columns: &[NAME, Column::field("SignerName", "io.k8s.api.certificates.v1.ClusterTrustBundleSpec.signerName")],
    cells,
    selectable: &[("spec.signerName", |o| crate::tree::text(o, "/spec/signerName"))],
};

fn cells(o: &Value, _now: Timestamp) -> Vec<Value> {
    vec![name(o), or_none(str_at(o, "/spec/signerName"))]
}

struct BundleStrategy;

impl Strategy for BundleStrategy {
    fn validate(&self, object: &Value) -> ErrorList {
        check(object)
    }

    fn validate_update(&self, new: &Value, old: &Value, _update: Update<'_>) -> ErrorList {
        let mut errors = check(new);
        let signer = str_at(new, "/spec/signerName");
        if signer != str_at(old, "/spec/signerName") {
            errors.push(FieldError::invalid(&Path::new("spec").child("signerName"), signer, IMMUTABLE));
        }
        errors
    }

    fn check_name(&self, name: &str, prefix: bool) -> Vec<String> {
        // A name begins with its signer's, whose slash is a colon here.
        let own = name.rsplit(':').next().unwrap_or_default();
        names::dns_subdomain(names::stem(own, prefix))
    }

    fn unconditional_update(&self) -> bool {
        false
    }
}

fn check(object: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let (name, signer) = (str_at(object, "/metadata/name"), str_at(object, "/spec/signerName"));
    let path = Path::new("metadata").child("name");
    let prefix = format!("{}:", signer.replace('/', ":"));
    if signer.is_empty() {
        if name.contains(':') {
            let detail = "ClusterTrustBundle without signer name must not have \":\" in its name";
            errors.push(FieldError::invalid(&path, name, detail));
        }
    } else {
        if !name.is_empty() && !name.starts_with(&prefix) {
            let detail = format!("ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}");
            errors.push(FieldError::invalid(&path, name, detail));
        }
        signer::check(signer, &Path::new("spec").child("signerName"), &mut errors);
    }
    check_anchors(str_at(object, "/spec/trustBundle"), &mut errors);
    errors
}

fn check_anchors(bundle: &str, errors: &mut ErrorList) {
    let path = Path::new("spec").child("trustBundle");
    let mut wrong = |detail: String| errors.push(FieldError::invalid(&path, "<value omitted>", detail));
    let blocks = pem::blocks(bundle);
    if blocks.is_empty() {
        return wrong("at least one trust anchor must be provided".to_owned());
    }
    for (at, block) in blocks.iter().enumerate() {
        if block.label != "CERTIFICATE" {
            return wrong(format!("entry {at} has bad block type: {}", block.label));
        }
        if block.headers {
            return wrong(format!("entry {at} has PEM block headers"));
        }
    }
    for (at, block) in blocks.iter().enumerate() {
        let same: Vec<_> = (0..blocks.len()).filter(|other| blocks[*other].content == block.content).collect();
        if same.len() > 1 && same[0] == at {
            let list: Vec<_> = same.iter().map(ToString::to_string).collect();
            wrong(format!("duplicate trust anchor (indices [{}])", list.join(" ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bundle_is_named_for_its_signer_and_holds_certificates() {
        let texts = |name: &str, signer: &str, bundle: &str| {
            let object = json!({"metadata": {"name": name}, "spec": {"signerName": signer, "trustBundle": bundle}});
            check(&object).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let anchor = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
        assert_eq!(texts("a.b:c:d", "a.b/c", anchor), Vec::<String>::new());
        assert_eq!(texts("x", "a.b/c", anchor).len(), 1);
        let omitted = "spec.trustBundle: Invalid value: \"<value omitted>\"";
        assert_eq!(texts("x", "", ""), [format!("{omitted}: at least one trust anchor must be provided")]);
        assert_eq!(texts("x", "", &anchor.repeat(2)), [format!("{omitted}: duplicate trust anchor (indices [0 1])")]);
    }
}
