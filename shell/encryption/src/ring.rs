//! The cluster's own keys: a ring in the store, sealed with the key of a file. The first key writes, all of them read.
//!
//! Invariants: a ring changes only by a commit that compares its revision, and every commit of an encrypted value
//! compares it too, so nothing is ever written with a key that has left the ring.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cipher::{Cipher, CipherKey};
use crate::limits::KEY_BYTES;
use crate::sealing::{SealError, SealingKey, random};

/// Where it is in the store.
pub(crate) const RING: &[u8] = b"/gantry/encryption/ring";
/// Format of what is there.
const FORMAT: &str = "gantry-encryption-1";
/// Bytes of a name.
const NAME_BYTES: usize = 8;

/// Keys under their names.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Ring {
    keys: Vec<(String, CipherKey)>,
}

impl Ring {
    /// With one new key.
    pub(crate) fn create() -> Result<Self, SealError> {
        Ok(Ring { keys: vec![new_key()?] })
    }

    /// With a new key in front.
    pub(crate) fn rotated(&self) -> Result<Self, SealError> {
        Ok(Ring { keys: [vec![new_key()?], self.keys.clone()].concat() })
    }

    /// With nothing but the key that writes.
    pub(crate) fn trimmed(&self) -> Self {
        Ring { keys: self.keys[..1].to_vec() }
    }

    /// The key that writes.
    pub(crate) fn first(&self) -> (&str, &CipherKey) {
        let (name, key) = &self.keys[0];
        (name, key)
    }

    /// All of them.
    pub(crate) fn keys(&self) -> &[(String, CipherKey)] {
        &self.keys
    }

    pub(crate) fn seal(&self, with: &SealingKey) -> Result<Bytes, SealError> {
        let key = |(name, key): &(String, CipherKey)| json!({"name": name, "secret": STANDARD.encode(key.bytes())});
        let keys: Vec<Value> = self.keys.iter().map(key).collect();
        with.seal(FORMAT, RING, json!({ "keys": keys }).to_string().into_bytes())
    }

    pub(crate) fn open(with: &SealingKey, sealed: &[u8]) -> Result<Self, SealError> {
        let value: Value = serde_json::from_slice(&with.open(FORMAT, RING, sealed)?).map_err(|_| SealError::Damaged)?;
        let key = |value: &Value| {
            let secret = STANDARD.decode(value["secret"].as_str()?).ok()?;
            Some((value["name"].as_str()?.to_owned(), CipherKey::new(Cipher::AesGcm, secret)?))
        };
        let keys: Option<Vec<_>> =
            value["keys"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(key).collect();
        match keys {
            Some(keys) if !keys.is_empty() => Ok(Ring { keys }),
            _ => Err(SealError::Damaged),
        }
    }
}

fn new_key() -> Result<(String, CipherKey), SealError> {
    let mut name = "gantry-".to_owned();
    for byte in random::<NAME_BYTES>()? {
        let _ = write!(name, "{byte:02x}");
    }
    let key = CipherKey::new(Cipher::AesGcm, random::<KEY_BYTES>()?.to_vec()).ok_or(SealError::NoKey)?;
    Ok((name, key))
}
