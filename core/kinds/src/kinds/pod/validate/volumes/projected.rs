//! Projected volumes: files from several sources in one place, none written twice.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, PodCertificateProjection, ProjectedVolumeSource, ServiceAccountTokenProjection,
    VolumeProjection,
};
use serde_json::json;

use super::files::{check_downward, check_item, check_local_file, check_mode};
use crate::field::{ErrorList, FieldError, Path, shown};
use crate::kinds::signer;
use crate::meta::check_annotations;
use crate::names;
use crate::rules;

const TOKEN_SECONDS_MIN: i64 = 600;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const CERTIFICATE_SECONDS_MIN: i32 = 3600;
const CERTIFICATE_SECONDS_MAX: i32 = 91 * 24 * 3600;
const KEY_TYPES: &[&str] = &["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

/// Checks a projected volume.
pub fn check(projected: &ProjectedVolumeSource, path: &Path, errors: &mut ErrorList) {
    check_mode(projected.default_mode, &path.child("defaultMode"), errors);
    let mut files = BTreeSet::new();
    for (at, source) in projected.sources.iter().flatten().enumerate() {
        check_projection(source, path, &path.child("sources").index(at), &mut files, errors);
    }
}

/// Checks one source of a projected volume. `path` is that of the volume's source: some errors are told of it.
fn check_projection<'a>(
    source: &'a VolumeProjection,
    path: &Path,
    here: &Path,
    files: &mut BTreeSet<&'a str>,
    errors: &mut ErrorList,
) {
    let mut kinds = 0;
    for (field, keyed) in [
        ("secret", source.secret.as_ref().map(|s| (&s.name, s.items.as_deref()))),
        ("configMap", source.config_map.as_ref().map(|s| (&s.name, s.items.as_deref()))),
    ] {
        let Some((name, items)) = keyed else { continue };
        let (source_path, here) = (here, here.child(field));
        rules::required(name, &here.child("name"), errors);
        for (at, item) in items.unwrap_or_default().iter().enumerate() {
            check_item(item, &here.child("items").index(at), errors);
            claim(&item.path, name, path, files, errors);
        }
        count(&mut kinds, source_path, errors);
    }
    if let Some(downward) = source.downward_api.as_ref() {
        for file in downward.items.as_deref().unwrap_or_default() {
            check_downward(file, &here.child("downwardAPI"), errors);
            claim(&file.path, &file.path, path, files, errors);
        }
        count(&mut kinds, here, errors);
    }
    if let Some(token) = source.service_account_token.as_ref() {
        check_token(token, path, &here.child("serviceAccountToken"), errors);
        claim(&token.path, &token.path, path, files, errors);
        count(&mut kinds, here, errors);
    }
    if let Some(bundle) = source.cluster_trust_bundle.as_ref() {
        check_bundle(bundle, &here.child("clusterTrustBundle"), errors);
        claim(&bundle.path, &bundle.path, path, files, errors);
        count(&mut kinds, here, errors);
    }
    if let Some(certificate) = source.pod_certificate.as_ref() {
        check_certificate(certificate, &here.child("podCertificate"), errors);
        for file in certificate_files(certificate).map(|(_, file)| file.as_deref().unwrap_or_default()) {
            claim(file, file, path, files, errors);
        }
        count(&mut kinds, here, errors);
    }
}

/// Counts the kinds of one source, of which there may be one.
fn count(kinds: &mut usize, here: &Path, errors: &mut ErrorList) {
    *kinds += 1;
    if *kinds > 1 {
        errors.push(FieldError::forbidden(here, "may not specify more than 1 volume type per source"));
    }
}

/// No two sources write the same file.
fn claim<'a>(file: &'a str, name: &str, path: &Path, files: &mut BTreeSet<&'a str>, errors: &mut ErrorList) {
    if !file.is_empty() && !files.insert(file) {
        errors.push(FieldError::invalid(path, name, "conflicting duplicate paths"));
    }
}

fn check_token(token: &ServiceAccountTokenProjection, path: &Path, here: &Path, errors: &mut ErrorList) {
    let seconds = token.expiration_seconds.unwrap_or(TOKEN_SECONDS_MIN);
    let expiration = here.child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        errors.push(FieldError::invalid(&expiration, seconds, "may not specify a duration less than 10 minutes"));
    }
    if seconds > TOKEN_SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(&expiration, seconds, detail));
    }
    rules::required(&token.path, &path.child("path"), errors);
    check_local_file(&token.path, &path.child("path"), errors);
}

