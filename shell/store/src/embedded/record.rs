//! How the log's records look on disk; all numbers are little endian.
//!
//! A header of 40 bytes, then the payload, filled up with zeros to whole words of 8 bytes. The header's checksum covers
//! its segment and offset, the payload's checksum and the header before it: a record is valid in its own place and
//! after its own predecessor only, so what an earlier use of the same blocks left behind never passes. Each header
//! says up to where the log was known to be on disk when it was written, which tells a torn tail from damage.

use bytes::{Buf, BufMut};

/// Bytes of a header.
pub(super) const HEADER: usize = 40;
/// Records begin at multiples of this.
pub(super) const WORD: usize = 8;

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) segment: u32,
    pub(super) offset: u32,
}

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first record of a segment: what was so when it began.
    Begin = 1,
    /// A transaction.
    Commit = 2,
    /// Keys of older segments that are still needed.
    Kept = 3,
    /// The store was opened.
    Opened = 4,
    /// More revisions may be given out.
    Reserve = 5,
    /// The log up to a revision is no longer promised to anybody.
    Compact = 6,
    /// A segment is no longer part of the log.
    Drop = 7,
    /// The store was closed.
    Closed = 8,
    /// All before it is on disk; the next record takes its place.
    Mark = 9,
}

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) crc: u32,
    pub(super) length: u32,
    pub(super) payload_crc: u32,
    /// The checksum of the header before it.
    pub(super) previous: u32,
    pub(super) revision: u64,
    /// All before this was on disk when the record was written.
    pub(super) durable: Position,
    pub(super) kind: Kind,
}

/// What was so when a segment began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) compacted: u64,
    pub(super) reserved: u64,
    /// All segments before it, whole.
    pub(super) sealed: Vec<Sealed>,
}

/// A segment that is no longer written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) id: u32,
    pub(super) length: u32,
    /// The checksum of its last header.
    pub(super) crc: u32,
}

/// One key in a payload of `Commit` or `Kept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) key: &'a [u8],
    /// None when it was removed.
    pub(super) value: Option<&'a [u8]>,
    pub(super) value_crc: u32,
    pub(super) revision: u64,
    /// Where the value begins in the payload; the key when there is none.
    pub(super) place: usize,
}

/// Bytes that a record takes with this payload.
pub(super) fn record_size(payload: usize) -> usize {
    HEADER + payload.next_multiple_of(WORD)
}

/// Bytes that a key takes in a payload of `Commit`.
pub(super) fn change_size(key: &[u8], value: Option<&[u8]>) -> usize {
    5 + key.len() + value.map_or(0, |value| 8 + value.len())
}

/// Bytes that a key takes in a payload of `Kept`.
pub(super) fn kept_size(key: usize, value: Option<usize>) -> usize {
    13 + key + value.map_or(0, |value| 8 + value)
}

impl Kind {
    fn from(byte: u8) -> Option<Kind> {
        use Kind::{Begin, Closed, Commit, Compact, Drop, Kept, Mark, Opened, Reserve};
        [Begin, Commit, Kept, Opened, Reserve, Compact, Drop, Closed, Mark].into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl Header {
    /// The header at `at`; none when these bytes are not one that was written there.
    pub(super) fn decode(bytes: &[u8], at: Position) -> Option<Header> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        // Most bytes that are no header are known by this alone.
        let kind = Kind::from(bytes[32]).filter(|_| bytes[33..] == [0; 7])?;
        let mut rest = &bytes[..];
        let header = Header {
            crc: rest.get_u32_le(),
            length: rest.get_u32_le(),
            payload_crc: rest.get_u32_le(),
            previous: rest.get_u32_le(),
            revision: rest.get_u64_le(),
            durable: Position { segment: rest.get_u32_le(), offset: rest.get_u32_le() },
            kind,
        };
        (header.crc == header_crc(bytes, at)).then_some(header)
    }

    /// Bytes of the whole record.
    pub(super) fn size(&self) -> usize {
        record_size(self.length as usize)
    }
}

fn header_crc(bytes: &[u8; HEADER], at: Position) -> u32 {
    let mut place = [0; 8];
    place[..4].copy_from_slice(&at.segment.to_le_bytes());
    place[4..].copy_from_slice(&at.offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), &bytes[4..])
}

