//! Headers of streams, and how they are packed. The compression of a connection has a memory: every block must be
//! unpacked, also those that nobody wants.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::dictionary::dictionary;
use crate::limits::{SPDY_HEADER_BYTES, SPDY_HEADERS};

/// Headers of a stream; names are lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Headers from pairs.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Headers(pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect())
    }

    /// The value of a header, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

/// Packs header blocks.
pub(super) struct Packer(Compress);

/// Unpacks header blocks.
pub(super) struct Unpacker(Decompress);

impl Packer {
    pub(super) fn new() -> Self {
        let mut compress = Compress::new(Compression::fast(), true);
        // Fails only in the middle of a block.
        let _ = compress.set_dictionary(&dictionary());
        Packer(compress)
    }

    pub(super) fn pack(&mut self, headers: &Headers) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        plain.put_u32(headers.0.len() as u32);
        for text in headers.0.iter().flat_map(|(name, value)| [name, value]) {
            plain.put_u32(text.len() as u32);
            plain.put_slice(text.as_bytes());
        }
        let mut packed = Vec::with_capacity(plain.len() + 64);
        let start = self.0.total_in();
        loop {
            let done = (self.0.total_in() - start) as usize;
            let before = packed.len();
            self.0.compress_vec(&plain[done..], &mut packed, FlushCompress::Sync).map_err(|e| e.to_string())?;
            // Room that was left over says that everything is out.
            if packed.len() < packed.capacity() || packed.len() == before {
                return Ok(packed);
            }
            packed.reserve(256);
        }
    }
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Unpacker(Decompress::new(true))
    }

    pub(super) fn unpack(&mut self, packed: &[u8]) -> Result<Headers, String> {
        parse(self.inflate(packed)?.into())
    }

    fn inflate(&mut self, packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut plain = Vec::new();
        let start = self.0.total_in();
        loop {
            if plain.len() > SPDY_HEADER_BYTES {
                return Err(format!("headers of more than {SPDY_HEADER_BYTES} bytes"));
            }
            plain.reserve(4096);
            let done = (self.0.total_in() - start) as usize;
            let before = plain.len();
            match self.0.decompress_vec(&packed[done..], &mut plain, FlushDecompress::Sync) {
                Ok(Status::StreamEnd) => return Err("compressed headers came to an end".to_owned()),
                Ok(_) => {
                    let done = (self.0.total_in() - start) as usize;
                    if plain.len() == before || (done == packed.len() && plain.len() < plain.capacity()) {
                        return Ok(plain);
                    }
                }
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|e| format!("dictionary of headers: {e}"))?;
                }
                Err(error) => return Err(format!("compressed headers: {error}")),
            }
        }
    }
}

fn parse(mut plain: Bytes) -> Result<Headers, String> {
    let count = plain.try_get_u32().map_err(|e| format!("headers: {e}"))? as usize;
    if count > SPDY_HEADERS {
        return Err(format!("{count} headers, at most {SPDY_HEADERS} are accepted"));
    }
    let mut text = || -> Result<String, String> {
        let length = plain.try_get_u32().map_err(|e| format!("headers: {e}"))? as usize;
        if plain.len() < length {
            return Err("headers end too early".to_owned());
        }
        String::from_utf8(plain.split_to(length).to_vec()).map_err(|e| format!("headers: {e}"))
    };
    let mut headers = BTreeMap::new();
    for _ in 0..count {
        headers.insert(text()?.to_ascii_lowercase(), text()?);
    }
    Ok(Headers(headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_whole_connection() {
        let (mut packer, mut unpacker) = (Packer::new(), Unpacker::new());
        let long = "x".repeat(20_000);
        let blocks = [
            Headers::new([("streamType", "error"), ("port", "80")]),
            Headers::default(),
            Headers::new([("long", long.as_str())]),
            Headers::new([("streamType", "data"), ("port", "80")]),
        ];
        for headers in blocks {
            let packed = packer.pack(&headers).unwrap();
            assert_eq!(unpacker.unpack(&packed), Ok(headers));
        }
        let headers = Headers::new([("streamType", "stdin")]);
        assert_eq!(
            (headers.get("streamtype"), headers.get("STREAMTYPE"), headers.get("x")),
            (Some("stdin"), Some("stdin"), None)
        );
    }

    #[test]
    fn a_block_that_unpacks_without_end_is_refused() {
        let bomb = Headers::new([("bomb", "0".repeat(SPDY_HEADER_BYTES * 4).as_str())]);
        let packed = Packer::new().pack(&bomb).unwrap();
        assert!(packed.len() < 4096);
        assert!(Unpacker::new().unpack(&packed).unwrap_err().contains("more than"));
    }
}
