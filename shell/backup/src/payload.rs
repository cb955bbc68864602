//! The plain stream of a backup: what the server sends, and what lies under the seal.
//!
//! A record is a letter, the lengths of its name and of its bytes (`u32`, big endian), the name, the bytes. One head,
//! then files, then keys in ascending order, then an end that counts them and carries the SHA-256 of everything before
//! it. A stream without its end is refused, so a backup is whole or none.

use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::limits::{FILES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::manifest::{Head, hex};

const HEAD: u8 = b'H';
const FILE: u8 = b'F';
const ENTRY: u8 = b'E';
const END: u8 = b'Z';

/// A file that a new machine needs to be the same cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path below the data directory.
    pub name: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Keys.
    pub entries: u64,
    /// Files.
    pub files: u64,
    /// SHA-256 of everything before the end, hexadecimal.
    sha256: String,
}

/// Writes a stream.
pub struct PayloadWriter<W> {
    out: W,
    sum: Sha256,
    totals: Totals,
}

impl<W: Write> PayloadWriter<W> {
    /// Begins with the head.
    pub fn new(out: W, head: &Head) -> io::Result<Self> {
        let mut writer = PayloadWriter { out, sum: Sha256::new(), totals: Totals::default() };
        writer.record(HEAD, b"", &serde_json::to_vec(head)?)?;
        Ok(writer)
    }

    /// Adds a file; all files come before the first key.
    pub fn file(&mut self, file: &File) -> io::Result<()> {
        self.totals.files += 1;
        self.record(FILE, file.name.as_bytes(), &file.bytes)
    }

    /// Adds a key, greater than the one before.
    pub fn entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.totals.entries += 1;
        self.record(ENTRY, key, value)
    }

    /// Writes the end.
    pub fn finish(mut self) -> io::Result<(W, Totals)> {
        self.totals.sha256 = hex(&self.sum.clone().finalize());
        let end = serde_json::to_vec(&self.totals)?;
        self.record(END, b"", &end)?;
        Ok((self.out, self.totals))
    }

    fn record(&mut self, letter: u8, name: &[u8], bytes: &[u8]) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidData, "a record is too long");
        let mut front = [letter, 0, 0, 0, 0, 0, 0, 0, 0];
        front[1..5].copy_from_slice(&u32::try_from(name.len()).map_err(too_long)?.to_be_bytes());
        front[5..].copy_from_slice(&u32::try_from(bytes.len()).map_err(too_long)?.to_be_bytes());
        for part in [&front, name, bytes] {
            self.sum.update(part);
            self.out.write_all(part)?;
        }
        Ok(())
    }
}

/// One part of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A file.
    File(File),
    /// A key and its value.
    Entry(Bytes, Bytes),
}

/// Reads a stream and checks it; what is wrong with it is an `InvalidData` or `UnexpectedEof`.
pub struct PayloadReader<R> {
    input: R,
    sum: Sha256,
    seen: Totals,
    last: Option<Bytes>,
    head: Head,
    ended: bool,
}

impl<R: Read> PayloadReader<R> {
    /// Reads the head.
    pub fn new(input: R) -> io::Result<Self> {
        let none = Head {
            cluster_id: String::new(),
            created: jiff::Timestamp::UNIX_EPOCH,
            revision: 0,
            gantry_version: String::new(),
            store_format: String::new(),
            scheduled: false,
        };
        let (sum, seen) = (Sha256::new(), Totals::default());
        let mut reader = PayloadReader { input, sum, seen, last: None, head: none, ended: false };
        let (front, name, bytes) = reader.record()?;
        if front[0] != HEAD || !name.is_empty() {
            return Err(invalid("it does not begin with its head"));
        }
        reader.add(&front, &name, &bytes);
        reader.head = serde_json::from_slice(&bytes)?;
        Ok(reader)
    }

    /// The head.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What was read so far; everything, once `next` has returned `None`.
    pub fn totals(&self) -> &Totals {
        &self.seen
    }

    /// The next part; `None` after the end, when all of it has been checked.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        if self.ended {
            return Ok(None);
        }
        let (front, name, bytes) = self.record()?;
        if front[0] == END {
            self.end(&bytes)?;
            return Ok(None);
        }
        self.add(&front, &name, &bytes);
        match front[0] {
            FILE if self.seen.entries == 0 && self.seen.files < FILES_MAX => {
                self.seen.files += 1;
                let name = String::from_utf8(name.to_vec()).map_err(|_| invalid("a file's name is no text"))?;
                Ok(Some(Item::File(File { name, bytes })))
            }
            ENTRY if self.last.as_ref().is_none_or(|last| *last < name) => {
                self.seen.entries += 1;
                self.last = Some(name.clone());
                Ok(Some(Item::Entry(name, bytes)))
            }
            _ => Err(invalid("its parts are not in order")),
        }
    }

    fn end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.seen.sha256 = hex(&self.sum.clone().finalize());
        let end: Totals = serde_json::from_slice(bytes)?;
        if end != self.seen {
            return Err(invalid("it does not hold what its end says"));
        }
        if self.input.read(&mut [0])? > 0 {
            return Err(invalid("something follows its end"));
        }
        self.ended = true;
        Ok(())
    }

    fn record(&mut self) -> io::Result<([u8; 9], Bytes, Bytes)> {
        let mut front = [0; 9];
        self.input.read_exact(&mut front)?;
        let length = |at: usize| u32::from_be_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]]) as usize;
        if length(1) > KEY_BYTES_MAX || length(5) > VALUE_BYTES_MAX {
            return Err(invalid("a part is longer than any can be"));
        }
        let name = self.exactly(length(1))?;
        let bytes = self.exactly(length(5))?;
        Ok((front, name, bytes))
    }

    /// Reads so many bytes; takes memory only for what is there.
    fn exactly(&mut self, length: usize) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes.into()) }
    }

    fn add(&mut self, front: &[u8], name: &[u8], bytes: &[u8]) {
        for part in [front, name, bytes] {
            self.sum.update(part);
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::sample;

    fn stream() -> Vec<u8> {
        let mut writer = PayloadWriter::new(Vec::new(), &sample().head).unwrap();
        writer.file(&File { name: "pki/ca.crt".to_owned(), bytes: Bytes::from("ca") }).unwrap();
        writer.entry(b"/a", b"1").unwrap();
        writer.entry(b"/b", b"").unwrap();
        writer.finish().unwrap().0
    }

    fn read(stream: &[u8]) -> io::Result<(Head, Vec<Item>)> {
        let mut reader = PayloadReader::new(stream)?;
        let mut items = Vec::new();
        while let Some(item) = reader.next_item()? {
            items.push(item);
        }
        Ok((reader.head().clone(), items))
    }

    #[test]
    fn a_stream_comes_back() {
        let (head, items) = read(&stream()).unwrap();
        assert_eq!(head, sample().head);
        assert_eq!(items.len(), 3);
        assert_eq!(items[2], Item::Entry(Bytes::from("/b"), Bytes::new()));
    }

    #[test]
    fn whatever_is_cut_or_changed_is_refused() {
        let whole = stream();
        for cut in 0..whole.len() {
            assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&[&whole[..], b"x"].concat()).is_err(), "something follows");
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1;
            assert!(read(&other).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn keys_must_ascend() {
        let mut writer = PayloadWriter::new(Vec::new(), &sample().head).unwrap();
        writer.entry(b"/b", b"").unwrap();
        writer.entry(b"/a", b"").unwrap();
        assert!(read(&writer.finish().unwrap().0).is_err());
    }
}
