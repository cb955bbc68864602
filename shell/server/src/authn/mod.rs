//! Who asks: a client certificate of ours, a service-account token, or nobody; and whom they impersonate.
//!
//! Invariants: a credential that is there but wrong is 401, never anonymous; a token is worth nothing once the object
//! that it is bound to is gone.

mod anonymous;
pub(crate) mod bound;
mod certificate;
mod impersonation;
mod keys;

use gantry_kinds::Status;
use gantry_registry::User;
use gantry_view::View;
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use anonymous::Anonymous;
pub(crate) use certificate::{Peer, Verifier};
pub(crate) use impersonation::impersonate;
pub use keys::KeyError;
pub(crate) use keys::{Claims, Keys, KubernetesClaims, Named};

use crate::Refusal;

/// Everybody who proved who they are.
pub(crate) const AUTHENTICATED: &str = "system:authenticated";

/// By what requests are known.
pub(crate) struct Credentials {
    /// The keys of service accounts' tokens.
    pub(crate) keys: Keys,
    pub(crate) anonymous: Anonymous,
}

/// What a credential proves, before anything is looked up.
pub(crate) enum Proof {
    /// A user, for good.
    User(User),
    /// The claims of a token that we signed.
    Token(Box<Claims>),
}

/// Checks the credential of a request.
pub(crate) fn prove(
    by: &Credentials,
    peer: &Peer,
    headers: &HeaderMap,
    path: &str,
    now: i64,
) -> Result<Proof, Refusal> {
    if let Some(user) = peer.user(now) {
        return Ok(Proof::User(user));
    }
    if let Some(token) = bearer(headers) {
        let claims = by.keys.verify(token, &[by.keys.issuer()], now).map_err(|_| unauthorized())?;
        return Ok(Proof::Token(Box::new(claims)));
    }
    if by.anonymous.may_ask(path) && !peer.presented() && !headers.contains_key(AUTHORIZATION) {
        Ok(Proof::User(anonymous::user()))
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

fn unauthorized() -> Refusal {
    Box::new(Status::unauthorized())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_credential_is_never_anonymous() {
        let credentials = Credentials { keys: Keys::for_tests(), anonymous: Anonymous::health() };
        let ask = |authorization: Option<&str>, path: &str| {
            let mut headers = HeaderMap::new();
            if let Some(value) = authorization {
                headers.insert(AUTHORIZATION, value.parse().unwrap());
            }
            let proof = prove(&credentials, &Peer::default(), &headers, path, 0);
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
