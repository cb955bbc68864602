//! Bytes that a WebSocket client only reads, such as a log or the events of a watch.
//!
//! Invariants: a message is a piece of the bytes, in order; what the client says is read and passed over, so that a
//! close of his is seen.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use http::{HeaderMap, Request, Response};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::upgrade::{self, Offer};
use crate::{Refusal, StreamError};

/// Carries pieces as text.
const BASE64: &str = "base64.binary.k8s.io";
const PROTOCOLS: [&str; 2] = ["binary.k8s.io", BASE64];

/// How pieces are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// Each as a binary message.
    Binary,
    /// Each as a text message; they are text.
    Text,
    /// Each as a text message in base64.
    Base64,
}

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    upgrade: OnUpgrade,
    carry: Carry,
}

/// Whether a client wants to read through a WebSocket.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    matches!(upgrade::offer(headers), Ok(Offer::WebSocket { .. }))
}

/// Answers an upgrade request: the 101 to return to the client, and where the bytes go.
pub fn accept<B>(request: &mut Request<B>) -> Result<(Response<()>, Pending), Refusal> {
    let Offer::WebSocket { key, protocols } = upgrade::offer(request.headers())? else {
        return Err(Refusal { code: 400, message: "a WebSocket is required".to_owned() });
    };
    let protocol = if protocols.is_empty() { String::new() } else { upgrade::negotiate(&protocols, &PROTOCOLS)? };
    let response = upgrade::switch_to_websocket(&key, &protocol)?;
    let carry = if protocol == BASE64 { Carry::Base64 } else { Carry::Binary };
    Ok((response, Pending { upgrade: hyper::upgrade::on(request), carry }))
}

/// The same where it is settled how pieces are carried. wire: a protocol that the client names is confirmed, whatever
/// it is.
pub fn accept_as<B>(request: &mut Request<B>, carry: Carry) -> Result<(Response<()>, Pending), Refusal> {
    let Offer::WebSocket { key, protocols } = upgrade::offer(request.headers())? else {
        return Err(Refusal { code: 400, message: "a WebSocket is required".to_owned() });
    };
    let protocol = match protocols.as_slice() {
        [] => "",
        [protocol] => protocol,
        _ => return Err(Refusal { code: 400, message: "one protocol at most may be asked for".to_owned() }),
    };
    let response = upgrade::switch_to_websocket(&key, protocol)?;
    Ok((response, Pending { upgrade: hyper::upgrade::on(request), carry }))
}

impl Pending {
    /// Sends all pieces, then closes.
    pub async fn send(self, pieces: impl Stream<Item = Bytes>) -> Result<(), StreamError> {
        let io = upgrade::upgraded(self.upgrade).await?;
        let socket = upgrade::websocket(io, Role::Server).await;
        let (mut to_client, mut from_client) = socket.split();
        let mut pieces = std::pin::pin!(pieces);
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece,
                said = from_client.next() => match said {
                    Some(Ok(said)) if !said.is_close() => continue,
                    _ => return Err(StreamError::Closed),
                },
            };
            let message = match piece {
                None => Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() })),
                Some(piece) => message(self.carry, piece),
            };
            let last = message.is_close();
            to_client.send(message).await.map_err(|_| StreamError::Closed)?;
            if last {
                return Ok(());
            }
        }
    }
}

fn message(carry: Carry, piece: Bytes) -> Message {
    match carry {
        Carry::Binary => Message::Binary(piece),
        Carry::Text => Message::text(String::from_utf8_lossy(&piece).into_owned()),
        Carry::Base64 => Message::text(STANDARD.encode(&piece)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocol: &str) -> Request<()> {
        let request = Request::get("/log").header("connection", "Upgrade").header("upgrade", "websocket");
        let request = request.header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let request = if protocol.is_empty() { request } else { request.header("sec-websocket-protocol", protocol) };
        request.body(()).unwrap()
    }

    #[test]
    fn clients_choose_how_bytes_are_carried() {
        let check = |protocol: &str, expected: Result<Carry, u16>| {
            let got = accept(&mut request(protocol)).map(|(_, pending)| pending.carry).map_err(|refusal| refusal.code);
            assert_eq!(got, expected, "{protocol}");
        };
        check("", Ok(Carry::Binary));
        check("binary.k8s.io", Ok(Carry::Binary));
        check("base64.binary.k8s.io", Ok(Carry::Base64));
        check("v5.channel.k8s.io", Err(403));
        let (confirmed, _) = accept_as(&mut request("x"), Carry::Text).unwrap();
        assert_eq!(confirmed.headers()["sec-websocket-protocol"], "x");
        assert_eq!(accept_as(&mut request("x, y"), Carry::Text).map(|_| ()).unwrap_err().code, 400);
        assert!(is_wanted(request("").headers()) && !is_wanted(&HeaderMap::new()));
    }
}
