//! TLS: our certificate, and client certificates that are asked for but not demanded.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::VerifierBuilderError;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::authn::Verifier;

/// Certificates and keys as PEM.
#[derive(Clone)]
pub struct Tls {
    /// The server's certificate, and what leads from it to its root.
    pub cert_pem: String,
    /// Its private key.
    pub key_pem: String,
    /// The authorities whose client certificates name users.
    pub client_ca_pem: String,
}

/// TLS settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Something is no PEM.
    #[error("reading {what}")]
    Pem {
        /// Which of the three texts.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not fit, or an authority is none.
    #[error("using the certificates")]
    Certificates(#[from] rustls::Error),
    /// No client authority can be used.
    #[error("using the client authorities")]
    Authorities(#[from] VerifierBuilderError),
}

/// The TLS settings, and the judge of client certificates.
pub(crate) fn configure(tls: &Tls) -> Result<(Arc<ServerConfig>, Arc<Verifier>), TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&tls.client_ca_pem, "the client authorities")? {
        roots.add(authority)?;
    }
    let verifier = Arc::new(Verifier::new(roots, provider.clone())?);
    let chain = certificates(&tls.cert_pem, "the server's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes())
        .map_err(|source| TlsError::Pem { what: "the server's key", source })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.clone())
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((Arc::new(config), verifier))
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { what, source })
}
