//! A client on a WebSocket: every message is a channel and bytes for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use super::{Coding, Streams, Version, plain_error};
use crate::frames::{Channel, Frame};
use crate::limits::FAREWELL;
use crate::session::{self, FrameReceiver, FrameSender, Session};
use crate::upgrade;

/// Starts the tasks of a session on an upgraded connection.
pub(super) async fn serve<T>(io: T, version: Version, coding: Coding, streams: Streams) -> Session
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, messages) = upgrade::websocket(io, Role::Server).await.split();
    let (session, Session { incoming, outgoing }) = session::pair();
    tokio::spawn(async move {
        let mut outward = Outward { sink, version, coding };
        tokio::select! {
            () = inward(messages, version, coding, outgoing) => {}
            () = outward.drive(streams, incoming) => {}
        }
    });
    session
}

/// Turns messages into frames until the client is gone.
async fn inward<T>(mut messages: SplitStream<WebSocketStream<T>>, version: Version, coding: Coding, to: FrameSender)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = messages.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return,
            _ => continue,
        };
        let Some(frame) = decode(&bytes, version, coding) else { continue };
        // When the session is over, all that counts is the client's goodbye.
        let _ = to.send(frame).await;
    }
}

/// The frame in a message; clients have nothing to say on other channels.
fn decode(message: &Bytes, version: Version, coding: Coding) -> Option<Frame> {
    let (channel, payload) = match coding {
        Coding::Binary => (*message.first()?, message.slice(1..)),
        Coding::Base64 => (message.first()?.checked_sub(b'0')?, STANDARD.decode(&message[1..]).ok()?.into()),
    };
    match Channel::from_byte(channel)? {
        channel @ (Channel::Stdin | Channel::Resize) => Some(Frame { channel, payload }),
        Channel::Close if version >= Version::V5 => {
            let frame = Frame { channel: Channel::Close, payload };
            frame.closes().is_some().then_some(frame)
        }
        _ => None,
    }
}

struct Outward<T> {
    sink: SplitSink<WebSocketStream<T>, Message>,
    version: Version,
    coding: Coding,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Outward<T> {
    /// Turns frames into messages until the session has ended, and says goodbye.
    async fn drive(&mut self, streams: Streams, mut from: FrameReceiver) {
        // wire: clients take an empty message as the sign that the session stands.
        let first = match streams {
            Streams { stdout: true, .. } => Channel::Stdout,
            Streams { stderr: true, .. } => Channel::Stderr,
            _ => Channel::Status,
        };
        let mut alive = self.send(first, Bytes::new()).await;
        while alive && let Some(Frame { channel, payload }) = from.receive().await {
            alive = match channel {
                Channel::Stdout | Channel::Stderr => self.send(channel, payload).await,
                Channel::Status => {
                    let payload = if self.version >= Version::V4 { payload } else { plain_error(&payload) };
                    if !payload.is_empty() {
                        self.send(channel, payload).await;
                    }
                    break;
                }
                _ => true,
            };
        }
        if alive {
            let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            let farewell = self.sink.send(Message::Close(Some(close)));
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        }
        // The client answers the goodbye; then the other direction ends, and with it the session.
        let gone = std::future::pending::<()>();
        let _ = tokio::time::timeout(FAREWELL, gone).await;
    }

    async fn send(&mut self, channel: Channel, payload: Bytes) -> bool {
        let message = match self.coding {
            Coding::Binary => {
                let mut bytes = BytesMut::with_capacity(1 + payload.len());
                bytes.put_u8(channel as u8);
                bytes.put_slice(&payload);
                Message::Binary(bytes.freeze())
            }
            Coding::Base64 => {
                let mut text = String::from((b'0' + channel as u8) as char);
                STANDARD.encode_string(&payload, &mut text);
                Message::Text(text.into())
            }
        };
        self.sink.send(message).await.is_ok()
    }
}
