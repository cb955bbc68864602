//! The ciphers of local keys, with the layout of what they write: a nonce or an initialization vector, then the data.
//!
//! Invariants: no nonce is chosen by anything but the system's random numbers; aesgcm also holds the store's key, so a
//! value that is copied to another key does not open there.

use aws_lc_rs::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use crypto_secretbox::XSalsa20Poly1305;
use crypto_secretbox::aead::{Aead, KeyInit};

use crate::sealing::random;

/// Bytes of the initialization vector of aescbc.
const CBC_IV: usize = 16;
/// Bytes of the nonce of secretbox.
const BOX_NONCE: usize = 24;

/// Which cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM with a random nonce.
    AesGcm,
    /// AES-CBC with PKCS#7 padding.
    AesCbc,
    /// XSalsa20 and Poly1305.
    SecretBox,
}

impl Cipher {
    /// The name in configurations and in front of what is stored.
    pub fn name(self) -> &'static str {
        match self {
            Cipher::AesGcm => "aesgcm",
            Cipher::AesCbc => "aescbc",
            Cipher::SecretBox => "secretbox",
        }
    }

    /// The lengths that its keys may have.
    pub fn key_lengths(self) -> &'static [usize] {
        match self {
            Cipher::AesGcm | Cipher::AesCbc => &[16, 24, 32],
            Cipher::SecretBox => &[32],
        }
    }
}

/// A key with its cipher; its bytes are checked when it is made.
#[derive(Clone, PartialEq, Eq)]
pub struct CipherKey {
    cipher: Cipher,
    bytes: Vec<u8>,
}

impl CipherKey {
    /// `None` where the cipher takes no keys of this length.
    pub fn new(cipher: Cipher, bytes: Vec<u8>) -> Option<Self> {
        cipher.key_lengths().contains(&bytes.len()).then_some(CipherKey { cipher, bytes })
    }

    /// The cipher.
    pub fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// The bytes of the key.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is written for `plain` at `at`; `None` where the system fails.
    pub fn encrypt(&self, at: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        match self.cipher {
            Cipher::AesGcm => gcm_encrypt(&self.bytes, at, plain),
            Cipher::AesCbc => {
                let key = PaddedBlockEncryptingKey::cbc_pkcs7(self.block_key()?).ok()?;
                let (iv, mut data) = (random::<CBC_IV>().ok()?, plain.to_vec());
                key.less_safe_encrypt(&mut data, EncryptionContext::Iv128(iv.into())).ok()?;
                Some([&iv[..], &data].concat())
            }
            Cipher::SecretBox => {
                let nonce = random::<BOX_NONCE>().ok()?;
                let data = XSalsa20Poly1305::new_from_slice(&self.bytes).ok()?.encrypt(&nonce.into(), plain).ok()?;
                Some([&nonce[..], &data].concat())
            }
        }
    }

    /// What was written; `None` where it was not written with this key for `at`.
    pub fn decrypt(&self, at: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
        match self.cipher {
            Cipher::AesGcm => gcm_decrypt(&self.bytes, at, stored),
            Cipher::AesCbc => {
                let key = PaddedBlockDecryptingKey::cbc_pkcs7(self.block_key()?).ok()?;
                let (iv, data) = stored.split_first_chunk::<CBC_IV>()?;
                let mut data = data.to_vec();
                let plain = key.decrypt(&mut data, DecryptionContext::Iv128((*iv).into())).ok()?;
                Some(plain.to_vec())
            }
            Cipher::SecretBox => {
                let (nonce, data) = stored.split_first_chunk::<BOX_NONCE>()?;
                XSalsa20Poly1305::new_from_slice(&self.bytes).ok()?.decrypt(&(*nonce).into(), data).ok()
            }
        }
    }

    fn block_key(&self) -> Option<UnboundCipherKey> {
        let algorithm = match self.bytes.len() {
            16 => &AES_128,
            24 => &AES_192,
            _ => &AES_256,
        };
        UnboundCipherKey::new(algorithm, &self.bytes).ok()
    }
}

/// AES-GCM: nonce, data, tag.
pub(crate) fn gcm_encrypt(key: &[u8], at: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let (nonce, mut data) = (random::<NONCE_LEN>().ok()?, plain.to_vec());
    gcm(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(at), &mut data).ok()?;
    Some([&nonce[..], &data].concat())
}

/// The other way round.
pub(crate) fn gcm_decrypt(key: &[u8], at: &[u8], stored: &[u8]) -> Option<Vec<u8>> {
    let (nonce, data) = stored.split_first_chunk::<NONCE_LEN>()?;
    let mut data = data.to_vec();
    let plain = gcm(key)?.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(at), &mut data).ok()?;
    Some(plain.to_vec())
}

fn gcm(key: &[u8]) -> Option<LessSafeKey> {
    let algorithm = match key.len() {
        16 => &aead::AES_128_GCM,
        24 => &aead::AES_192_GCM,
        _ => &aead::AES_256_GCM,
    };
    UnboundKey::new(algorithm, key).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cipher_opens_what_it_wrote_and_nothing_else() {
        for cipher in [Cipher::AesGcm, Cipher::AesCbc, Cipher::SecretBox] {
            for length in cipher.key_lengths() {
                let key = CipherKey::new(cipher, vec![7; *length]).unwrap();
                let stored = key.encrypt(b"/a", b"plain text").unwrap();
                assert_eq!(key.decrypt(b"/a", &stored).as_deref(), Some(&b"plain text"[..]), "{cipher:?} {length}");
                assert_ne!(stored, key.encrypt(b"/a", b"plain text").unwrap(), "no nonce comes twice");
                let other = CipherKey::new(cipher, vec![8; *length]).unwrap();
                assert_ne!(other.decrypt(b"/a", &stored).as_deref(), Some(&b"plain text"[..]));
                assert_eq!(key.decrypt(b"/a", &stored[..10]), None);
                let bound = key.decrypt(b"/b", &stored).is_none();
                assert_eq!(bound, cipher == Cipher::AesGcm, "aesgcm alone is bound to its place");
            }
        }
        assert!(CipherKey::new(Cipher::SecretBox, vec![0; 16]).is_none());
    }
}
