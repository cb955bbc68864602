//! Where the server is, who the client is, and the files in which that is kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use rustls::client::WantsClientCert;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

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
        let builder = self.trust(Arc::new(DefaultTimeProvider))?;
        let Identity::Certificate { certificate, key } = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = certificates(certificate, "client certificate")?;
        let key =
            PrivateKeyDer::from_pem_slice(&key.read("client key")?).map_err(|error| wrong("client key", error))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| wrong("client certificate", error))
    }

    /// The TLS settings of nobody, at a time at which the certificate holds that did not hold now, as `error` says.
    pub(crate) fn tls_at_time_of(&self, error: &std::io::Error) -> Option<ClientConfig> {
        let told = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        let rustls::Error::InvalidCertificate(invalid) = told else { return None };
        let holds = match invalid {
            CertificateError::NotValidYetContext { not_before, .. } => not_before.as_secs().saturating_add(1),
            CertificateError::ExpiredContext { not_after, .. } => not_after.as_secs().saturating_sub(1),
            _ => return None,
        };
        let clock = Fixed(UnixTime::since_unix_epoch(Duration::from_secs(holds)));
        Some(self.trust(Arc::new(clock)).ok()?.with_no_client_auth())
    }

    /// Trusts the authority and nobody else.
    fn trust(&self, clock: Arc<dyn TimeProvider>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, ClientError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&self.authority, "certificate authority")? {
            roots.add(certificate).map_err(|error| wrong("certificate authority", error))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider, clock).with_safe_default_protocol_versions();
        Ok(builder.map_err(|error| wrong("TLS", error))?.with_root_certificates(roots))
    }
}

/// A clock that stands still.
#[derive(Debug)]
struct Fixed(UnixTime);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
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
