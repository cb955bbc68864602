//! Trust anchors: what a volume holds of the ClusterTrustBundles that it selects.
//!
//! Invariants: every certificate stands once, in one order whatever the bundles' order, and nothing but certificates.

use std::collections::{BTreeMap, BTreeSet};

use gantry_kinds::LabelSelector;
use gantry_kinds::tree::str_at;
use k8s_openapi::api::core::v1::ClusterTrustBundleProjection;
use serde_json::{Value, json};

use crate::sources::Contents;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Characters of a line of PEM.
const LINE: usize = 64;

/// Keeps of a ClusterTrustBundle what volumes need: its entry among all bundles.
pub fn entry(object: &Value) -> (String, Vec<u8>) {
    let kept = json!({"signerName": object["spec"]["signerName"], "labels": object["metadata"]["labels"],
        "trustBundle": object["spec"]["trustBundle"]});
    (str_at(object, "/metadata/name").to_owned(), kept.to_string().into_bytes())
}

/// The file of a projection; an error where nothing is selected that must be there. `bundles` are the entries of all.
pub(crate) fn anchors(projection: &ClusterTrustBundleProjection, bundles: &Contents) -> Result<Vec<u8>, String> {
    let optional = projection.optional.unwrap_or(false);
    let read = |bytes: &Vec<u8>| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let chosen: Vec<Value> = if let Some(name) = &projection.name {
        let found = bundles.files.get(name).map(read);
        if found.is_none() && !optional {
            return Err(format!("clustertrustbundle {name:?} not found"));
        }
        found.into_iter().collect()
    } else {
        let signer = projection.signer_name.as_deref().unwrap_or_default();
        let selector = projection.label_selector.as_ref().map(|selector| json!(selector));
        // A selector that is not there selects nothing, one that says nothing selects all.
        let selector = selector.and_then(|selector| LabelSelector::from_value(&selector).ok());
        let all = bundles.files.values().map(read).filter(|bundle| str_at(bundle, "/signerName") == signer);
        let fits = |bundle: &Value| selector.as_ref().is_some_and(|selector| selector.matches(&labels(bundle)));
        let chosen: Vec<Value> = all.filter(fits).collect();
        if chosen.is_empty() && !optional {
            return Err(format!(
                "combination of signerName {signer:?} and labelSelector matched zero ClusterTrustBundles"
            ));
        }
        chosen
    };
    let certificates: BTreeSet<String> =
        chosen.iter().flat_map(|bundle| certificates(str_at(bundle, "/trustBundle"))).collect();
    let mut file = String::new();
    for certificate in certificates {
        file.push_str(BEGIN);
        file.push('\n');
        for line in certificate.as_bytes().chunks(LINE) {
            file.push_str(&String::from_utf8_lossy(line));
            file.push('\n');
        }
        file.push_str(END);
        file.push('\n');
    }
    Ok(file.into_bytes())
}

fn labels(bundle: &Value) -> BTreeMap<String, String> {
    let labels = bundle["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The certificates of a PEM text, base64 without blanks.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    let blocks = pem.split(BEGIN).skip(1).filter_map(|rest| rest.split(END).next());
    blocks.map(|block| block.chars().filter(|c| !c.is_whitespace()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(name: &str, signer: &str, label: &str, bodies: &[&str]) -> (String, Vec<u8>) {
        let pem: String = bodies.iter().map(|body| format!("note\n{BEGIN}\n{body}\n{END}\n")).collect();
        entry(
            &json!({"metadata": {"name": name, "labels": {"l": label}}, "spec": {"signerName": signer, "trustBundle": pem}}),
        )
    }

    fn check(projection: Value, expected: Result<&[&str], &str>) {
        let all = [
            bundle("a", "s/one", "x", &["BBBB", "AAAA"]),
            bundle("b", "s/one", "y", &["AA\nAA"]),
            bundle("c", "", "x", &["CC"]),
        ];
        let contents = Contents { files: all.into(), binary: BTreeSet::new() };
        let projection = serde_json::from_value(projection).unwrap();
        let found = anchors(&projection, &contents).map(|bytes| String::from_utf8(bytes).unwrap());
        let bodies = expected.map(|bodies| bodies.iter().map(|body| format!("{BEGIN}\n{body}\n{END}\n")).collect());
        assert_eq!(found, bodies.map_err(str::to_owned));
    }

    #[test]
    fn bundles_are_selected_by_name_or_by_signer() {
        check(json!({"path": "p", "name": "c"}), Ok(&["CC"]));
        check(json!({"path": "p", "name": "no"}), Err("clustertrustbundle \"no\" not found"));
        check(json!({"path": "p", "name": "no", "optional": true}), Ok(&[]));
        check(json!({"path": "p", "signerName": "s/one", "labelSelector": {}}), Ok(&["AAAA", "BBBB"]));
        check(json!({"path": "p", "signerName": "s/one", "labelSelector": {"matchLabels": {"l": "y"}}}), Ok(&["AAAA"]));
        check(json!({"path": "p", "signerName": "s/one", "optional": true}), Ok(&[]));
        let none = "combination of signerName \"s/two\" and labelSelector matched zero ClusterTrustBundles";
        check(json!({"path": "p", "signerName": "s/two", "labelSelector": {}}), Err(none));
    }
}
