//! Certificates for requests of others: what they ask to be called is read, that they hold the key is checked, and what
//! the controllers have decided is signed with the cluster's authority.
//!
//! Invariants: subject and key are those of the request, octet by octet; nothing else of it is taken but its
//! alternative names; a certificate never outlives the authority and is never one itself.

use anyhow::{Context, Result, anyhow};
use gantry_controllers::{Asked, Plan, Signatory};
use gantry_kinds::CERTIFICATE_SIGNING_REQUEST;
use gantry_kinds::tree::str_at;
use gantry_policy::{Attributes, Chain, User};
use gantry_view::View;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{KeyPair, SigningKey};
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;

use super::Authority;
use super::der;

/// ecdsa-with-SHA256, as the authority's key signs.
const SIGNATURE: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// Octets of a serial number.
const SERIAL_BYTES: usize = 16;

/// The authority as the controllers of requests know it.
pub struct Signer {
    key: KeyPair,
    /// Its name, DER.
    issuer: Vec<u8>,
    /// The identifier of its key, if its certificate has one.
    key_id: Option<Vec<u8>>,
    ends: Timestamp,
}

impl Signer {
    /// Of the cluster's authority.
    pub fn new(authority: &Authority) -> Result<Self> {
        let key = KeyPair::from_pem(&authority.key_pem()).context("reading the authority's key")?;
        let (_, pem) =
            parse_x509_pem(authority.cert_pem().as_bytes()).context("reading the authority's certificate")?;
        let certificate = pem.parse_x509().context("reading the authority's certificate")?;
        let ends = Timestamp::from_second(certificate.validity().not_after.timestamp())?;
        let key_id = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        Ok(Signer { key, issuer: certificate.subject().as_raw().to_vec(), key_id, ends })
    }

    fn certificate(&self, request: &X509CertificationRequest<'_>, plan: &Plan) -> Result<String> {
        let mut serial = [0; SERIAL_BYTES];
        aws_lc_rs::rand::fill(&mut serial).map_err(|_| anyhow!("no random bytes are to be had"))?;
        // Positive, and never shorter.
        serial[0] = (serial[0] & 0x7f) | 0x40;
        let algorithm = der::sequence(&[SIGNATURE.to_vec()]);
        let until = plan.not_after.min(self.ends);
        let info = &request.certification_request_info;
        let body = der::sequence(&[
            der::tagged(0, &der::value(0x02, &[2])),
            der::value(0x02, &serial),
            algorithm.clone(),
            self.issuer.clone(),
            der::sequence(&[time(plan.not_before), time(until)]),
            info.subject.as_raw().to_vec(),
            info.subject_pki.raw.to_vec(),
            der::tagged(3, &der::sequence(&self.extensions(request, plan))),
        ]);
        let signature = self.key.sign(&body).context("signing")?;
        let whole = der::sequence(&[body, algorithm, der::bits(&signature, 0)]);
        Ok(der::pem("CERTIFICATE", &whole))
    }

    fn extensions(&self, request: &X509CertificationRequest<'_>, plan: &Plan) -> Vec<Vec<u8>> {
        let mut extensions = Vec::new();
        if let Some(usage) = key_usage(&plan.usages) {
            extensions.push(extension(KEY_USAGE, true, &usage));
        }
        let purposes: Vec<Vec<u8>> = plan.usages.iter().filter_map(|usage| purpose(usage)).collect();
        if !purposes.is_empty() {
            extensions.push(extension(EXTENDED_KEY_USAGE, false, &der::sequence(&purposes)));
        }
        extensions.push(extension(BASIC_CONSTRAINTS, true, &der::sequence(&[])));
        if let Some(id) = &self.key_id {
            extensions.push(extension(AUTHORITY_KEY, false, &der::sequence(&[der::value(0x80, id)])));
        }
        if let Some(names) = alternative_names(request) {
            // Whoever has no other name must be known by these.
            let critical = request.certification_request_info.subject.iter().next().is_none();
            extensions.push(extension(ALTERNATIVE_NAMES, critical, names));
        }
        extensions
    }
}

