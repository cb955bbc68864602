//! Bytes that a WebSocket client only reads, such as a log.
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
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::upgrade::{self, Offer};
use crate::{Refusal, StreamError};

/// Carries pieces as text.
const BASE64: &str = "base64.binary.k8s.io";
const PROTOCOLS: [&str; 2] = ["binary.k8s.io", BASE64];

/// An accepted request whose connection is about to be upgraded.
pub struct Pending {
    upgrade: OnUpgrade,
    base64: bool,
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
    Ok((response, Pending { upgrade: hyper::upgrade::on(request), base64: protocol == BASE64 }))
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
                None => Message::Close(None),
                Some(piece) if self.base64 => Message::text(STANDARD.encode(&piece)),
                Some(piece) => Message::Binary(piece),
            };
            let last = message.is_close();
            to_client.send(message).await.map_err(|_| StreamError::Closed)?;
            if last {
                return Ok(());
            }
        }
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
        let check = |protocol: &str, expected: Result<bool, u16>| {
            let got = accept(&mut request(protocol)).map(|(_, pending)| pending.base64).map_err(|refusal| refusal.code);
            assert_eq!(got, expected, "{protocol}");
        };
        check("", Ok(false));
        check("binary.k8s.io", Ok(false));
        check("base64.binary.k8s.io", Ok(true));
        check("v5.channel.k8s.io", Err(403));
        assert!(is_wanted(request("").headers()) && !is_wanted(&HeaderMap::new()));
    }
}
