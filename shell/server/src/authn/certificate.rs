//! Client certificates: the handshake takes any, so that a stale one gets a readable 401; only those that our
//! authority signed, for clients, and that are valid now name a user.

use std::sync::Arc;

use gantry_registry::User;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use x509_parser::oid_registry::asn1_rs::oid;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::AUTHENTICATED;

/// What the certificate of a connection says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    presented: bool,
    known: Option<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    user: User,
    not_before: i64,
    not_after: i64,
}

impl Peer {
    /// Reads the certificates that a client presented.
    pub(crate) fn read(chain: Option<&[CertificateDer<'_>]>, verifier: &Verifier) -> Self {
        let Some([leaf, rest @ ..]) = chain else { return Peer::default() };
        let verified = verifier.strict.verify_client_cert(leaf, rest, UnixTime::now()).is_ok();
        Peer { presented: true, known: if verified { known(leaf) } else { None } }
    }

    /// Whether there was a certificate at all.
    pub(crate) fn presented(&self) -> bool {
        self.presented
    }

    /// The user, while the certificate is valid.
    pub(crate) fn user(&self, now: i64) -> Option<User> {
        let known = self.known.as_ref()?;
        (known.not_before..=known.not_after).contains(&now).then(|| known.user.clone())
    }
}

fn known(leaf: &CertificateDer<'_>) -> Option<Known> {
    let (_, cert) = X509Certificate::from_der(leaf).ok()?;
    let subject = cert.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let mut groups: Vec<_> = subject.iter_organization().filter_map(|o| Some(o.as_str().ok()?.to_owned())).collect();
    groups.push(AUTHENTICATED.to_owned());
    let uid = subject.iter_by_oid(&oid!(1.3.6.1.4.1.57683.2)).next().and_then(|u| u.as_str().ok()).unwrap_or_default();
    let digest: String = Sha256::digest(leaf).iter().map(|b| format!("{b:02x}")).collect();
    let credential = ("authentication.kubernetes.io/credential-id".to_owned(), vec![format!("X509SHA256={digest}")]);
    let valid = cert.validity();
    Some(Known {
        user: User { name, uid: uid.to_owned(), groups, extra: vec![credential] },
        not_before: valid.not_before.timestamp(),
        not_after: valid.not_after.timestamp(),
    })
    .filter(|known| !known.user.name.is_empty())
}

/// Lets every certificate through the handshake once its owner has proved to hold the key; `strict` judges it later.
#[derive(Debug)]
pub(crate) struct Verifier {
    strict: Arc<dyn ClientCertVerifier>,
}

impl Verifier {
    /// A verifier for certificates that one of `roots` signed.
    pub(crate) fn new(
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, rustls::server::VerifierBuilderError> {
        let strict = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        Ok(Verifier { strict })
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }
    fn client_auth_mandatory(&self) -> bool {
        false
    }
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.strict.root_hint_subjects()
    }
    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match X509Certificate::from_der(leaf) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls12_signature(message, cert, signature)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict.verify_tls13_signature(message, cert, signature)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
