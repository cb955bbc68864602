//! Continue tokens: where a page ended and at which revision, in upstream's own format.

use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use base64::{DecodeError, Engine};
use gantry_kinds::Status;
use gantry_view::Object;
use serde::{Deserialize, Serialize};

use crate::Refusal;

/// The place after which the next page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// Revision of the first page; `None` to go on with whatever is there now.
    pub revision: Option<u64>,
    /// Namespace of the last object, empty where the list is of one namespace or of a cluster-scoped kind.
    pub namespace: String,
    /// Name of the last object.
    pub name: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

impl Token {
    /// The place after `last`. `across`: whether the list goes over namespaces.
    pub(crate) fn after(last: &Object, revision: Option<u64>, across: bool) -> Self {
        let namespace = if across { last.namespace().to_owned() } else { String::new() };
        Token { revision, namespace, name: last.name().to_owned() }
    }

    /// Whether an object comes after this place.
    pub(crate) fn before(&self, object: &Object, across: bool) -> bool {
        let namespace = if across { object.namespace() } else { "" };
        (self.namespace.as_str(), self.name.as_str()) < (namespace, object.name())
    }

    pub(crate) fn encode(&self) -> String {
        let slash = if self.namespace.is_empty() { "" } else { "/" };
        let start = format!("{}{slash}{}\0", self.namespace, self.name);
        let rv = self.revision.map_or(-1, |r| i64::try_from(r).unwrap_or(i64::MAX));
        let wire = Wire { v: "meta.k8s.io/v1".to_owned(), rv, start };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, Refusal> {
        let refused = |why: String| Box::new(Status::bad_request(format!("invalid continue token: {why}")));
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .or_else(|_| URL_SAFE.decode(text))
            .map_err(|error| refused(format!("continue key is not valid: {}", illegal(&error, text.len()))))?;
        let wire: Wire = gantry_schema::decode::json(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|decoded| serde_json::from_value(decoded.value).map_err(|error| error.to_string()))
            .map_err(|error| refused(format!("continue key is not valid: {error}")))?;
        if wire.v != "meta.k8s.io/v1" {
            return Err(refused(format!(
                "continue key is not valid: server does not recognize this encoded version {:?}",
                wire.v
            )));
        }
        let place = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        let (namespace, name) = place.split_once('/').unwrap_or(("", place));
        if name.is_empty() {
            return Err(refused("continue key is not valid: encoded start key empty".to_owned()));
        }
        let revision = u64::try_from(wire.rv).ok().filter(|r| *r > 0);
        Ok(Token { revision, namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// What is wrong with the text of a token, in Go's words.
fn illegal(error: &DecodeError, length: usize) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => *at,
        DecodeError::InvalidLength(_) => length - length % 4,
        DecodeError::InvalidPadding => length,
    };
    format!("illegal base64 data at input byte {at}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_upstreams() {
        let text = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6NDY5LCJzdGFydCI6Imt1YmUtbm9kZS1sZWFzZVx1MDAwMCJ9";
        let token = Token { revision: Some(469), namespace: String::new(), name: "kube-node-lease".to_owned() };
        assert_eq!(Token::decode(text).unwrap(), token);
        assert_eq!(token.encode(), text);
        let across = Token { revision: None, namespace: "a".to_owned(), name: "b".to_owned() };
        assert_eq!(Token::decode(&across.encode()).unwrap(), across);
        for broken in ["abc", "e30", "!"] {
            assert!(
                Token::decode(broken)
                    .unwrap_err()
                    .message
                    .starts_with("invalid continue token: continue key is not valid")
            );
        }
    }
}
