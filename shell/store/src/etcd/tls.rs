//! TLS towards the members, with a certificate of ours if there is one.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;

use super::EtcdConfig;
use crate::StoreError;

/// None when no authority is given, which only http can do with.
pub(super) fn connector(config: &EtcdConfig) -> Result<Option<TlsConnector>, StoreError> {
    let Some(ca_pem) = &config.ca_pem else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem, "the authority's certificate")? {
        roots.add(certificate).map_err(|error| wrong("the authority's certificate", &error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| wrong("TLS", &error))?.with_root_certificates(roots);
    let mut tls = match (&config.cert_pem, &config.key_pem) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert_pem), Some(key_pem)) => {
            let chain = certificates(cert_pem, "the client's certificate")?;
            let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
            let key = key.map_err(|error| wrong("the client's key", &error))?;
            builder.with_client_auth_cert(chain, key).map_err(|error| wrong("the client's certificate", &error))?
        }
        _ => return Err(wrong("the client's certificate", &"it and its key are needed both")),
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Some(TlsConnector::from(Arc::new(tls))))
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(what, &"there is none in the text")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong(what, &error)),
    }
}

fn wrong(what: &str, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Io { operation: "connect", cause: format!("{what}: {cause}") }
}