/// The payload of a record whose header is good; none when it is not what was written.
pub(super) fn payload<'a>(header: &Header, record: &'a [u8]) -> Option<&'a [u8]> {
    let padded = record.get(HEADER..header.size())?;
    (crc32c::crc32c(padded) == header.payload_crc).then(|| &padded[..header.length as usize])
}

/// Records one after the other, as they will stand in a segment.
pub(super) struct Builder {
    start: Position,
    bytes: Vec<u8>,
    previous: u32,
    durable: Position,
}

impl Builder {
    pub(super) fn new(start: Position, previous: u32, durable: Position) -> Self {
        Builder { start, bytes: Vec::new(), previous, durable }
    }

    /// Adds a record with what `fill` appends as its payload, and returns where the payload begins in the segment.
    pub(super) fn push(&mut self, kind: Kind, revision: u64, fill: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let header = self.bytes.len();
        self.bytes.resize(header + HEADER, 0);
        let body = self.bytes.len();
        fill(&mut self.bytes);
        let length = self.bytes.len() - body;
        self.bytes.resize(body + length.next_multiple_of(WORD), 0);
        let payload_crc = crc32c::crc32c(&self.bytes[body..]);
        let at = Position { offset: self.start.offset + header as u32, ..self.start };
        let mut out = [0; HEADER];
        let mut rest = &mut out[4..];
        rest.put_u32_le(length as u32);
        rest.put_u32_le(payload_crc);
        rest.put_u32_le(self.previous);
        rest.put_u64_le(revision);
        rest.put_u32_le(self.durable.segment);
        rest.put_u32_le(self.durable.offset);
        rest.put_u8(kind as u8);
        self.previous = header_crc(&out, at);
        out[..4].copy_from_slice(&self.previous.to_le_bytes());
        self.bytes[header..body].copy_from_slice(&out);
        at.offset + HEADER as u32
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn start(&self) -> Position {
        self.start
    }

    /// Where the next record will begin.
    pub(super) fn end(&self) -> Position {
        Position { offset: self.start.offset + self.bytes.len() as u32, ..self.start }
    }

    /// The checksum of the last header.
    pub(super) fn previous(&self) -> u32 {
        self.previous
    }
}

/// Appends a key; returns where its value begins, or the key when there is none, and the value's checksum.
pub(super) fn put_change(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) -> (usize, u32) {
    out.put_u8(value.is_some().into());
    out.put_u32_le(key.len() as u32);
    let key_at = out.len();
    out.extend_from_slice(key);
    let Some(value) = value else { return (key_at, 0) };
    let crc = crc32c::crc32c(value);
    out.put_u32_le(value.len() as u32);
    out.put_u32_le(crc);
    let value_at = out.len();
    out.extend_from_slice(value);
    (value_at, crc)
}

/// The keys in a payload of `Commit` or `Kept`.
pub(super) fn changes<'a>(header: &Header, payload: &'a [u8]) -> impl Iterator<Item = Result<Stored<'a>, String>> {
    let (kind, commit) = (header.kind, header.revision);
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let stored = next_stored(payload.len(), &mut rest, (kind == Kind::Commit).then_some(commit));
        if stored.is_none() {
            rest = &[];
        }
        Some(stored.ok_or_else(|| "a key that is not whole".to_owned()))
    })
}

fn next_stored<'a>(total: usize, rest: &mut &'a [u8], commit: Option<u64>) -> Option<Stored<'a>> {
    let revision = match commit {
        Some(revision) => revision,
        None => rest.try_get_u64_le().ok()?,
    };
    let present = rest.try_get_u8().ok()? != 0;
    let key_length = rest.try_get_u32_le().ok()? as usize;
    let key_at = total - rest.len();
    let key = rest.split_off(..key_length)?;
    if !present {
        return Some(Stored { key, value: None, value_crc: 0, revision, place: key_at });
    }
    let (length, value_crc) = (rest.try_get_u32_le().ok()? as usize, rest.try_get_u32_le().ok()?);
    let place = total - rest.len();
    let value = Some(rest.split_off(..length)?);
    Some(Stored { key, value, value_crc, revision, place })
}

