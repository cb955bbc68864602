//! The certificate authority and what it issues.

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use super::files::{load_or_create, read_if_there};

/// Clocks of other machines may be behind by this much.
const BACKDATE: Duration = Duration::from_secs(3600);
/// Leaves are made anew at every start, so a year is the longest that a process may run.
const LEAF_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Names of the authorities: of this cluster, and of its servers where they speak for their clients.
const CLUSTER: &str = "gantry-ca";
const FRONT_PROXY: &str = "gantry-front-proxy-ca";
/// Bytes that an Ed25519 key is made of.
const SEED_BYTES: usize = 32;

/// A certificate and its key, PEM.
pub struct Leaf {
    /// The certificate.
    pub cert_pem: String,
    /// Its private key, PKCS#8.
    pub key_pem: String,
}

/// The cluster's certificate authority.
pub struct Authority {
    cert_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// File of its private key.
    pub const KEY: &str = "ca.key";
    /// File of its certificate.
    pub const CERTIFICATE: &str = "ca.crt";

    /// Reads key and certificate from `folder`, or makes them.
    pub fn load_or_create(folder: &Path) -> Result<Self> {
        let key_pem = load_or_create(&folder.join(Self::KEY), new_key_pem)?;
        let key = read_key(&key_pem)?;
        let cert_pem = load_or_create(&folder.join(Self::CERTIFICATE), || sign_itself(&key))?;
        Ok(Authority { cert_pem, issuer: Issuer::new(params(CLUSTER)?, key) })
    }

    /// Reads key and certificate from `folder`; `None` when they are not there.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let (key, certificate) = (folder.join(Self::KEY), folder.join(Self::CERTIFICATE));
        let Some((key_pem, cert_pem)) = read_if_there(&key)?.zip(read_if_there(&certificate)?) else { return Ok(None) };
        Ok(Some(Authority { cert_pem, issuer: Issuer::new(params(CLUSTER)?, read_key(&key_pem)?) }))
    }

    /// The authority that vouches for this cluster's servers where they speak for their clients. Its key follows from
    /// this one's, so that all servers have the same without sharing more.
    pub fn front_proxy(&self) -> Result<Self> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"gantry front proxy authority");
        let secret = salt.extract(&self.issuer.key().serialize_der());
        let mut seed = [0; SEED_BYTES];
        let expanded = secret.expand(&[b"ed25519"], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut seed));
        expanded.map_err(|_| anyhow!("deriving the front proxy's key"))?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| anyhow!("making the front proxy's key"))?;
        let der = pair.to_pkcs8().map_err(|_| anyhow!("writing the front proxy's key"))?;
        let key = KeyPair::try_from(der.as_ref()).context("reading the front proxy's key")?;
        let params = params(FRONT_PROXY)?;
        let cert_pem = params.self_signed(&key).context("signing the front proxy's authority")?.pem();
        Ok(Authority { cert_pem, issuer: Issuer::new(params, key) })
    }

    /// Key and certificate of a new authority, PEM.
    pub fn new_pem() -> Result<(String, String)> {
        let key_pem = new_key_pem()?;
        let cert_pem = sign_itself(&read_key(&key_pem)?)?;
        Ok((key_pem, cert_pem))
    }

    /// The authority's private key, PKCS#8 PEM.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The authority's certificate, PEM.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// A server certificate under `name` with these alternative names.
    pub fn issue_server(&self, name: &str, alternatives: Vec<SanType>) -> Result<Leaf> {
        let mut params = leaf(name, None);
        params.subject_alt_names = alternatives;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(&params)
    }

    /// A client certificate: user `name`, in `group` if there is one.
    pub fn issue_client(&self, name: &str, group: Option<&str>) -> Result<Leaf> {
        let mut params = leaf(name, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    fn issue(&self, params: &CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate().context("making a key")?;
        let cert = params.signed_by(&key, &self.issuer).context("signing a certificate")?;
        Ok(Leaf { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

/// A new P-256 key, PKCS#8 PEM.
pub fn new_key_pem() -> Result<String> {
    Ok(KeyPair::generate().context("making a key")?.serialize_pem())
}

fn read_key(pem: &str) -> Result<KeyPair> {
    KeyPair::from_pem(pem).context("reading the authority's key")
}

fn sign_itself(key: &KeyPair) -> Result<String> {
    Ok(params(CLUSTER)?.self_signed(key).context("signing the authority's certificate")?.pem())
}

fn params(name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new()).context("the authority's parameters")?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    lifetime(&mut params, AUTHORITY_LIFE);
    Ok(params)
}

fn leaf(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    lifetime(&mut params, LEAF_LIFE);
    params
}

fn lifetime(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + life).into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(folder.path()).unwrap();
        let second = Authority::load_or_create(folder.path()).unwrap();
        assert_eq!(first.cert_pem(), second.cert_pem());
    }

    #[test]
    fn all_servers_have_the_same_front_proxy() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path()).unwrap();
        let public = |authority: &Authority| authority.front_proxy().unwrap().issuer.key().public_key_pem();
        assert_eq!(public(&authority), public(&Authority::load(folder.path()).unwrap().unwrap()));
        assert_ne!(public(&authority), authority.issuer.key().public_key_pem());
    }

    #[test]
    fn a_client_certificate_names_user_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let leaf =
            Authority::load_or_create(folder.path()).unwrap().issue_client("admin", Some("system:masters")).unwrap();
        let (_, pem) = x509_parser::pem::parse_x509_pem(leaf.cert_pem.as_bytes()).unwrap();
        let cert = pem.parse_x509().unwrap();
        assert_eq!(cert.subject().to_string(), "O=system:masters, CN=admin");
        assert_eq!(cert.issuer().to_string(), "CN=gantry-ca");
    }
}
