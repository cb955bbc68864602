//! Frames of SPDY/3.1 and their bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::headers::{Headers, Packer, Unpacker};
use crate::limits::SPDY_FRAME_BYTES;

const VERSION: u16 = 0x8003;
const FIN: u8 = 0x01;
const INITIAL_WINDOW: u32 = 7;
const ID: u32 = 0x7fff_ffff;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// One frame, as far as anybody here cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Opens a stream.
    SynStream { id: u32, headers: Headers, fin: bool },
    /// Accepts one.
    SynReply { id: u32, headers: Headers, fin: bool },
    /// Ends one at once.
    Reset { id: u32, status: u32 },
    /// The only setting of interest: how much may be sent on a new stream.
    Settings { initial_window: Option<u32> },
    /// To be sent back.
    Ping(u32),
    /// No more streams.
    GoAway { last: u32 },
    /// More headers, of which only the end of the stream matters.
    Headers { id: u32, fin: bool },
    /// More may be sent, on a stream or (0) on the connection.
    WindowUpdate { id: u32, delta: u32 },
    /// Bytes.
    Data { id: u32, payload: Bytes, fin: bool },
}

pub(super) struct Encoder(Packer);

impl Encoder {
    pub(super) fn new() -> Self {
        Encoder(Packer::new())
    }

    /// Appends a frame to `out`.
    pub(super) fn encode(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), String> {
        match frame {
            Frame::SynStream { id, headers, fin } => {
                let packed = self.0.pack(headers)?;
                control(out, SYN_STREAM, *fin, 10 + packed.len());
                out.put_u32(*id);
                out.put_u32(0);
                out.put_u16(0);
                out.put_slice(&packed);
            }
            Frame::SynReply { id, headers, fin } => {
                let packed = self.0.pack(headers)?;
                control(out, SYN_REPLY, *fin, 4 + packed.len());
                out.put_u32(*id);
                out.put_slice(&packed);
            }
            Frame::Headers { id, fin } => {
                let packed = self.0.pack(&Headers::default())?;
                control(out, HEADERS, *fin, 4 + packed.len());
                out.put_u32(*id);
                out.put_slice(&packed);
            }
            Frame::Settings { initial_window } => {
                control(out, SETTINGS, false, if initial_window.is_some() { 12 } else { 4 });
                out.put_u32(initial_window.is_some().into());
                if let Some(window) = initial_window {
                    out.put_u32(INITIAL_WINDOW);
                    out.put_u32(*window);
                }
            }
            Frame::Ping(id) => {
                control(out, PING, false, 4);
                out.put_u32(*id);
            }
            Frame::Reset { id, status } => pair(out, RST_STREAM, *id, *status),
            Frame::GoAway { last } => pair(out, GOAWAY, *last, 0),
            Frame::WindowUpdate { id, delta } => pair(out, WINDOW_UPDATE, *id, *delta),
            Frame::Data { id, payload, fin } => {
                out.put_u32(*id);
                out.put_u32(u32::from(*fin) << 24 | payload.len() as u32);
                out.put_slice(payload);
            }
        }
        Ok(())
    }
}

fn control(out: &mut BytesMut, kind: u16, fin: bool, length: usize) {
    out.put_u16(VERSION);
    out.put_u16(kind);
    out.put_u32(u32::from(fin) << 24 | length as u32);
}

fn pair(out: &mut BytesMut, kind: u16, first: u32, second: u32) {
    control(out, kind, false, 8);
    out.put_u32(first);
    out.put_u32(second);
}