impl Begin {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64_le(self.compacted);
        out.put_u64_le(self.reserved);
        for sealed in &self.sealed {
            out.put_u32_le(sealed.id);
            out.put_u32_le(sealed.length);
            out.put_u32_le(sealed.crc);
        }
    }

    pub(super) fn decode(mut payload: &[u8]) -> Option<Begin> {
        let (compacted, reserved) = (payload.try_get_u64_le().ok()?, payload.try_get_u64_le().ok()?);
        let mut sealed = Vec::new();
        while !payload.is_empty() {
            let mut number = || payload.try_get_u32_le().ok();
            sealed.push(Sealed { id: number()?, length: number()?, crc: number()? });
        }
        Some(Begin { compacted, reserved, sealed })
    }
}

/// The numbers in a payload of `Opened` (the last revision before, the reservation), `Reserve`, `Compact` or `Drop`.
pub(super) fn numbers<const N: usize>(mut payload: &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = payload.try_get_u64_le().ok()?;
    }
    payload.is_empty().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u32) -> Position {
        Position { segment: 7, offset }
    }

    fn sample() -> Builder {
        let mut builder = Builder::new(at(64), 5, at(16));
        builder.push(Kind::Commit, 9, |out| {
            put_change(out, b"/a", Some(b"value"));
            put_change(out, b"/b", None);
        });
        builder.push(Kind::Kept, 9, |out| {
            out.put_u64_le(3);
            put_change(out, b"/c", Some(b""));
        });
        builder
    }

    #[test]
    fn records_come_back_as_they_went() {
        let builder = sample();
        let first = Header::decode(builder.bytes(), at(64)).unwrap();
        assert_eq!((first.kind, first.revision, first.previous, first.durable), (Kind::Commit, 9, 5, at(16)));
        let body = payload(&first, builder.bytes()).unwrap();
        let found: Vec<_> = changes(&first, body).map(Result::unwrap).collect();
        assert_eq!(found[0].value.unwrap(), b"value");
        assert_eq!(&body[found[0].place..][..5], b"value");
        assert_eq!((found[1].key, found[1].value, found[1].revision), (&b"/b"[..], None, 9));
        let second = Header::decode(&builder.bytes()[first.size()..], at(64 + first.size() as u32)).unwrap();
        assert_eq!((second.kind, second.previous), (Kind::Kept, first.crc));
        let body = payload(&second, &builder.bytes()[first.size()..]).unwrap();
        let kept = changes(&second, body).next().unwrap().unwrap();
        assert_eq!((kept.key, kept.value, kept.revision), (&b"/c"[..], Some(&b""[..]), 3));
        assert_eq!(builder.end().offset as usize, 64 + first.size() + second.size());
        assert_eq!(second.crc, builder.previous());
    }

    #[test]
    fn no_bit_may_turn_and_no_record_may_move() {
        let builder = sample();
        let good =
            |bytes: &[u8], place| Header::decode(bytes, place).is_some_and(|header| payload(&header, bytes).is_some());
        assert!(good(builder.bytes(), at(64)));
        assert!(!good(builder.bytes(), at(72)));
        assert!(!good(builder.bytes(), Position { segment: 8, offset: 64 }));
        let first = Header::decode(builder.bytes(), at(64)).unwrap().size();
        for bit in 0..first * 8 {
            let mut bytes = builder.bytes()[..first].to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!good(&bytes, at(64)), "bit {bit}");
        }
    }

    #[test]
    fn what_began_comes_back() {
        let begin = Begin { compacted: 3, reserved: 9, sealed: vec![Sealed { id: 1, length: 64, crc: 5 }] };
        let mut out = Vec::new();
        begin.encode(&mut out);
        assert_eq!(Begin::decode(&out), Some(begin));
        assert_eq!(Begin::decode(&out[..out.len() - 1]), None);
        assert_eq!(numbers::<2>(&[0; 15]), None);
        assert_eq!(numbers::<1>(&[1, 0, 0, 0, 0, 0, 0, 0]), Some([1]));
    }
}
