//! What a backup says of itself in plain text: one block in front of the sealed part.
//!
//! The block is `gantry-backup 1`, a line of JSON, the SHA-256 of both lines, and spaces up to its size; so what is
//! there can be listed without a key, and no bit of it can be changed unseen. What the header says of the cluster is
//! sealed once more inside, where it cannot be forged.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::BackupError;
use crate::limits::HEADER_BYTES;

/// The first line, up to the version.
const MAGIC: &str = "gantry-backup ";
/// The version that this program reads and writes.
const VERSION: &str = "1";

/// What was backed up: known before the first key is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// The cluster's identity: the uid of its namespace kube-system.
    pub cluster_id: String,
    /// When the backup was begun.
    pub created: Timestamp,
    /// The revision that all keys were read at.
    pub revision: u64,
    /// The version of gantry that wrote it.
    pub gantry_version: String,
    /// The format of the store that the keys were read from.
    pub store_format: String,
    /// Whether the schedule made it; a person did otherwise.
    pub scheduled: bool,
}

/// The header of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// What was backed up.
    #[serde(flatten)]
    pub head: Head,
    /// Keys in it.
    pub entries: u64,
    /// Files in it.
    pub files: u64,
    /// Recipients, or `passphrase`.
    pub encrypted_for: Vec<String>,
    /// Bytes after the header.
    pub sealed_bytes: u64,
    /// SHA-256 of the bytes after the header, hexadecimal.
    pub sealed_sha256: String,
}

impl Manifest {
    /// The name under which it is kept.
    pub fn file_name(&self) -> String {
        let Head { cluster_id, created, revision, .. } = &self.head;
        let id: String = cluster_id.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        format!("gantry-{id}-{}-{revision}.backup", created.strftime("%Y%m%dT%H%M%SZ"))
    }

    /// Bytes of the whole backup.
    pub fn size_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.sealed_bytes
    }

    /// The header. Errors: `Key` when it does not fit, for it is the recipients that vary.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let json = serde_json::to_string(self).map_err(|e| BackupError::Key(e.to_string()))?;
        let mut block = format!("{MAGIC}{VERSION}\n{json}\n");
        let sum = hex(&Sha256::digest(&block));
        block.push_str(&sum);
        block.push('\n');
        if block.len() >= HEADER_BYTES {
            return Err(BackupError::Key("the backup is encrypted for too many recipients".to_owned()));
        }
        let mut block = block.into_bytes();
        block.resize(HEADER_BYTES - 1, b' ');
        block.push(b'\n');
        Ok(block)
    }

    /// Reads a header. Errors: `NotABackup`, `Format`, `Damaged`.
    pub(crate) fn decode(name: &str, block: &[u8]) -> Result<Self, BackupError> {
        let not_one = || BackupError::NotABackup { name: name.to_owned() };
        let Some(rest) = block.strip_prefix(MAGIC.as_bytes()) else { return Err(not_one()) };
        let text = String::from_utf8_lossy(rest);
        let mut lines = text.split('\n');
        let (version, json) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if version != VERSION && version.len() <= 8 && version.bytes().all(|b| b.is_ascii_digit()) {
            let said: Option<serde_json::Value> = serde_json::from_str(json).ok();
            let written_by = said.as_ref().and_then(|v| v["gantryVersion"].as_str()).unwrap_or("unknown").to_owned();
            let (found, expected) = (format!("{MAGIC}{version}"), format!("{MAGIC}{VERSION}"));
            return Err(BackupError::Format { name: name.to_owned(), found, expected, written_by });
        }
        let damaged = |cause: &str| BackupError::damaged(name, cause);
        if block.len() != HEADER_BYTES {
            return Err(damaged("its header is cut off"));
        }
        let manifest: Manifest = serde_json::from_str(json).map_err(|_| damaged("its header cannot be read"))?;
        if manifest.encode()? != block { Err(damaged("its header was changed")) } else { Ok(manifest) }
    }
}

/// Hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
pub(crate) fn sample() -> Manifest {
    Manifest {
        head: Head {
            cluster_id: "0b5c2f7e-1111-4222-8333-123456789abc".to_owned(),
            created: Timestamp::from_second(1_790_000_000).unwrap(),
            revision: 4711,
            gantry_version: "0.1.0".to_owned(),
            store_format: "gantry-store 2".to_owned(),
            scheduled: false,
        },
        entries: 3,
        files: 1,
        encrypted_for: vec!["age1abc".to_owned()],
        sealed_bytes: 99,
        sealed_sha256: "00".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back() {
        let block = sample().encode().unwrap();
        assert_eq!(block.len(), HEADER_BYTES);
        assert_eq!(Manifest::decode("x", &block).unwrap(), sample());
        assert_eq!(sample().file_name(), "gantry-0b5c2f7e-20260921T141320Z-4711.backup");
    }

    #[test]
    fn no_bit_of_it_can_be_changed_unseen() {
        let block = sample().encode().unwrap();
        for at in 0..block.len() {
            for bit in 0..8 {
                let mut other = block.clone();
                other[at] ^= 1 << bit;
                assert!(Manifest::decode("x", &other).is_err(), "byte {at}, bit {bit}");
            }
        }
        for cut in 0..block.len() {
            assert!(Manifest::decode("x", &block[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_newer_format_is_named_with_the_version_that_wrote_it() {
        let block = sample().encode().unwrap();
        let newer = [b"gantry-backup 2".as_slice(), &block[15..]].concat();
        let error = Manifest::decode("x", &newer).unwrap_err().to_string();
        assert!(error.contains("\"gantry-backup 2\"") && error.contains("gantry 0.1.0"), "{error}");
        assert!(matches!(Manifest::decode("x", b"PK\x03\x04"), Err(BackupError::NotABackup { .. })));
    }
}