/// Finds the frames in bytes that arrive in pieces.
pub(super) struct Decoder {
    pub(super) buffer: BytesMut,
    unpacker: Unpacker,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder { buffer: BytesMut::new(), unpacker: Unpacker::new() }
    }

    /// The next whole frame, if there is one. After an error the connection cannot go on.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        loop {
            let Some(header) = self.buffer.first_chunk::<8>() else { return Ok(None) };
            let (first, second) = header.split_at(4);
            let (mut first, mut second) = (first, second);
            let (first, second) = (first.get_u32(), second.get_u32());
            let length = (second & 0x00ff_ffff) as usize;
            if length > SPDY_FRAME_BYTES {
                return Err(format!("a frame of {length} bytes, at most {SPDY_FRAME_BYTES} are accepted"));
            }
            if self.buffer.len() < 8 + length {
                return Ok(None);
            }
            self.buffer.advance(8);
            let body = self.buffer.split_to(length).freeze();
            let fin = (second >> 24) as u8 & FIN != 0;
            if first & !ID == 0 {
                return Ok(Some(Frame::Data { id: first, payload: body, fin }));
            }
            if (first >> 16) as u16 != VERSION {
                return Err(format!("version {}", first >> 16 & 0x7fff));
            }
            // Frames that SPDY/3.1 does not use, or no longer, are passed over.
            if let Some(frame) = self.control(first as u16, fin, body)? {
                return Ok(Some(frame));
            }
        }
    }

    fn control(&mut self, kind: u16, fin: bool, mut body: Bytes) -> Result<Option<Frame>, String> {
        let short = |_| format!("a frame of type {kind} that is too short");
        Ok(Some(match kind {
            SYN_STREAM => {
                let id = body.try_get_u32().map_err(short)? & ID;
                body.try_get_u32().map_err(short)?;
                body.try_get_u16().map_err(short)?;
                Frame::SynStream { id, headers: self.unpacker.unpack(&body)?, fin }
            }
            SYN_REPLY => {
                let id = body.try_get_u32().map_err(short)? & ID;
                Frame::SynReply { id, headers: self.unpacker.unpack(&body)?, fin }
            }
            HEADERS => {
                let id = body.try_get_u32().map_err(short)? & ID;
                self.unpacker.unpack(&body)?;
                Frame::Headers { id, fin }
            }
            SETTINGS => {
                let mut initial_window = None;
                for _ in 0..body.try_get_u32().map_err(short)? {
                    let id = body.try_get_u32().map_err(short)? & 0x00ff_ffff;
                    let value = body.try_get_u32().map_err(short)?;
                    if id == INITIAL_WINDOW {
                        initial_window = Some(value & ID);
                    }
                }
                Frame::Settings { initial_window }
            }
            PING => Frame::Ping(body.try_get_u32().map_err(short)?),
            RST_STREAM | GOAWAY | WINDOW_UPDATE => {
                let id = body.try_get_u32().map_err(short)? & ID;
                let second = body.try_get_u32().map_err(short)?;
                match kind {
                    RST_STREAM => Frame::Reset { id, status: second },
                    GOAWAY => Frame::GoAway { last: id },
                    _ => Frame::WindowUpdate { id, delta: second & ID },
                }
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let headers = Headers::new([("streamtype", "data")]);
        let frames = [
            Frame::SynStream { id: 1, headers: headers.clone(), fin: false },
            Frame::SynReply { id: 1, headers, fin: true },
            Frame::Settings { initial_window: Some(65536) },
            Frame::Settings { initial_window: None },
            Frame::Data { id: 1, payload: Bytes::from("hello"), fin: false },
            Frame::Headers { id: 1, fin: true },
            Frame::WindowUpdate { id: 0, delta: 7 },
            Frame::Ping(3),
            Frame::Data { id: 1, payload: Bytes::new(), fin: true },
            Frame::Reset { id: 1, status: 5 },
            Frame::GoAway { last: 1 },
        ];
        let (mut encoder, mut bytes) = (Encoder::new(), BytesMut::new());
        frames.iter().for_each(|frame| encoder.encode(frame, &mut bytes).unwrap());
        // In single bytes: every frame comes out as soon as it is whole, and none before.
        let (mut decoder, mut found) = (Decoder::new(), Vec::new());
        for byte in bytes {
            decoder.buffer.put_u8(byte);
            found.extend(decoder.next_frame().unwrap());
        }
        assert_eq!(found, frames);
    }

    #[test]
    fn unknown_frames_are_passed_over_and_bad_ones_refused() {
        let check = |bytes: &[u8]| {
            let mut decoder = Decoder::new();
            decoder.buffer.put_slice(bytes);
            decoder.next_frame()
        };
        let unknown_then_ping = [0x80, 3, 0, 10, 0, 0, 0, 1, 9, 0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 5];
        assert_eq!(check(&unknown_then_ping), Ok(Some(Frame::Ping(5))));
        assert_eq!(check(&[0x80, 2, 0, 6, 0, 0, 0, 0]), Err("version 2".to_owned()));
        assert!(check(&[0x80, 3, 0, 3, 0, 0, 0, 2, 0, 0]).unwrap_err().contains("too short"));
        assert!(check(&[0, 0, 0, 1, 0, 0xff, 0xff, 0xff]).unwrap_err().contains("at most"));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let mut decoder = Decoder::new();
            decoder.buffer.put_slice(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }

        #[test]
        fn likely_garbage_never_panics(kind in 0u16..12, flags in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = Decoder::new();
            decoder.buffer.put_u16(VERSION);
            decoder.buffer.put_u16(kind);
            decoder.buffer.put_u32(u32::from(flags) << 24 | body.len() as u32);
            decoder.buffer.put_slice(&body);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