impl Signatory for Signer {
    fn read(&self, request: &str) -> Result<Asked, String> {
        let (_, pem) = parse_x509_pem(request.as_bytes()).map_err(|error| error.to_string())?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
        request.verify_signature().map_err(|error| error.to_string())?;
        let subject = &request.certification_request_info.subject;
        let text = |name: &x509_parser::x509::AttributeTypeAndValue<'_>| name.as_str().unwrap_or_default().to_owned();
        let mut asked = Asked {
            common_name: subject.iter_common_name().last().map(text).unwrap_or_default(),
            organizations: subject.iter_organization().map(text).collect(),
            ..Asked::default()
        };
        for name in names(&request) {
            match name {
                GeneralName::DNSName(_) => asked.dns = true,
                GeneralName::IPAddress(_) => asked.addresses = true,
                GeneralName::RFC822Name(_) => asked.mailboxes = true,
                GeneralName::URI(_) => asked.uris = true,
                _ => {}
            }
        }
        Ok(asked)
    }

    fn sign(&self, request: &str, plan: &Plan) -> Result<String, String> {
        let (_, pem) = parse_x509_pem(request.as_bytes()).map_err(|error| error.to_string())?;
        let (_, request) = X509CertificationRequest::from_der(&pem.contents).map_err(|error| error.to_string())?;
        self.certificate(&request, plan).map_err(|error| format!("{error:#}"))
    }

    fn digest(&self, text: &str) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
    }

    fn may(&self, view: &View, spec: &Value, subresource: &str) -> bool {
        let texts = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|text| Some(text.as_str()?.to_owned())).collect()
        };
        let extra = spec["extra"].as_object().into_iter().flatten();
        let user = User {
            name: str_at(spec, "/username").to_owned(),
            uid: str_at(spec, "/uid").to_owned(),
            groups: texts(&spec["groups"]),
            extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
        };
        let asked = Attributes::resource(&user, "create", &CERTIFICATE_SIGNING_REQUEST, "", "");
        // By roles alone: a controller has nobody to ask.
        let verdict = Chain::default().decide(view, &Attributes { subresource, ..asked }, &|_| None);
        verdict.is_ok_and(|verdict| verdict.allowed)
    }
}

/// The alternative names that are asked for.
fn names<'a>(request: &'a X509CertificationRequest<'_>) -> impl Iterator<Item = &'a GeneralName<'a>> {
    let extensions = request.requested_extensions().into_iter().flatten();
    extensions.flat_map(|extension| match extension {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
        _ => &[],
    })
}

/// The extension of alternative names, as it was asked for.
fn alternative_names<'a>(request: &'a X509CertificationRequest<'a>) -> Option<&'a [u8]> {
    use x509_parser::cri_attributes::ParsedCriAttribute;
    request.certification_request_info.iter_attributes().find_map(|attribute| match attribute.parsed_attribute() {
        ParsedCriAttribute::ExtensionRequest(wanted) => {
            wanted.extensions.iter().find(|e| e.oid.as_bytes() == ALTERNATIVE_NAMES).map(|extension| extension.value)
        }
        _ => None,
    })
}

fn extension(identifier: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let mut parts = vec![der::value(0x06, identifier)];
    if critical {
        parts.push(der::value(0x01, &[0xff]));
    }
    parts.push(der::value(0x04, value));
    der::sequence(&parts)
}