fn check_bundle(bundle: &ClusterTrustBundleProjection, path: &Path, errors: &mut ErrorList) {
    match (bundle.name.as_deref(), bundle.signer_name.as_deref()) {
        (None, None) => errors.push(FieldError::required(path, "either name or signerName must be specified")),
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid_shown(
                path,
                &show_bundle(bundle),
                "only one of name and signerName may be used",
            ));
        }
        (Some(name), None) => {
            let at = path.child("name");
            if name.is_empty() {
                errors.push(FieldError::required(&at, "must be a valid object name"));
            }
            // A name begins with its signer's, whose slash is a colon here.
            let own = name.rsplit(':').next().unwrap_or_default();
            let wrong = names::dns_subdomain(own).into_iter();
            rules::each(
                name,
                wrong.map(|why| format!("not a valid clustertrustbundlename: {why}")).collect(),
                &at,
                errors,
            );
            if bundle.label_selector.is_some() {
                let detail = "labelSelector must be unset if name is specified";
                let selector = rules::show_selector(&json!(bundle.label_selector));
                errors.push(FieldError::invalid_shown(&path.child("labelSelector"), &selector, detail));
            }
        }
        (None, Some(name)) => {
            let at = path.child("signerName");
            if name.is_empty() {
                errors.push(FieldError::required(&at, "must be a valid signer name"));
            }
            signer::check(name, &at, errors);
            if let Some(selector) = &bundle.label_selector {
                rules::label_selector(selector, &path.child("labelSelector"), errors);
            }
        }
    }
    check_file(&bundle.path, &path.child("path"), errors);
}

/// A bundle as error messages show it: all fields in the order of their declaration, named in capitals.
fn show_bundle(bundle: &ClusterTrustBundleProjection) -> String {
    let fields = [
        ("Name", json!(bundle.name)),
        ("SignerName", json!(bundle.signer_name)),
        ("LabelSelector", json!(bundle.label_selector)),
        ("Optional", json!(bundle.optional)),
        ("Path", json!(bundle.path)),
        ("User", json!(null)),
    ];
    let parts = fields.map(|(name, value)| format!("\"{name}\":{}", shown(&value)));
    format!("{{{}}}", parts.join(","))
}

fn check_file(file: &str, path: &Path, errors: &mut ErrorList) {
    rules::required(file, path, errors);
    check_local_file(file, path, errors);
}

fn certificate_files(certificate: &PodCertificateProjection) -> impl Iterator<Item = (&'static str, &Option<String>)> {
    [
        ("credentialBundlePath", &certificate.credential_bundle_path),
        ("keyPath", &certificate.key_path),
        ("certificateChainPath", &certificate.certificate_chain_path),
    ]
    .into_iter()
}

fn check_certificate(certificate: &PodCertificateProjection, path: &Path, errors: &mut ErrorList) {
    signer::check(&certificate.signer_name, &path.child("signerName"), errors);
    if !KEY_TYPES.contains(&certificate.key_type.as_str()) {
        let kind = certificate.key_type.as_str();
        errors.push(FieldError::not_supported(&path.child("keyType"), kind, KEY_TYPES));
    }
    let at = path.child("maxExpirationSeconds");
    match certificate.max_expiration_seconds {
        Some(seconds) if seconds < CERTIFICATE_SECONDS_MIN => {
            let detail = format!("if provided, maxExpirationSeconds must be >= {CERTIFICATE_SECONDS_MIN}");
            errors.push(FieldError::invalid(&at, seconds, detail));
        }
        Some(seconds) if seconds > CERTIFICATE_SECONDS_MAX => {
            let detail = format!("if provided, maxExpirationSeconds must be <= {CERTIFICATE_SECONDS_MAX}");
            errors.push(FieldError::invalid(&at, seconds, detail));
        }
        _ => {}
    }
    let mut none = true;
    for (field, file) in certificate_files(certificate) {
        let file = file.as_deref().unwrap_or_default();
        if !file.is_empty() {
            none = false;
            check_local_file(file, &path.child(field), errors);
        }
    }
    if none {
        let detail = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath";
        errors.push(FieldError::required(path, detail));
    }
    if let Some(annotations) = &certificate.user_annotations {
        check_annotations(annotations, &path.child("userAnnotations"), errors);
    }
}
