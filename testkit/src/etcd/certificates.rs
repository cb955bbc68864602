//! The certificates of a test's etcd.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// An authority with a certificate for the members and one for clients, as files and as text.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca_pem: String,
    /// A client's certificate.
    pub cert_pem: String,
    /// Its key.
    pub key_pem: String,
    /// The file of `ca_pem`.
    pub ca_file: PathBuf,
    /// The file of `cert_pem`.
    pub cert_file: PathBuf,
    /// The file of `key_pem`.
    pub key_file: PathBuf,
    pub(super) member_cert_file: PathBuf,
    pub(super) member_key_file: PathBuf,
}

impl Certificates {
    /// Makes them for members at these addresses and writes them to files in `folder`.
    pub fn new(folder: &Path, addresses: &[IpAddr]) -> Self {
        let (authority, ca_pem) = authority();
        // Members look whether the address that a peer comes from is in its certificate; on the loopback network
        // all come from its first one.
        let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
        let names: Vec<_> = addresses.iter().chain([&loopback]).map(IpAddr::to_string).collect();
        let (member_cert, member_key) = leaf(&authority, "etcd", names);
        let (cert_pem, key_pem) = leaf(&authority, "gantry", Vec::new());
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("writing a certificate");
            path
        };
        Certificates {
            ca_file: write("ca.crt", &ca_pem),
            cert_file: write("client.crt", &cert_pem),
            key_file: write("client.key", &key_pem),
            member_cert_file: write("member.crt", &member_cert),
            member_key_file: write("member.key", &member_key),
            ca_pem,
            cert_pem,
            key_pem,
        }
    }
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "etcd of a test");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key).expect("the authority's certificate").pem();
    (Issuer::new(params, key), certificate)
}

/// A certificate for both sides: a member is a client of the other members and of itself.
fn leaf(authority: &Issuer<'static, KeyPair>, name: &str, addresses: Vec<String>) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(addresses).expect("the addresses");
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, authority).expect("a certificate").pem();
    (certificate, key.serialize_pem())
}
