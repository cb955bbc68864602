//! The key that signs service-account tokens, and the claims that they carry.

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::Refusal;
use crate::respond::internal;

/// A token key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the service-account key is neither a P-256 nor an RSA private key in PKCS#8 PEM")]
pub struct KeyError(#[source] jsonwebtoken::errors::Error);

/// Why a token is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Not ours, expired, or not a token at all.
    Invalid,
    /// Ours, but meant for others.
    Audience(Vec<String>),
}

/// The claims of a service-account token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    #[serde(default, deserialize_with = "one_or_more")]
    pub aud: Vec<String>,
    pub exp: i64,
    #[serde(default)]
    pub iat: i64,
    pub iss: String,
    #[serde(default)]
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
    #[serde(default)]
    pub nbf: i64,
    pub sub: String,
}

/// What the token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KubernetesClaims {
    pub namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Named>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Named>,
    pub serviceaccount: Named,
}

/// An object in the claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Named {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// Signs and verifies tokens.
pub(crate) struct Keys {
    signing: EncodingKey,
    verifying: DecodingKey,
    algorithm: Algorithm,
    public: Jwk,
    kid: String,
    issuer: String,
}

impl Keys {
    /// Takes the private key from PKCS#8 PEM.
    pub(crate) fn new(pem: &str, issuer: &str) -> Result<Self, KeyError> {
        let (signing, algorithm) = EncodingKey::from_ec_pem(pem.as_bytes())
            .map(|key| (key, Algorithm::ES256))
            .or_else(|_| EncodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (key, Algorithm::RS256)))
            .map_err(KeyError)?;
        let mut public = Jwk::from_encoding_key(&signing, algorithm).map_err(KeyError)?;
        let kid = public.thumbprint(ThumbprintHash::SHA256).map_err(KeyError)?;
        public.common.key_id = Some(kid.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        let verifying = DecodingKey::from_jwk(&public).map_err(KeyError)?;
        Ok(Keys { signing, verifying, algorithm, public, kid, issuer: issuer.to_owned() })
    }

    /// Who signs, and the audience that this server takes.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Name of the algorithm, as in discovery documents.
    pub(crate) fn algorithm(&self) -> &'static str {
        if self.algorithm == Algorithm::ES256 { "ES256" } else { "RS256" }
    }

    /// The public keys.
    pub(crate) fn public(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }

    /// Signs claims.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, Refusal> {
        let mut header = Header::new(self.algorithm);
        header.typ = None;
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.signing)
            .map_err(|error| internal(format!("failed to generate token: {error}")))
    }

    /// The claims of a token that we signed, that is valid at `now` (seconds), and that names one of `audiences`.
    pub(crate) fn verify(&self, token: &str, audiences: &[&str], now: i64) -> Result<Claims, Rejected> {
        let mut validation = Validation::new(self.algorithm);
        validation.set_issuer(&[&self.issuer]);
        validation.validate_aud = false;
        // The time is the caller's, so that all of a request is judged at one moment.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.verifying, &validation).map_err(|_| Rejected::Invalid)?.claims;
        if claims.exp <= now || claims.nbf > now {
            return Err(Rejected::Invalid);
        }
        if !claims.aud.iter().any(|a| audiences.contains(&a.as_str())) {
            return Err(Rejected::Audience(claims.aud));
        }
        Ok(claims)
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFw1xh9FaPL74IppM
3D8VDtBN52DID40mPCFF1yLIeZKhRANCAATGHt+cKLk8l1dBZ9TKW/tyOhSnndKc
EE7XEZBPqIW39Oe4D0t+2z9FmSdBkIlnw+LFI0lMF+xdv9IWfT03liLv
-----END PRIVATE KEY-----";
        Keys::new(KEY, "https://issuer").unwrap()
    }
}

impl Rejected {
    /// What TokenReview says.
    pub(crate) fn text(&self, wanted: &[String]) -> String {
        match self {
            Rejected::Invalid => "invalid bearer token".to_owned(),
            Rejected::Audience(has) => {
                let list = |l: &[String]| l.iter().map(|a| format!("{a:?}")).collect::<Vec<_>>().join(" ");
                let (has, wanted) = (list(has), list(wanted));
                format!(
                    "[invalid bearer token, token audiences [{has}] is invalid for the target audiences [{wanted}]]"
                )
            }
        }
    }
}

fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(String),
        More(Vec<String>),
    }
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(one) => vec![one],
        OneOrMore::More(more) => more,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            aud: vec!["https://issuer".to_owned()],
            exp: 200,
            iat: 100,
            nbf: 100,
            iss: "https://issuer".to_owned(),
            sub: "system:serviceaccount:a:b".to_owned(),
            ..Claims::default()
        }
    }

    #[test]
    fn a_token_is_taken_while_it_is_valid_and_only_by_its_audience() {
        let keys = Keys::for_tests();
        let token = keys.sign(&claims()).unwrap();
        let check = |audience: &str, now, expected: Result<(), Rejected>| {
            assert_eq!(keys.verify(&token, &[audience], now).map(drop), expected, "{audience} {now}");
        };
        check("https://issuer", 100, Ok(()));
        check("https://issuer", 200, Err(Rejected::Invalid));
        check("https://issuer", 99, Err(Rejected::Invalid));
        check("other", 150, Err(Rejected::Audience(vec!["https://issuer".to_owned()])));
    }

    #[test]
    fn a_changed_token_and_a_foreign_issuer_are_refused() {
        let keys = Keys::for_tests();
        let token = keys.sign(&claims()).unwrap();
        let broken = format!("{}x", &token[..token.len() - 1]);
        assert_eq!(keys.verify(&broken, &["https://issuer"], 150), Err(Rejected::Invalid));
        let foreign = keys.sign(&Claims { iss: "https://else".to_owned(), ..claims() }).unwrap();
        assert_eq!(keys.verify(&foreign, &["https://issuer"], 150), Err(Rejected::Invalid));
        let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
        assert_eq!(keys.verify(&unsigned, &["https://issuer"], 150), Err(Rejected::Invalid));
    }

    #[test]
    fn the_public_key_is_published_without_the_private_one() {
        let text = serde_json::to_string(&Keys::for_tests().public()).unwrap();
        assert!(text.contains("\"kid\"") && text.contains("\"use\":\"sig\"") && !text.contains("\"d\""), "{text}");
    }
}
