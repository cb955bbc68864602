//! How values and log records look on disk; all numbers are big endian.
//!
//! A value is its revision (8 bytes) and its bytes. A log record is a byte that says which one it is; a commit
//! follows with its changes, each `u32 length, key, u8 present, [u32 length, value]`; a reopening with the revision
//! (8 bytes) of the last record before it.

use bytes::{Buf, BufMut, Bytes};

use crate::KeyChange;

const COMMIT: u8 = 0;
const REOPENED: u8 = 1;

/// What happened at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A transaction.
    Commit(Vec<KeyChange>),
    /// The store was opened after a crash: revisions after `after` and up to this record's may have been seen by
    /// somebody and be lost.
    Reopened { after: u64 },
}

pub(super) fn encode_value(revision: u64, value: &[u8]) -> Vec<u8> {
    [&revision.to_be_bytes(), value].concat()
}

pub(super) fn decode_revision(stored: &[u8]) -> Result<u64, String> {
    stored.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(|| "a value without revision".to_owned())
}

pub(super) fn decode_value(stored: &[u8]) -> Result<(u64, Bytes), String> {
    Ok((decode_revision(stored)?, Bytes::copy_from_slice(&stored[8..])))
}

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Record::Reopened { after } => {
                out.put_u8(REOPENED);
                out.put_u64(*after);
            }
            Record::Commit(changes) => {
                out.put_u8(COMMIT);
                for change in changes {
                    put_bytes(&mut out, &change.key);
                    out.put_u8(change.value.is_some().into());
                    if let Some(value) = &change.value {
                        put_bytes(&mut out, value);
                    }
                }
            }
        }
        out
    }

    pub(super) fn decode(stored: &[u8]) -> Result<Self, String> {
        let mut rest = Bytes::copy_from_slice(stored);
        let record = match rest.try_get_u8() {
            Ok(COMMIT) => decode_changes(&mut rest).map(Record::Commit),
            Ok(REOPENED) => rest.try_get_u64().map(|after| Record::Reopened { after }).map_err(|e| e.to_string()),
            Ok(other) => Err(format!("type {other}")),
            Err(error) => Err(error.to_string()),
        };
        match record {
            Ok(record) if rest.is_empty() => Ok(record),
            Ok(_) => Err("a log record with something behind it".to_owned()),
            Err(why) => Err(format!("a log record that cannot be read: {why}")),
        }
    }
}

fn decode_changes(rest: &mut Bytes) -> Result<Vec<KeyChange>, String> {
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let key = get_bytes(rest)?;
        let value = match rest.try_get_u8().map_err(|e| e.to_string())? {
            0 => None,
            _ => Some(get_bytes(rest)?),
        };
        changes.push(KeyChange { key, value });
    }
    Ok(changes)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn get_bytes(rest: &mut Bytes) -> Result<Bytes, String> {
    let length = rest.try_get_u32().map_err(|e| e.to_string())? as usize;
    if rest.len() < length {
        return Err(format!("{length} bytes announced, {} left", rest.len()));
    }
    Ok(rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(record: Record) {
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes), Ok(record));
        for cut in 0..bytes.len() {
            // Whatever is cut off, decoding answers; a commit cut between changes reads as a shorter one.
            let _ = Record::decode(&bytes[..cut]);
        }
        assert!(Record::decode(&[]).is_err());
    }

    #[test]
    fn records_come_back_as_they_went() {
        check(Record::Reopened { after: 7 });
        let put = KeyChange { key: Bytes::from("/a"), value: Some(Bytes::from("1")) };
        let removed = KeyChange { key: Bytes::from("/b"), value: None };
        check(Record::Commit(vec![put, removed]));
        check(Record::Commit(vec![]));
    }

    #[test]
    fn damaged_records_are_named() {
        assert!(Record::decode(&[9]).unwrap_err().contains("type 9"));
        assert!(Record::decode(&[0, 0, 0, 0, 9, 1]).unwrap_err().contains("9 bytes announced, 1 left"));
        assert!(decode_value(&[1, 2]).is_err());
    }
}
