//! The protocol between server and node: `[u8 channel][u32 BE length][payload]`.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http_body_util::{BodyExt, BodyStream, StreamBody};

use crate::StreamError;
use crate::limits::FRAME_BYTES;
use crate::session::{self, FrameSender, Session};

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Channel {
    /// Bytes for the command.
    Stdin = 0,
    /// Bytes from the command.
    Stdout = 1,
    /// Bytes from the command's standard error.
    Stderr = 2,
    /// A metav1.Status as JSON: how the command ended. The last frame of a session.
    Status = 3,
    /// The terminal's size as JSON, `{"Width":..,"Height":..}`.
    Resize = 4,
    /// No more frames come on the channel whose byte is the payload.
    Close = 255,
}

impl Channel {
    /// The channel of a byte.
    pub fn from_byte(byte: u8) -> Option<Channel> {
        Some(match byte {
            0 => Channel::Stdin,
            1 => Channel::Stdout,
            2 => Channel::Stderr,
            3 => Channel::Status,
            4 => Channel::Resize,
            255 => Channel::Close,
            _ => return None,
        })
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is about.
    pub channel: Channel,
    /// What it carries.
    pub payload: Bytes,
}

impl Frame {
    /// A frame on a channel.
    pub fn new(channel: Channel, payload: impl Into<Bytes>) -> Self {
        Frame { channel, payload: payload.into() }
    }

    /// Says that no more frames come on a channel.
    pub fn close(channel: Channel) -> Self {
        Frame { channel: Channel::Close, payload: Bytes::copy_from_slice(&[channel as u8]) }
    }

    /// The channel that this frame closes, if it is such a frame.
    pub fn closes(&self) -> Option<Channel> {
        if self.channel != Channel::Close {
            return None;
        }
        self.payload.first().copied().and_then(Channel::from_byte)
    }

    /// The frame as it goes over the connection.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(5 + self.payload.len());
        bytes.put_u8(self.channel as u8);
        bytes.put_u32(self.payload.len() as u32);
        bytes.extend_from_slice(&self.payload);
        bytes.freeze()
    }
}

/// Finds the frames in bytes that arrive in pieces.
#[derive(Default)]
pub struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    /// Takes the next piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StreamError> {
        let Some(header) = self.buffer.first_chunk::<5>() else { return Ok(None) };
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let channel = Channel::from_byte(header[0]).ok_or_else(|| malformed(format!("channel {}", header[0])))?;
        if length > FRAME_BYTES {
            return Err(malformed(format!("a frame of {length} bytes, at most {FRAME_BYTES} are accepted")));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(Frame { channel, payload: self.buffer.split_to(length).freeze() }))
    }

    /// True when the bytes so far end with a whole frame.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }
}

fn malformed(cause: String) -> StreamError {
    StreamError::Protocol { operation: "read a frame", cause }
}

/// The body of an HTTP message whose bytes are frames; it ends when the session does.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// A session over the two bodies of an HTTP/2 request. It works on either side of it: give it the body that arrives
/// (`from_peer`; on the client side it may come later, with the response) and send the body that it returns.
pub fn over_http<F, B>(from_peer: F) -> (Session, Body)
where
    F: Future<Output = Option<B>> + Send + 'static,
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Display + Send,
{
    let (ours, theirs) = session::pair();
    let Session { incoming, outgoing } = theirs;
    tokio::spawn(async move {
        let body = tokio::select! {
            body = from_peer => body,
            () = outgoing.closed() => None,
        };
        let Some(body) = body else { return };
        let pieces = BodyStream::new(body).filter_map(|frame| async move {
            match frame {
                Ok(frame) => frame.into_data().ok().map(Ok),
                Err(error) => Some(Err(error.to_string())),
            }
        });
        if let Err(error) = deliver(Box::pin(pieces), &outgoing).await {
            tracing::debug!(%error, "a node session ended early");
        }
    });
    let frames = futures_util::stream::unfold(incoming, |mut incoming| async move {
        let frame = incoming.receive().await?;
        Some((Ok(hyper::body::Frame::data(frame.encode())), incoming))
    });
    (ours, StreamBody::new(frames).boxed_unsync())
}

async fn deliver<S>(mut pieces: S, outgoing: &FrameSender) -> Result<(), StreamError>
where
    S: Stream<Item = Result<Bytes, String>> + Unpin,
{
    let mut decoder = Decoder::default();
    while let Some(piece) = pieces.next().await {
        decoder.push(&piece.map_err(malformed)?);
        while let Some(frame) = decoder.next_frame()? {
            outgoing.send(frame).await?;
        }
    }
    if decoder.is_empty() { Ok(()) } else { Err(malformed("it ended inside a frame".to_owned())) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let frames = [
            Frame::new(Channel::Stdin, "hello"),
            Frame::new(Channel::Stdout, ""),
            Frame::close(Channel::Stdin),
            Frame::new(Channel::Status, "{}"),
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode()).collect();
        assert_eq!(bytes[..10], *b"\x00\x00\x00\x00\x05hello");
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for byte in bytes {
            decoder.push(&[byte]);
            found.extend(decoder.next_frame().unwrap());
        }
        assert_eq!(found, frames);
        assert!(decoder.is_empty());
        assert_eq!(found[2].closes(), Some(Channel::Stdin));
    }

    #[test]
    fn bad_frames_are_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let mut decoder = Decoder::default();
            decoder.push(bytes);
            let error = decoder.next_frame().unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        };
        check(&[9, 0, 0, 0, 0], "channel 9");
        check(&[1, 0xff, 0, 0, 0], "a frame of 4278190080 bytes, at most 1048576 are accepted");
    }

    #[tokio::test]
    async fn sessions_meet_over_two_bodies() {
        let (response, arrives) = tokio::sync::oneshot::channel();
        let (mut left, request) = over_http(async { arrives.await.ok() });
        let (mut right, body) = over_http(std::future::ready(Some(request)));
        assert!(response.send(body).is_ok());
        let frame = Frame::new(Channel::Stdin, vec![1; 300_000]);
        left.outgoing.send(frame.clone()).await.unwrap();
        assert_eq!(right.incoming.receive().await, Some(frame));
        let status = Frame::new(Channel::Status, "{}");
        right.outgoing.send(status.clone()).await.unwrap();
        drop(right);
        assert_eq!(left.incoming.receive().await, Some(status));
        assert_eq!(left.incoming.receive().await, None);
    }

    #[tokio::test]
    async fn a_request_that_is_never_answered_ends_with_its_session() {
        let (session, body) = over_http(std::future::pending::<Option<Body>>());
        drop(session);
        assert_eq!(body.collect().await.unwrap().to_bytes(), Bytes::new());
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            while let Ok(Some(_)) = decoder.next_frame() {}
        }
    }
}
