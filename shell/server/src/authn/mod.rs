//! Who asks: a client certificate of ours, a service-account token, or nobody; and whom they impersonate.
//!
//! Invariants: a credential that is there but wrong is 401, never anonymous; a token is worth nothing once the object
//! that it is bound to is gone.

pub(crate) mod bound;
mod certificate;
mod impersonation;
mod keys;

use gantry_kinds::Status;
use gantry_registry::User;
use gantry_view::View;
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub(crate) use certificate::{Peer, Verifier};
pub(crate) use impersonation::impersonate;
pub use keys::KeyError;
pub(crate) use keys::{Claims, Keys, KubernetesClaims, Named};

use crate::Refusal;

/// Everybody who proved who they are.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";

/// Paths that answer without any credential.
const OPEN_PATHS: [&str; 4] = ["/livez", "/readyz", "/healthz", "/version"];

/// What a credential proves, before anything is looked up.
pub(crate) enum Proof {
    /// A user, for good.
    User(User),
    /// The claims of a token that we signed.
    Token(Box<Claims>),
}

/// Checks the credential of a request.
pub(crate) fn prove(keys: &Keys, peer: &Peer, headers: &HeaderMap, path: &str, now: i64) -> Result<Proof, Refusal> {
    if let Some(user) = peer.user(now) {
        return Ok(Proof::User(user));
    }
    if let Some(token) = bearer(headers) {
        let claims = keys.verify(token, &[keys.issuer()], now).map_err(|_| unauthorized())?;
        return Ok(Proof::Token(Box::new(claims)));
    }
    let open = OPEN_PATHS.iter().any(|open| path == *open || path.starts_with(&format!("{open}/")));
    if open && !peer.presented() && !headers.contains_key(AUTHORIZATION) {
        Ok(Proof::User(anonymous()))
    } else {
        Err(unauthorized())
    }
}

/// The user whom the credential stands for.
pub(crate) fn identify(view: &View, proof: Proof, now: i64) -> Result<User, Refusal> {
    match proof {
        Proof::User(user) => Ok(user),
        Proof::Token(claims) => bound::user(view, &claims, now).ok_or_else(unauthorized),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn anonymous() -> User {
    User { name: "system:anonymous".to_owned(), groups: vec!["system:unauthenticated".to_owned()], ..User::default() }
}

fn unauthorized() -> Refusal {
    Box::new(Status::unauthorized())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_credential_is_never_anonymous() {
        let keys = Keys::for_tests();
        let ask = |authorization: Option<&str>, path: &str| {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            let proof = prove(&keys, &Peer::default(), &headers, path, 0);
            let user = proof.and_then(|proof| identify(&View::new(), proof, 0));
            user.map_or_else(|s| s.code.to_string(), |u| u.name)
        };
        assert_eq!(ask(None, "/livez"), "system:anonymous");
        assert_eq!(ask(None, "/readyz/ping"), "system:anonymous");
        assert_eq!(ask(None, "/livezz"), "401");
        assert_eq!(ask(None, "/api/v1/pods"), "401");
        assert_eq!(ask(Some("Bearer zzz"), "/livez"), "401");
        assert_eq!(ask(Some("Basic zzz"), "/livez"), "401");
    }
}
