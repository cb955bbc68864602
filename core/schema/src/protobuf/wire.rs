//! The wire format: numbered items one after the other.

use super::ProtobufError;
use crate::decode::MAX_DEPTH;

/// What an item holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
    /// Items up to an end mark; nobody writes them any more.
    Group,
}

/// One item of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub number: u32,
    pub wire: Wire<'a>,
}

/// The items of a message; after an error there are no more.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Fields { rest: bytes }
    }

    fn read(&mut self) -> Result<Item<'a>, ProtobufError> {
        let (number, kind) = self.head()?;
        if kind != OPENS_GROUP {
            return Ok(Item { number, wire: self.body(kind)? });
        }
        self.group(number)?;
        Ok(Item { number, wire: Wire::Group })
    }

    /// Number and kind of the next item.
    fn head(&mut self) -> Result<(u32, u64), ProtobufError> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or(ProtobufError::Malformed("illegal tag"))?;
        Ok((number, tag & 7))
    }

    /// What an item of that kind holds.
    fn body(&mut self, kind: u64) -> Result<Wire<'a>, ProtobufError> {
        Ok(match kind {
            0 => Wire::Varint(varint(&mut self.rest)?),
            1 => Wire::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk().ok_or(END)?)),
            2 => {
                let length = varint(&mut self.rest)?;
                Wire::Bytes(self.take(usize::try_from(length).map_err(|_| END)?)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err(ProtobufError::Malformed("illegal wireType")),
        })
    }

    /// Passes over a group: groups inside are counted, not entered.
    fn group(&mut self, number: u32) -> Result<(), ProtobufError> {
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            match self.head()? {
                (number, OPENS_GROUP) if open.len() < MAX_DEPTH => open.push(number),
                (number, CLOSES_GROUP) if number == innermost => drop(open.pop()),
                (_, kind) => drop(self.body(kind)?),
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(END)?;
        self.rest = rest;
        Ok(taken)
    }
}

const OPENS_GROUP: u64 = 3;
const CLOSES_GROUP: u64 = 4;
pub(super) const END: ProtobufError = ProtobufError::Malformed("unexpected end of message");

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Item<'a>, ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.read();
        if item.is_err() {
            self.rest = &[];
        }
        Some(item)
    }
}

/// Puts field `number` with these bytes.
pub(super) fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_head(number, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// Puts what stands before the bytes of field `number`.
pub(super) fn put_head(number: u32, length: usize, out: &mut Vec<u8>) {
    put_varint(u64::from(number << 3 | 2), out);
    put_varint(length as u64, out);
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a number of seven bits a byte off the front.
pub(super) fn varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut number = 0u64;
    for at in 0..10 {
        let (byte, behind) = rest.split_first().ok_or(END)?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(ProtobufError::Malformed("integer overflow"))
}