/// Times before 2050 have two digits for their year.
fn time(at: Timestamp) -> Vec<u8> {
    let at = at.to_zoned(TimeZone::UTC);
    if at.year() < 2050 {
        return der::value(0x17, at.strftime("%y%m%d%H%M%SZ").to_string().as_bytes());
    }
    der::value(0x18, at.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

/// The bits of the usages that are of the key itself.
fn key_usage(usages: &[String]) -> Option<Vec<u8>> {
    const BITS: [(&str, u8); 11] = [
        ("signing", 0),
        ("digital signature", 0),
        ("content commitment", 1),
        ("key encipherment", 2),
        ("data encipherment", 3),
        ("key agreement", 4),
        ("cert sign", 5),
        ("crl sign", 6),
        ("encipher only", 7),
        ("decipher only", 8),
        ("any", u8::MAX),
    ];
    let bit = |usage: &String| BITS.iter().find(|(name, bit)| name == usage && *bit < 9).map(|(_, bit)| *bit);
    let set: Vec<u8> = usages.iter().filter_map(bit).collect();
    let last = *set.iter().max()?;
    let mut octets = vec![0_u8; usize::from(last / 8) + 1];
    for bit in set {
        octets[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    Some(der::bits(&octets, 7 - last % 8))
}

/// The identifier of a usage that is a purpose.
fn purpose(usage: &str) -> Option<Vec<u8>> {
    let of = |last: u8| vec![0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, last];
    let identifier = match usage {
        "any" => vec![0x55, 0x1d, 0x25, 0x00],
        "server auth" => of(1),
        "client auth" => of(2),
        "code signing" => of(3),
        "email protection" | "s/mime" => of(4),
        "ipsec end system" => of(5),
        "ipsec tunnel" => of(6),
        "ipsec user" => of(7),
        "timestamping" => of(8),
        "ocsp signing" => of(9),
        "microsoft sgc" => vec![0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03],
        "netscape sgc" => vec![0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01],
        _ => return None,
    };
    Some(der::value(0x06, &identifier))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};

    use super::*;

    fn signer() -> Signer {
        let folder = tempfile::tempdir().unwrap();
        Signer::new(&Authority::load_or_create(folder.path()).unwrap()).unwrap()
    }

    fn request(key: &KeyPair, host: Option<&str>) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "devs");
        params.distinguished_name.push(DnType::CommonName, "jane");
        params.subject_alt_names = host.map(|host| SanType::DnsName(host.try_into().unwrap())).into_iter().collect();
        params.serialize_request(key).unwrap().pem().unwrap()
    }

    #[test]
    fn a_certificate_says_what_was_asked_and_decided() {
        let (signer, key) = (signer(), KeyPair::generate().unwrap());
        let request = request(&key, Some("a.example"));
        let asked = signer.read(&request).unwrap();
        assert_eq!(
            (asked.common_name.as_str(), asked.organizations.join(","), asked.dns),
            ("jane", "devs".to_owned(), true)
        );
        let [not_before, not_after] = ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"].map(|t| t.parse().unwrap());
        let usages = ["client auth", "digital signature", "key encipherment"].map(str::to_owned).to_vec();
        let pem = signer.sign(&request, &Plan { usages, not_before, not_after }).unwrap();
        let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
        let certificate = pem.parse_x509().unwrap();
        assert_eq!(certificate.subject().to_string(), "O=devs, CN=jane");
        assert_eq!(certificate.issuer().to_string(), "CN=gantry-ca");
        let validity = certificate.validity();
        assert_eq!(validity.not_before.timestamp(), not_before.as_second());
        assert_eq!(validity.not_after.timestamp(), not_after.as_second());
        assert!(!certificate.is_ca());
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
        let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
        assert!(purposes.client_auth && !purposes.server_auth);
        assert_eq!(certificate.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
        assert_eq!(certificate.public_key().raw, key_info(&key));
        let (_, authority) =
            parse_x509_pem(authority_pem(&signer).as_bytes()).map(|(rest, pem)| (rest.to_vec(), pem)).unwrap();
        assert!(certificate.verify_signature(Some(authority.parse_x509().unwrap().public_key())).is_ok());
    }

    fn key_info(key: &KeyPair) -> Vec<u8> {
        use rcgen::PublicKeyData;
        key.subject_public_key_info()
    }

    /// A certificate that the signer's key has signed for itself.
    fn authority_pem(signer: &Signer) -> String {
        CertificateParams::default().self_signed(&signer.key).unwrap().pem()
    }

    #[test]
    fn nothing_outlives_the_authority() {
        let (signer, key) = (signer(), KeyPair::generate().unwrap());
        let plan = Plan { usages: vec![], not_before: Timestamp::UNIX_EPOCH, not_after: Timestamp::MAX };
        let pem = signer.sign(&request(&key, None), &plan).unwrap();
        let (_, pem) = parse_x509_pem(pem.as_bytes()).unwrap();
        assert_eq!(pem.parse_x509().unwrap().validity().not_after.timestamp(), signer.ends.as_second());
    }

    #[test]
    fn a_request_that_another_key_signed_is_refused() {
        let key = KeyPair::generate().unwrap();
        let request = request(&key, None);
        let (_, pem) = parse_x509_pem(request.as_bytes()).unwrap();
        let mut broken = pem.contents.clone();
        let last = broken.len() - 1;
        broken[last] ^= 1;
        assert!(signer().read(&der::pem("CERTIFICATE REQUEST", &broken)).is_err());
    }
}
