//! What the upgrades of HTTP/1.1 connections share: who offers what, and what is answered.

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::limits::{CHUNK_BYTES, MESSAGE_BYTES, OFFERED_PROTOCOLS};
use crate::{Refusal, StreamError};

/// Names the protocol that runs in the streams of a SPDY connection.
pub(crate) const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");

/// What a client asks for, with the protocols that it offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    WebSocket { key: HeaderValue, protocols: Vec<String> },
    Spdy { protocols: Vec<String> },
}

/// Reads the headers of a request to upgrade.
pub(crate) fn offer(headers: &HeaderMap) -> Result<Offer, Refusal> {
    let required = || Refusal { code: 400, message: "Upgrade request required".to_owned() };
    let wanted = list(headers, &UPGRADE);
    if !list(headers, &CONNECTION).iter().any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return Err(required());
    }
    let asks = |name: &str| wanted.iter().any(|word| word.eq_ignore_ascii_case(name));
    if asks("websocket") {
        let key = headers.get(SEC_WEBSOCKET_KEY).cloned();
        let key = key.ok_or(Refusal { code: 400, message: "missing Sec-WebSocket-Key header".to_owned() })?;
        return Ok(Offer::WebSocket { key, protocols: list(headers, &SEC_WEBSOCKET_PROTOCOL) });
    }
    if asks("SPDY/3.1") {
        return Ok(Offer::Spdy { protocols: list(headers, &STREAM_PROTOCOL) });
    }
    Err(required())
}

/// The words of a header, whether in one line or in several.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    let words = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty());
    words.take(OFFERED_PROTOCOLS).map(str::to_owned).collect()
}

/// The first of the client's protocols that we know; ours in the refusal.
pub(crate) fn negotiate(offered: &[String], known: &[&str]) -> Result<String, Refusal> {
    let found = offered.iter().find(|protocol| known.contains(&protocol.as_str()));
    found.cloned().ok_or_else(|| Refusal {
        code: 403,
        message: format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            offered.join(" "),
            known.join(" ")
        ),
    })
}

/// The answer to a WebSocket client.
pub(crate) fn switch_to_websocket(key: &HeaderValue, protocol: &str) -> Result<Response<()>, Refusal> {
    let accept = derive_accept_key(key.as_bytes());
    let mut headers = vec![(CONNECTION, "Upgrade"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_ACCEPT, accept.as_str())];
    if !protocol.is_empty() {
        headers.push((SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    switch(headers)
}

/// The answer to a SPDY client.
pub(crate) fn switch_to_spdy(protocol: &str) -> Result<Response<()>, Refusal> {
    let mut headers = vec![(CONNECTION, "Upgrade"), (UPGRADE, "SPDY/3.1")];
    if !protocol.is_empty() {
        headers.push((STREAM_PROTOCOL, protocol));
    }
    switch(headers)
}

fn switch(headers: Vec<(HeaderName, &str)>) -> Result<Response<()>, Refusal> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).map_err(|e| Refusal { code: 400, message: e.to_string() })?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

/// The connection of an accepted request.
pub(crate) async fn upgraded(pending: OnUpgrade) -> Result<TokioIo<Upgraded>, StreamError> {
    let io = pending.await.map_err(|error| StreamError::Io {
        operation: "upgrade the connection",
        cause: std::io::Error::other(error),
    })?;
    Ok(TokioIo::new(io))
}

/// A WebSocket on an upgraded connection.
pub(crate) async fn websocket<T>(io: T, role: Role) -> WebSocketStream<T>
where
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .read_buffer_size(CHUNK_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(io, role, Some(config)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn offers_are_read_from_one_line_or_several() {
        let spdy = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v4.channel.k8s.io"),
            ("x-stream-protocol-version", "v3.channel.k8s.io, v2.channel.k8s.io"),
        ]);
        let protocols = ["v4", "v3", "v2"].map(|v| format!("{v}.channel.k8s.io")).to_vec();
        assert_eq!(offer(&spdy), Ok(Offer::Spdy { protocols: protocols.clone() }));
        assert_eq!(negotiate(&protocols, &["v2.channel.k8s.io", "v3.channel.k8s.io"]).unwrap(), "v3.channel.k8s.io");
        let refused = negotiate(&protocols[..1], &["v2.channel.k8s.io"]).unwrap_err();
        assert_eq!(refused.code, 403);
        assert!(refused.message.ends_with("client supports [v4.channel.k8s.io], server accepts [v2.channel.k8s.io]"));
    }

    #[test]
    fn requests_without_upgrade_are_refused() {
        let check = |pairs: &[(&'static str, &'static str)], message: &str| {
            assert_eq!(offer(&headers(pairs)), Err(Refusal { code: 400, message: message.to_owned() }));
        };
        check(&[], "Upgrade request required");
        check(&[("connection", "upgrade"), ("upgrade", "h2c")], "Upgrade request required");
        check(&[("upgrade", "websocket")], "Upgrade request required");
        check(&[("connection", "upgrade"), ("upgrade", "websocket")], "missing Sec-WebSocket-Key header");
    }

    #[test]
    fn the_answer_proves_that_the_key_was_read() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        let response = switch_to_websocket(&key, "v5.channel.k8s.io").unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
    }
}
