//! The key in a file outside the data directory: it encrypts what the servers of a cluster keep in their store for
//! themselves. Base64 of 32 bytes.
//!
//! Invariant: what is sealed for one place in the store opens at no other.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::limits::KEY_BYTES;

/// Why something could not be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text of a key file is none.
    #[error("it is not a key: base64 of {KEY_BYTES} bytes is expected")]
    NoKey,
    /// What is in the store has another format.
    #[error("the store has format {found}, this program reads {expected}")]
    Format {
        /// What it says.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// What is in the store is not whole.
    #[error("what is in the store is damaged")]
    Damaged,
    /// It was sealed with another key.
    #[error("it was encrypted with another key")]
    OtherKey,
    /// The system gave no random bytes.
    #[error("no random bytes are to be had")]
    Random,
}

/// The key itself.
pub struct SealingKey(RandomizedNonceKey);

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}

impl SealingKey {
    /// The key that a file's text says.
    pub fn read(text: &str) -> Result<Self, SealError> {
        let bytes = STANDARD.decode(text.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES);
        let bytes = bytes.ok_or(SealError::NoKey)?;
        RandomizedNonceKey::new(&AES_256_GCM, &bytes).map(SealingKey).map_err(|_| SealError::NoKey)
    }

    /// The text of a new key's file.
    pub fn create() -> Result<String, SealError> {
        Ok(format!("{}\n", STANDARD.encode(random::<KEY_BYTES>()?)))
    }

    /// Encrypts `plain` for the place `at` in the store.
    pub fn seal(&self, format: &'static str, at: &[u8], plain: Vec<u8>) -> Result<Bytes, SealError> {
        let mut data = plain;
        let nonce = self.0.seal_in_place_append_tag(Aad::from(at), &mut data).map_err(|_| SealError::Random)?;
        let nonce = STANDARD.encode(nonce.as_ref());
        Ok(Bytes::from(json!({"format": format, "nonce": nonce, "data": STANDARD.encode(data)}).to_string()))
    }

    /// Decrypts what was sealed for the place `at`.
    pub fn open(&self, format: &'static str, at: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let value: Value = serde_json::from_slice(sealed).map_err(|_| SealError::Damaged)?;
        if value["format"] != format {
            return Err(SealError::Format { found: value["format"].to_string(), expected: format });
        }
        let part = |name: &str| value[name].as_str().and_then(|text| STANDARD.decode(text).ok());
        let (nonce, mut data) = part("nonce").zip(part("data")).ok_or(SealError::Damaged)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| SealError::Damaged)?;
        let opened = self.0.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(at), &mut data);
        opened.map(|plain| plain.to_vec()).map_err(|_| SealError::OtherKey)
    }
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SealError::Random)?;
    Ok(bytes)
}
