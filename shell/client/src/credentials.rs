//! Where the server is, who the client is, and the files in which that is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderValue;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::ClientError;

/// Bytes that are given, or read from a file again and again.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// The bytes themselves.
    Inline(Bytes),
    /// A file, read anew when it changes.
    File(PathBuf),
}

/// Who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody.
    Anonymous,
    /// The owner of a certificate; both PEM.
    Certificate {
        /// The certificate and what follows it up to the root.
        certificate: Source,
        /// Its key.
        key: Source,
    },
    /// The bearer of a token.
    Token(Source),
}

/// A server and an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://HOST:PORT`, optionally with a path prefix.
    pub server: String,
    /// The authorities that may have signed the server's certificate, PEM.
    pub authority: Source,
    /// The name that the server's certificate must bear, when it is not the host.
    pub server_name: Option<String>,
    /// Who the client is.
    pub identity: Identity,
    /// What the client calls itself.
    pub user_agent: String,
}

/// When and how large a file was; a change of either means that it was written.
pub(crate) type Stamp = Vec<Option<(SystemTime, u64)>>;

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // These may be keys.
            Source::Inline(bytes) => write!(f, "{} bytes", bytes.len()),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    fn read(&self, what: &str) -> Result<Bytes, ClientError> {
        match self {
            Source::Inline(bytes) => Ok(bytes.clone()),
            Source::File(path) => match std::fs::read(path) {
                Ok(bytes) => Ok(bytes.into()),
                Err(error) => Err(wrong(&format!("{what} {}", path.display()), error)),
            },
        }
    }

    fn stamp(&self) -> Option<(SystemTime, u64)> {
        let Source::File(path) = self else { return None };
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}

impl Endpoint {
    /// The state of the files that connections are made of.
    pub(crate) fn stamp(&self) -> Stamp {
        let mut stamp = vec![self.authority.stamp()];
        if let Identity::Certificate { certificate, key } = &self.identity {
            stamp.extend([certificate.stamp(), key.stamp()]);
        }
        stamp
    }

    /// The `Authorization` header, read anew.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, ClientError> {
        let Identity::Token(source) = &self.identity else { return Ok(None) };
        let token = source.read("token")?;
        let header = [b"Bearer ", token.trim_ascii()].concat();
        let mut header = HeaderValue::from_bytes(&header).map_err(|error| wrong("token", error))?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// The TLS settings, read anew, without ALPN.
    pub(crate) fn tls(&self) -> Result<ClientConfig, ClientError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority, "certificate authority")? {
            roots.add(certificate).map_err(|error| wrong("certificate authority", error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| wrong("TLS", error))?.with_root_certificates(roots);
        let Identity::Certificate { certificate, key } = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate, "client certificate")?;
        let key =
            PrivateKeyDer::from_pem_slice(&key.read("client key")?).map_err(|error| wrong("client key", error))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| wrong("client certificate", error))
    }
}

fn certificates(source: &Source, what: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let pem = source.read(what)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(what, "no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(wrong(what, error)),
    }
}

pub(crate) fn wrong(what: &str, cause: impl std::fmt::Display) -> ClientError {
    ClientError::Configuration { what: what.to_owned(), cause: cause.to_string() }
}
